package prewarm

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/goldcrest/goldcrest/fault"
	"github.com/goldcrest/goldcrest/pipeline"
	"github.com/goldcrest/goldcrest/prewarm/compat"
	"github.com/goldcrest/goldcrest/prewarm/ledger"
	"github.com/goldcrest/goldcrest/prewarm/ledger/ledgertest"
	"github.com/goldcrest/goldcrest/prewarm/usage"
	"github.com/goldcrest/goldcrest/variant"
)

// The predecessor's call has the same quotas: each picture counts as a unit.
func TestQuotaOfTheCompatCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, q := ledgertest.New(), &quotas{all: map[string]usage.Quota{"anna": {UnitsQueued: 2, ImagesADay: 4}}}
		d := newQuotaDoor(t, m, q)
		defer d.Close()
		c, err := compat.New(compat.Config{Buckets: []compat.Bucket{{Name: "old", Prefix: "p"}}}, compat.Deps{
			Ledger: m, Queue: m, Sink: nowhere{}, Parser: d.deps.Parser, Accounts: d.Accounts(),
			Warm: func(_ context.Context, refs []variant.Ref) []pipeline.Warmed {
				return []pipeline.Warmed{{Ref: refs[0]}}
			},
			Get: func(context.Context, variant.Ref) (pipeline.Answer, error) {
				a := pipeline.Answer{}
				a.Entry.Body, a.Entry.Attrs = make([]byte, 30), map[string]string{"sb": "100"}
				return a, nil
			},
		})
		if err != nil {
			t.Fatal(err)
		}
		post := func(want fault.Kind, images ...string) {
			t.Helper()
			call := compat.Call{Bucket: "old", Quality: 90}
			for i := 0; i < len(images); i += 2 {
				call.Images = append(call.Images, compat.Image{Key: images[i], Source: images[i+1]})
			}
			if err := c.Accept(t.Context(), "anna", call); fault.KindOf(err) != want {
				t.Errorf("%s: got %v, want %q", images[0], err, want)
			}
		}
		post("", "p/1", "https://c.example/1", "p/2", "https://c.example/2")
		post("", "p/1", "https://c.example/1", "p/2", "https://c.example/2") // the same pictures count once
		post(fault.QuotaExceeded, "p/3", "https://c.example/3")
		d.mustRefuse(t, "anna", "a", 1, "units_queued")
		if n := len(m.Tickets()); n != 2 {
			t.Errorf("%d tickets", n)
		}
		ctx, cancel := context.WithCancel(t.Context())
		var running sync.WaitGroup
		running.Go(func() { _ = c.Run(ctx) })
		synctest.Wait()
		post("", "p/3", "https://c.example/3")
		post(fault.QuotaExceeded, "p/4", "https://c.example/4", "p/5", "https://c.example/5") // 3 + 2 images
		synctest.Wait()
		cancel()
		running.Wait()
		got := d.usage(t, anna, "")[0].Days[0].Usage
		want := usage.Usage{Units: 3, Images: 3, Made: 3, Refused: 3,
			Bytes: ledger.Bytes{Source: 300, Stored: 90, Saved: 210}}
		if got != want {
			t.Errorf("got %+v, want %+v", got, want)
		}
	})
}

// nowhere is a Sink that discards everything.
type nowhere struct{}

func (nowhere) Put(context.Context, string, string, []byte, string) error { return nil }
