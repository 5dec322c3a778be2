package pipeline

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/goldcrest/goldcrest/fault"
	"github.com/goldcrest/goldcrest/origin"
	"github.com/goldcrest/goldcrest/variant"
)

// An original that is asked for as it is needs no worker, is kept as variants are, and is released once.
func TestVerbatim(t *testing.T) {
	const icon = "GIF89a\x01\x00\x01\x00\x00\x00\x00,\x00\x00\x00\x00\x01\x00\x01\x00\x00\x02\x01D\x00;"
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, nil)
		body := icon
		r.origin.onFetch = func(context.Context, string) (origin.Original, error) {
			return origin.Original{Body: []byte(body)}, nil
		}
		raw := variant.Ref{Source: "https://c.example/a.gif", Spec: variant.Spec{Format: variant.Raw}}
		raw.Spec.Raw = true
		for _, outcome := range []Outcome{Miss, Hit} {
			a, err := r.Get(t.Context(), raw)
			if err != nil || a.Outcome != outcome || string(a.Entry.Body) != icon ||
				a.Entry.ContentType != "image/gif" {
				t.Errorf("%s: %s %q %v", outcome, a.Outcome, a.Entry.ContentType, err)
			}
			if a.Timings.Transform > r.cfg.FillTimeout {
				t.Errorf("it took %v", a.Timings.Transform)
			}
			synctest.Wait()
		}
		body = "<svg xmlns='http://www.w3.org/2000/svg'/>" + strings.Repeat(" ", 9)
		raw.Source = "https://c.example/b.gif"
		_, err := r.Get(t.Context(), raw)
		wantKind(t, err, fault.UnsupportedFormat)
		synctest.Wait()
		if fetches, released := r.origin.counts(); fetches != 2 || released != 2 || r.codec.images != 0 {
			t.Errorf("%d fetches, %d released, %d images", fetches, released, r.codec.images)
		}
	})
}
