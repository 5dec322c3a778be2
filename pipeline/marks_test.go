package pipeline

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/goldcrest/goldcrest/origin"
	"github.com/goldcrest/goldcrest/pipeline/master"
	"github.com/goldcrest/goldcrest/reach"
	"github.com/goldcrest/goldcrest/variant"
)

const markURL = "https://marks.example/logo.png"

// markedRef is a ref with a watermark from a URL.
func markedRef(width int) variant.Ref {
	r := ref(width)
	r.Spec.Watermark = variant.Watermark{Opacity: 1, Source: markURL, Mark: "id of the mark"}
	return r
}

// A variant with a mark needs memory for one original, and one fetch slot, at a time. With more, fills that each hold
// an original while they fetch a mark would wait for each other.
func TestMarksNeedNoSecondRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, func(c *Config, _ *Parts) { c.FetchSlots = 1 })
		r.origin.room = make(chan struct{}, 1)
		began := time.Now()
		if _, err := r.Get(t.Context(), markedRef(1)); err != nil {
			t.Errorf("a viewer: %v", err)
		}
		time.Sleep(time.Hour) // The mark is no longer kept.
		other := markedRef(2)
		other.Source = "https://c.example/b.jpg"
		if w := r.Warm(t.Context(), []variant.Ref{other}); w[0].Err != nil {
			t.Errorf("a warm-up: %v", w[0].Err)
		}
		if took := time.Since(began) - time.Hour; took > time.Second {
			t.Errorf("the fills took %v", took)
		}
		synctest.Wait()
		if fetches, released := r.origin.counts(); fetches != 4 || released != 4 {
			t.Errorf("%d fetches, %d released", fetches, released)
		}
	})
}

// What a mark's origin forbids applies to the variants with the mark alone: the plain ones of the same batch and the
// master are stored, and are given to keys that may have the original's host only.
func TestMarksLeaveNoTraceOnPlainVariants(t *testing.T) {
	for _, private := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			r, _ := masterRig(t, func(c *Config, _ *Parts) { c.HonourOrigin, c.TTL = true, 2*time.Hour })
			r.origin.onFetch = func(_ context.Context, source string) (origin.Original, error) {
				o := origin.Original{Body: []byte("original of " + source)}
				if source == markURL {
					o.Fresh = origin.Freshness{Said: true, TTL: time.Hour, Private: private}
				}
				return o, nil
			}
			plain, marked := ref(1), markedRef(1)
			for _, w := range r.Warm(t.Context(), []variant.Ref{plain, marked}) {
				if w.Err != nil && !private {
					t.Error(w.Err)
				}
			}
			synctest.Wait()
			for key, want := range map[string]bool{
				plain.Key(): true, master.Key(plain.Key()): true, marked.Key(): !private,
			} {
				e, stored := r.tiers.store[key]
				if stored != want {
					t.Errorf("private %v: %s is stored: %v", private, key, stored)
				}
				from, isMarked := variant.DecodeFacts(e.Attrs).Provenance, stored && key == marked.Key()
				if from.HasLife != isMarked || (from.Via == "marks.example") != isMarked {
					t.Errorf("private %v: %s has %+v", private, key, from)
				}
			}
			within, err := reach.Of([]string{"c.example"})
			if err != nil {
				t.Fatal(err)
			}
			plain.Within, marked.Within = within, within
			if _, err := r.Get(t.Context(), plain); err != nil {
				t.Errorf("private %v: the plain variant: %v", private, err)
			}
			if _, err := r.Get(t.Context(), marked); err == nil {
				t.Errorf("private %v: the marked variant was given", private)
			}
		})
	}
}
