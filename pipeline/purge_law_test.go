package pipeline

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/goldcrest/goldcrest/cache"
	"github.com/goldcrest/goldcrest/fault"
	"github.com/goldcrest/goldcrest/origin"
	"github.com/goldcrest/goldcrest/variant"
)

// A variant that is purged while Warm makes it is made again, from a new fetch, and only then reported as made.
func TestWarmMakesPurgedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, nil)
		purges := 1
		r.codec.onTransform = func(_ context.Context, specs []variant.Spec, emit emitFunc) error {
			for ; purges > 0; purges-- {
				if _, err := r.Purge(t.Context(), Selector{Refs: refs(1)}); err != nil {
					t.Error(err)
				}
			}
			for i := range specs {
				emit(i, variant.Image{Body: []byte("x"), Format: variant.WebP}, nil)
			}
			return nil
		}
		for i, w := range r.Warm(t.Context(), refs(1, 2)) {
			if _, stored := r.tiers.store[w.Key]; w.Err != nil || w.Present || !stored {
				t.Errorf("variant %d: %v, present %v, stored %v", i, w.Err, w.Present, stored)
			}
		}
		if fetches, _ := r.origin.counts(); fetches != 2 {
			t.Errorf("%d fetches, want one anew after the purge", fetches)
		}
	})
}

// A variant that is purged each time it is made gives a retryable error after a few tries.
func TestWarmGivesUpOnWhatIsPurgedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, nil)
		r.codec.onTransform = func(_ context.Context, specs []variant.Spec, emit emitFunc) error {
			if _, err := r.Purge(t.Context(), Selector{Refs: refs(1)}); err != nil {
				t.Error(err)
			}
			emit(0, variant.Image{Body: []byte("x"), Format: variant.WebP}, nil)
			return nil
		}
		w := r.Warm(t.Context(), refs(1))[0]
		wantKind(t, w.Err, fault.Overloaded)
		if len(r.tiers.store) != 0 || r.codec.calls != warmTries {
			t.Errorf("%d stored after %d tries", len(r.tiers.store), r.codec.calls)
		}
	})
}

// fullDisk is a PurgeLog that fails.
type fullDisk struct{ asked []string }

var errFullDisk = errors.New("no space left")

func (d *fullDisk) Keep(_ context.Context, _ cache.Generation, prefixes []string) error {
	d.asked = append(d.asked, prefixes...)
	return errFullDisk
}

// A purge that cannot be logged for the next process is carried out, and returns an error.
func TestPurgeThatIsNotKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk := &fullDisk{}
		r := newRig(t, func(_ *Config, parts *Parts) { parts.PurgeLog = disk })
		if w := r.Warm(t.Context(), refs(1))[0]; w.Err != nil {
			t.Fatal(w.Err)
		}
		n, err := r.Purge(t.Context(), Selector{Refs: refs(1)})
		if n != 1 || !errors.Is(err, errFullDisk) || len(r.tiers.store) != 0 || len(disk.asked) != 1 || disk.asked[0] != ref(1).SourcePrefix() {
			t.Errorf("Purge = %d, %v; %d stored, %q to keep", n, err, len(r.tiers.store), disk.asked)
		}
	})
}

// A purge affects only its own sources: variants of 2,000 others that are made meanwhile are stored.
func TestPurgeOfAnotherSource(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, nil)
		purge := func() {
			for i := range 2000 {
				other := ref(1)
				other.Source += string(rune('a'+i%26)) + time.Duration(i).String()
				if _, err := r.Purge(t.Context(), Selector{Refs: []variant.Ref{other}}); err != nil {
					t.Fatal(err)
				}
			}
		}
		r.codec.onTransform = func(_ context.Context, specs []variant.Spec, emit emitFunc) error {
			purge()
			emit(0, variant.Image{Body: []byte("x"), Format: variant.WebP}, nil)
			return nil
		}
		if w := r.Warm(t.Context(), refs(1))[0]; w.Err != nil || r.codec.calls != 1 || len(r.tiers.store) != 1 {
			t.Errorf("%v after %d calls, %d stored", w.Err, r.codec.calls, len(r.tiers.store))
		}
	})
}

// An upgrade that looks for its entry while a purge deletes restores nothing, neither a first stage nor a final entry
// of another instance.
func TestUpgradeDuringAPurge(t *testing.T) {
	for _, stored := range []string{"first", "final"} {
		t.Run(stored, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newUpgradeRig(t, nil)
				made := r.get(t, 1)
				synctest.Wait()
				key := avif(1).Key()
				if stored == "final" {
					e := r.tiers.store[key]
					e.Attrs = map[string]string{cache.GenerationAttr: made.Entry.Attrs[cache.GenerationAttr]}
					r.tiers.store[key] = e
				}
				deleting, deleted := make(chan struct{}), make(chan struct{})
				r.tiers.onDelete = func() { close(deleting); <-deleted }
				purged := make(chan error)
				go func() {
					_, err := r.Purge(t.Context(), Selector{Refs: []variant.Ref{avif(1)}})
					purged <- err
				}()
				<-deleting // the entry is still in the store
				r.upgradeIfFirst(avif(1), key, made.Entry.Meta)
				synctest.Wait()
				close(deleted)
				if err := <-purged; err != nil {
					t.Fatal(err)
				}
				synctest.Wait()
				if n := r.tiers.remembered() + len(r.tiers.store); n != 0 || r.outcomes["gone"] != 1 {
					t.Errorf("%d entries are back, outcomes %v", n, r.outcomes)
				}
			})
		})
	}
}

// A fill that begins after a purge joins no download from before it.
func TestPurgeEndsSharedDownloads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, nil)
		old := make(chan struct{})
		r.origin.onFetch = func(context.Context, string) (origin.Original, error) {
			if fetches, _ := r.origin.counts(); fetches == 1 {
				<-old
				return origin.Original{Body: []byte("old")}, nil
			}
			return origin.Original{Body: []byte("new")}, nil
		}
		go func() { _, _ = r.Get(context.Background(), ref(1)) }()
		synctest.Wait()
		for _, what := range []Selector{{Refs: refs(1)}, {Prefix: "v1/"}} {
			if _, err := r.Purge(t.Context(), what); err != nil {
				t.Fatal(err)
			}
			a, err := r.Get(t.Context(), ref(2))
			if err != nil || string(a.Entry.Body) != "webp of new" {
				t.Errorf("after the purge of %v: %q, %v", what, a.Entry.Body, err)
			}
		}
		close(old)
	})
}

// An instance that is out of contact does not know all purges: viewers are served from the store, and Warm reports an
// error.
func TestServesTheStoreWhileThePurgeLogIsUnreachable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, nil)
		if _, err := r.Get(t.Context(), ref(1)); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		r.parts.Purges.Trust(time.Now())
		if a, err := r.Get(t.Context(), ref(1)); err != nil || a.Tier != cache.TierStore {
			t.Errorf("got %s of %q, %v", a.Outcome, a.Tier, err)
		}
		for _, width := range []int{1, 2} {
			w := r.Warm(t.Context(), refs(width))[0]
			wantKind(t, w.Err, fault.Overloaded)
		}
		r.parts.Purges.Trust(time.Now().Add(time.Second))
		if w := r.Warm(t.Context(), refs(2))[0]; w.Err != nil || !w.Present {
			t.Errorf("in contact again: present %v, %v", w.Present, w.Err)
		}
	})
}

// An answered fill from before the loss of contact, whose write a purge holds, is like memory: later callers get what
// the store has. Schedule:
//  1. A purge holds writes of the source. A viewer has a variant made after it. Its fill waits for the end of the hold.
//  2. This instance loses contact. Another one purges the source again, makes the variant again and stores it.
//  3. A viewer requests it here.
func TestOutOfContactWithHeldWrite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, nil)
		g := r.parts.Purges.Next()
		r.BeginPurge(g, []string{ref(1).SourcePrefix()}, nil, time.Minute)
		if a, err := r.Get(t.Context(), ref(1)); err != nil || a.Outcome != Miss {
			t.Fatalf("got %s, %v", a.Outcome, err)
		}
		synctest.Wait()
		r.parts.Purges.Trust(time.Now())
		newer := aged(0)
		newer.Body, newer.Meta.Attrs[cache.GenerationAttr] = []byte("newer"), r.parts.Purges.Next().String()
		r.tiers.store[ref(1).Key()] = newer
		a, err := r.Get(t.Context(), ref(1))
		if err != nil || string(a.Entry.Body) != "newer" || a.Tier != cache.TierStore {
			t.Errorf("got %s of %q with %q, %v", a.Outcome, a.Tier, a.Entry.Body, err)
		}
		r.EndPurge(g)
	})
}

// A purge whose store fails returns an error, and later variants are written anyway.
func TestPurgeWithABrokenStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		down := errors.New("down")
		r := newRig(t, func(_ *Config, p *Parts) { p.Store = undeletable{p.Store, down} })
		if _, err := r.Purge(t.Context(), Selector{Refs: refs(1, 2)}); !errors.Is(err, down) {
			t.Errorf("Purge = %v", err)
		}
		if _, err := r.Get(t.Context(), ref(1)); err != nil {
			t.Error(err)
		}
		synctest.Wait()
		if len(r.tiers.store) != 1 {
			t.Error("what was made after the purge is not stored")
		}
	})
}

// undeletable is a Store whose Delete fails.
type undeletable struct {
	cache.Store
	err error
}

func (s undeletable) Delete(context.Context, string) (int, error) { return 0, s.err }
