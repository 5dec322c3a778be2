package fetch

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/goldcrest/goldcrest/cache"
	"github.com/goldcrest/goldcrest/origin"
	"github.com/goldcrest/goldcrest/pipeline/gate"
)

// Tests must not leak goroutines.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// rig is a Group whose downloads are counted and wait for proceed.
type rig struct {
	*Group[string]
	purges          *cache.Purges
	proceed         chan struct{}
	mu              sync.Mutex
	begun, released int
	fail            error
}

func newRig() *rig {
	r := &rig{purges: cache.NewPurges(cache.Generation{Epoch: 1}), proceed: make(chan struct{})}
	r.Group = NewGroup(GroupConfig[string]{
		Timeout: time.Minute, Purges: r.purges,
		Gate: gate.New(gate.Config{Name: "test", Slots: 4, Room: 10, Refused: func(string) {}}),
		Get: func(ctx context.Context, name string, lim origin.Limits) (string, func(), error) {
			leave, err := lim.Admit(ctx)
			if err != nil {
				return "", nil, err
			}
			defer leave()
			r.mu.Lock()
			r.begun++
			r.mu.Unlock()
			select {
			case <-r.proceed:
			case <-ctx.Done():
				return "", nil, ctx.Err()
			}
			return name, func() {
				r.mu.Lock()
				defer r.mu.Unlock()
				r.released++
			}, r.fail
		},
	})
	return r
}

func (r *rig) ask(name string, slot func()) Ask {
	return Ask{Source: name, Key: "v1/ab/hash/a.webp", Urgency: gate.At(gate.Viewing), Slot: slot, Generation: r.purges.Now()}
}

// Concurrent downloads of one name are shared, and the last reader frees the bytes. If callers bring a slot, the one
// that starts the download uses it, and the others release theirs.
func TestGroup(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig()
		var slots sync.WaitGroup
		var all sync.WaitGroup
		backs := make(chan func(), 3)
		for range 3 {
			slots.Add(1)
			all.Go(func() {
				d, back, err := r.Get(t.Context(), r.ask("a", sync.OnceFunc(slots.Done)))
				if err != nil || d.Value != "a" {
					t.Errorf("got %v, %v", d, err)
					return
				}
				backs <- back
			})
			synctest.Wait()
		}
		close(r.proceed)
		all.Wait()
		slots.Wait()
		for range 3 {
			if r.released != 0 {
				t.Error("the bytes were given back while they are read")
			}
			(<-backs)()
			synctest.Wait()
		}
		if r.begun != 1 || r.released != 1 || r.Held() != 0 || r.Gate().Load() != (gate.Load{}) {
			t.Errorf("%d began, %d were given back, %d are held, %+v", r.begun, r.released, r.Held(), r.Gate().Load())
		}
	})
}

// A purged or failed download is not shared, and a download for which no caller waits any more is dropped.
func TestPurgedFailedOrAbandonedDownloadIsNotShared(t *testing.T) {
	for name, step := range map[string]func(*rig) (begun int){
		"forgotten": func(r *rig) int { r.Forget("a"); return 2 },
		"purged": func(r *rig) int {
			g := r.purges.Next()
			r.purges.Begin(g, []string{"v1/"}, time.Minute)
			r.purges.End(g)
			return 2
		},
		"another name is forgotten": func(r *rig) int { r.Forget("b"); return 1 },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig()
				r.fail = errors.New("no")
				var all sync.WaitGroup
				get := func() {
					if _, _, err := r.Get(t.Context(), r.ask("a", nil)); !errors.Is(err, r.fail) {
						t.Errorf("got %v", err)
					}
				}
				all.Go(get)
				synctest.Wait()
				want := step(r)
				all.Go(get)
				synctest.Wait()
				ctx, leave := context.WithCancel(t.Context())
				all.Go(func() {
					if _, _, err := r.Get(ctx, r.ask("dropped", nil)); !errors.Is(err, context.Canceled) {
						t.Errorf("the one who leaves: %v", err)
					}
				})
				synctest.Wait()
				leave()
				synctest.Wait()
				close(r.proceed)
				all.Wait()
				synctest.Wait()
				if r.begun != want+1 || r.Held() != 0 || r.Gate().Load() != (gate.Load{}) {
					t.Errorf("%d began, want %d; %d are held, %+v", r.begun, want+1, r.Held(), r.Gate().Load())
				}
			})
		})
	}
}
