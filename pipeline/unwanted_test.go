package pipeline

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/goldcrest/goldcrest/fault"
	"github.com/goldcrest/goldcrest/metrics"
	"github.com/goldcrest/goldcrest/origin"
	"github.com/goldcrest/goldcrest/pipeline/gate"
	"github.com/goldcrest/goldcrest/variant"
)

// Two hundred viewers of as many pictures hang up, at each place where pictures wait. What a worker has begun is
// finished and stored, everything else is dropped, and nothing is left. The last viewers hang up first: which of them
// gets a slot that becomes free while its viewer leaves is chance.
func TestFault21ViewersHangUp(t *testing.T) {
	for where, want := range map[string]struct{ fetched, made int }{
		"at the fetch gate":     {fetched: 4, made: 0}, // they are cancelled
		"at the transform gate": {fetched: 200, made: 2},
	} {
		t.Run(where, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				meter := &fillCount{}
				r := newRig(t, func(c *Config, p *Parts) { c.FetchSlots, c.TransformSlots, p.Observer = 4, 2, meter })
				slow := func(ctx context.Context) error {
					select {
					case <-time.After(time.Second):
						return nil
					case <-ctx.Done():
						return ctx.Err()
					}
				}
				if where == "at the fetch gate" {
					r.origin.onFetch = func(ctx context.Context, _ string) (origin.Original, error) {
						return origin.Original{Body: []byte("x")}, slow(ctx)
					}
				}
				r.codec.onTransform = func(ctx context.Context, specs []variant.Spec, emit emitFunc) error {
					err := slow(ctx)
					emit(0, variant.Image{Body: []byte("x"), Format: specs[0].Format}, err)
					return err
				}
				var viewers sync.WaitGroup
				come := func(from, to int) (hangUp func()) {
					ctx, hangUp := context.WithCancel(t.Context())
					for i := from; i < to; i++ {
						viewers.Go(func() {
							if _, err := r.Get(ctx, other(i)); !errors.Is(err, context.Canceled) {
								t.Errorf("viewer %d got %v", i, err)
							}
						})
					}
					synctest.Wait()
					return hangUp
				}
				early, late := come(0, 4), come(4, 200)
				late()
				synctest.Wait()
				early()
				viewers.Wait()
				time.Sleep(time.Second) // one encode
				synctest.Wait()
				fetched, released := r.origin.counts()
				if fetched != want.fetched || r.codec.calls != want.made || r.tiers.puts != want.made {
					t.Errorf("got %d fetched, %d made, %d stored; want %d, %d, %d", fetched, r.codec.calls,
						r.tiers.puts, want.fetched, want.made, want.made)
				}
				if where == "at the transform gate" && released != 200 {
					t.Errorf("got %d originals released, want all", released)
				}
				if l := r.Load(); l != (Load{}) {
					t.Errorf("got %+v at the end, want nothing in work", l)
				}
				if got := meter.of(fault.Canceled); got != 200-want.made {
					t.Errorf("got %d fills counted as cancelled, want %d", got, 200-want.made)
				}
			})
		})
	}
}

// The last viewer leaves while another comes. Whichever gets the table's lock first, the one that stays gets the
// picture.
func TestFault21OneLeavesOneJoins(t *testing.T) {
	for name, then := range map[string]func(leave, join func()){
		"joins first":   func(leave, join func()) { join(); synctest.Wait(); leave() },
		"leaves first":  func(leave, join func()) { leave(); synctest.Wait(); join() },
		"at one moment": func(leave, join func()) { leave(); join() },
	} {
		t.Run(name, func(t *testing.T) {
			for range 20 {
				synctest.Test(t, func(t *testing.T) {
					r := newRig(t, func(c *Config, _ *Parts) { c.TransformSlots = 1 })
					hold, err := r.transforms.Acquire(t.Context(), gate.At(gate.Viewing))
					if err != nil {
						t.Fatal(err)
					}
					ctx, hangUp := context.WithCancel(t.Context())
					go func() { _, _ = r.Get(ctx, ref(100)) }()
					synctest.Wait()
					got := make(chan error, 1)
					then(hangUp, func() {
						go func() {
							_, err := r.Get(t.Context(), ref(100))
							got <- err
						}()
					})
					synctest.Wait()
					hold()
					if err := <-got; err != nil {
						t.Errorf("who stayed got %v", err)
					}
					synctest.Wait()
					if l := r.Load(); l != (Load{}) || r.codec.images != 1 || r.tiers.puts != 1 {
						t.Errorf("got %+v, %d made, %d stored; want it made once", l, r.codec.images, r.tiers.puts)
					}
				})
			}
		})
	}
}

// A slot that is granted at the moment when the last viewer leaves is not lost.
func TestFault21GrantedWhileLeaving(t *testing.T) {
	for range 50 {
		synctest.Test(t, func(t *testing.T) {
			r := newRig(t, func(c *Config, _ *Parts) { c.TransformSlots = 1 })
			hold, _ := r.transforms.Acquire(t.Context(), gate.At(gate.Viewing))
			ctx, hangUp := context.WithCancel(t.Context())
			go func() { _, _ = r.Get(ctx, ref(100)) }()
			synctest.Wait()
			go hold()
			go hangUp()
			synctest.Wait()
			if _, err := r.Get(t.Context(), ref(200)); err != nil {
				t.Errorf("the next viewer got %v", err)
			}
			synctest.Wait()
			if l := r.Load(); l != (Load{}) {
				t.Errorf("got %+v at the end", l)
			}
		})
	}
}

// A Warm that waits for a fill counts as a caller like the viewer that began it. When it leaves too, no caller wants
// the fill.
func TestFault21WarmWantsIt(t *testing.T) {
	for name, stays := range map[string]bool{"stays": true, "goes too": false} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, func(c *Config, _ *Parts) { c.TransformSlots = 1 })
				hold, _ := r.transforms.Acquire(t.Context(), gate.At(gate.Viewing))
				ctx, hangUp := context.WithCancel(t.Context())
				go func() { _, _ = r.Get(ctx, ref(100)) }()
				synctest.Wait()
				warmCtx, stop := context.WithCancel(t.Context())
				defer stop()
				warmed := make(chan Warmed, 1)
				go func() { warmed <- r.Warm(warmCtx, []variant.Ref{ref(100)})[0] }()
				synctest.Wait()
				hangUp()
				synctest.Wait()
				if !stays {
					stop()
					synctest.Wait()
				}
				hold()
				if w := <-warmed; (w.Err == nil) != stays {
					t.Errorf("got %v", w.Err)
				}
				synctest.Wait()
				if want := map[bool]int{true: 1}[stays]; r.codec.images != want || r.tiers.puts != want {
					t.Errorf("got %d made, %d stored; want %d", r.codec.images, r.tiers.puts, want)
				}
			})
		})
	}
}

// other is the Ref of one of many pictures.
func other(i int) variant.Ref {
	r := ref(100)
	r.Source += "?" + string(rune('a'+i/26)) + string(rune('a'+i%26))
	return r
}

// fillCount counts fills by their fault.
type fillCount struct {
	noObserver
	mu sync.Mutex
	by map[fault.Kind]int
}

func (c *fillCount) Filled(f metrics.Fill) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.by == nil {
		c.by = map[fault.Kind]int{}
	}
	c.by[f.Kind]++
}

func (c *fillCount) of(kind fault.Kind) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.by[kind]
}
