package master

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/goldcrest/goldcrest/cache"
	"github.com/goldcrest/goldcrest/fault"
	"github.com/goldcrest/goldcrest/pipeline/fetch"
	"github.com/goldcrest/goldcrest/pipeline/gate"
	"github.com/goldcrest/goldcrest/reach"
	"github.com/goldcrest/goldcrest/variant"
)

// Tests must not leak goroutines.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// next is a Source that returns an original, or an error. It releases the slot, as a Source must.
type next struct {
	err   error
	asked int
}

func (n *next) Get(_ context.Context, ask fetch.Ask) (fetch.Supply, error) {
	n.asked++
	ask.Slot()
	return fetch.Supply{Original: variant.Original{Body: []byte("original")}, Claimed: new(bool), Back: func() {}}, n.err
}

// The master is used if it is fresh and good enough, otherwise the original, and the master again if the original
// cannot be fetched. In every case the caller's slot is released once, and the master with the supply.
func TestGet(t *testing.T) {
	stored := cache.Entry{Body: []byte("master"), Meta: cache.Meta{Recipe: variant.MasterRecipe, Attrs: variant.Facts{
		Image: variant.Image{
			Width: 2000, Height: 1500, Quality: 90, SourceWidth: 4000, SourceHeight: 3000, SourceFormat: "jpeg", SourceFrames: 1, Frames: 1,
		},
		SourceBytes: 35,
	}.Encode()}}
	old := stored
	old.Recipe--
	down, gone := errors.New("the store is down"), fault.New(fault.SourceNotFound, "test", "gone", nil)
	small, large := variant.Spec{Width: 400}, variant.Spec{Width: 3000}
	for name, test := range map[string]struct {
		entry                  cache.Entry
		read, refused, gone    error
		stale, tooOld, panics  bool
		specs                  []variant.Spec
		master, missing, asked bool
		err                    error
	}{
		"fresh":                         {entry: stored, specs: []variant.Spec{small}, master: true},
		"too small for one":             {entry: stored, specs: []variant.Spec{small, large}, asked: true},
		"asked about the original":      {entry: stored, specs: []variant.Spec{{Format: variant.Info}}, asked: true},
		"old":                           {entry: stored, stale: true, specs: []variant.Spec{small}, asked: true, missing: true},
		"of an older recipe":            {entry: old, specs: []variant.Spec{small}, asked: true, missing: true},
		"none":                          {read: cache.ErrMiss, specs: []variant.Spec{small}, asked: true, missing: true},
		"a store that is down":          {read: down, specs: []variant.Spec{small}, asked: true},
		"a store that panics":           {panics: true, specs: []variant.Spec{small}, asked: true},
		"not for this caller":           {entry: stored, refused: gone, specs: []variant.Spec{small}, err: gone},
		"old, and the original is gone": {entry: stored, stale: true, specs: []variant.Spec{small, large}, gone: gone, asked: true, master: true},
		"too old, and that is gone":     {entry: stored, stale: true, tooOld: true, specs: []variant.Spec{small}, gone: gone, asked: true, missing: true, err: gone},
		"none, and that is gone":        {read: cache.ErrMiss, specs: []variant.Spec{small}, gone: gone, asked: true, missing: true, err: gone},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				origin := &next{err: test.gone}
				s := New(2000, Parts{
					Next: origin, Purges: cache.NewPurges(cache.Generation{Epoch: 1}), Timeout: time.Minute, Room: 10, Now: time.Now,
					Read: func(context.Context, string) (cache.Entry, error) {
						if test.panics {
							panic("boom")
						}
						return test.entry, test.read
					},
					Judge: func(reach.Hosts, cache.Entry) (fresh, standsIn bool, refused error) {
						return !test.stale, !test.tooOld, test.refused
					},
					Age:     func(cache.Meta) time.Duration { return time.Hour },
					Refused: func(string) {}, Outcome: func(string) {}, Failed: func(string, string, error) {},
				})
				slots := 1
				got, err := s.Get(t.Context(), fetch.Ask{
					Source: "https://a.example/a.jpg", Key: "v1/ab/hash/w400.webp", Specs: test.specs,
					Urgency: gate.At(gate.Viewing), Slot: func() { slots-- },
				})
				if !errors.Is(err, test.err) || slots != 0 || (origin.asked == 1) != test.asked {
					t.Errorf("error %v, %d slots held, the origin was asked %d times", err, slots, origin.asked)
				}
				if err == nil && ((got.Master != nil) != test.master || got.Missing != test.missing) {
					t.Errorf("got %+v", got)
				}
				if test.master && (got.From.Since != time.Hour || got.Bytes() != 35 || s.Held() == 0) {
					t.Errorf("the master: got %+v, %d held", got, s.Held())
				}
				if test.gone != nil && test.master && (got.Lacks(small) != nil || !errors.Is(got.Lacks(large), gone)) {
					t.Error("what stands in does not say what it lacks")
				}
				if err == nil {
					got.Back()
				}
				synctest.Wait()
				if n := s.Held(); n != 0 {
					t.Errorf("%d are held at the end", n)
				}
			})
		})
	}
}
