package pipeline

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/goldcrest/goldcrest/fault"
	"github.com/goldcrest/goldcrest/origin"
	"github.com/goldcrest/goldcrest/sniff"
	"github.com/goldcrest/goldcrest/variant"
)

// jointRig is a rig with one worker that somebody has; free gives it back. widths are those of each call.
type jointRig struct {
	*rig
	free   func()
	widths [][]int
	onCall func(specs []variant.Spec) error
}

func newJointRig(t *testing.T) *jointRig {
	r := &jointRig{rig: newRig(t, func(c *Config, _ *Parts) { c.TransformSlots = 1 })}
	r.codec.onTransform = func(_ context.Context, specs []variant.Spec, emit func(int, variant.Image, error)) error {
		var widths []int
		for _, s := range specs {
			widths = append(widths, s.Width)
		}
		r.widths = append(r.widths, widths)
		if r.onCall != nil {
			if err := r.onCall(specs); err != nil {
				return err
			}
		}
		for i, s := range specs {
			emit(i, variant.Image{Body: []byte("x"), Format: s.Format, Width: s.Width}, nil)
		}
		return nil
	}
	var err error
	if r.free, err = r.transforms.acquire(t.Context(), &urgency{rank: viewing}); err != nil {
		t.Fatal(err)
	}
	return r
}

// viewer asks for a width, waits until its batch waits, and returns what hangs up and the channel of what became of it.
func (r *jointRig) viewer(width int) (hangUp func(), got chan error) {
	ctx, hangUp := context.WithCancel(context.Background())
	got = make(chan error, 1)
	go func() {
		a, err := r.Get(ctx, ref(width))
		if err == nil && a.Entry.Attrs["w"] != strconv.Itoa(width) {
			err = errors.New("got the width " + a.Entry.Attrs["w"])
		}
		got <- err
	}()
	synctest.Wait()
	return hangUp, got
}

// wantCalls ends everything and compares the calls' widths.
func (r *jointRig) wantCalls(t *testing.T, want ...[]int) {
	t.Helper()
	synctest.Wait()
	if !slices.EqualFunc(r.widths, want, slices.Equal) {
		t.Errorf("got calls for %v, want %v", r.widths, want)
	}
	fetched, released := r.origin.counts()
	if l := r.Load(); l != (Load{}) || fetched != released {
		t.Errorf("got %+v at the end, %d of %d originals released", l, released, fetched)
	}
}

// Viewers of several widths who wait for a worker at the same time are served by one call; who comes later waits for another, and who
// waits alone waits for nobody.
func TestViewersOfOneOriginalShareACall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newJointRig(t)
		began := make(chan struct{})
		proceed := make(chan struct{})
		r.onCall = func([]variant.Spec) error {
			if len(r.widths) == 1 {
				close(began)
				<-proceed
			}
			return nil
		}
		var all []chan error
		for _, w := range []int{100, 200, 300} {
			_, got := r.viewer(w)
			all = append(all, got)
		}
		if _, waiting := r.transforms.load(); waiting != 1 {
			t.Errorf("%d wait at the gate, want 1", waiting)
		}
		r.free()
		<-began
		_, late := r.viewer(400)
		close(proceed)
		for _, got := range append(all, late) {
			if err := <-got; err != nil {
				t.Error(err)
			}
		}
		r.wantCalls(t, []int{100, 200, 300}, []int{400})
	})
}

// Whoever hangs up while they wait takes nobody along, and nothing is made for those who are gone alone.
func TestFault21RidersHangUp(t *testing.T) {
	for name, tt := range map[string]struct {
		leave []int // in order, of the viewers 0 to 2, where 0 is the carrier
		want  [][]int
	}{
		"the carrier":                 {[]int{0}, [][]int{{100, 200, 300}}},
		"a rider":                     {[]int{1}, [][]int{{100, 300}}},
		"all riders":                  {[]int{2, 1}, [][]int{{100}}},
		"all, the carrier first":      {[]int{0, 1, 2}, nil},
		"all, the carrier last":       {[]int{1, 2, 0}, nil},
		"the carrier and one of them": {[]int{0, 2}, [][]int{{100, 200}}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newJointRig(t)
				var hangUps []func()
				var all []chan error
				for _, w := range []int{100, 200, 300} {
					hangUp, got := r.viewer(w)
					hangUps, all = append(hangUps, hangUp), append(all, got)
				}
				for _, i := range tt.leave {
					hangUps[i]()
					if err := <-all[i]; !errors.Is(err, context.Canceled) {
						t.Errorf("viewer %d got %v", i, err)
					}
					synctest.Wait()
				}
				r.free()
				for i, got := range all {
					if !slices.Contains(tt.leave, i) {
						if err := <-got; err != nil {
							t.Errorf("viewer %d got %v", i, err)
						}
					}
				}
				r.wantCalls(t, tt.want...)
			})
		})
	}
}

// Whether the last one leaves just before the slot comes or just after it, nothing is lost.
func TestFault21LeavingAtTheMomentOfTheCall(t *testing.T) {
	for range 50 {
		synctest.Test(t, func(t *testing.T) {
			r := newJointRig(t)
			carrier, first := r.viewer(100)
			rider, second := r.viewer(200)
			go r.free()
			go carrier()
			go rider()
			<-first
			<-second
			synctest.Wait()
			if _, err := r.Get(t.Context(), ref(300)); err != nil {
				t.Errorf("the next viewer got %v", err)
			}
			synctest.Wait()
			if l := r.Load(); l != (Load{}) {
				t.Errorf("got %+v at the end", l)
			}
		})
	}
}

// One who joins a rider's variant as it is being dropped gets it all the same.
func TestFault21JoiningALeavingRider(t *testing.T) {
	for range 50 {
		synctest.Test(t, func(t *testing.T) {
			r := newJointRig(t)
			_, first := r.viewer(100)
			leave, second := r.viewer(200)
			third := make(chan error, 1)
			go leave()
			go func() {
				_, err := r.Get(context.Background(), ref(200))
				third <- err
			}()
			<-second
			synctest.Wait()
			r.free()
			if err := errors.Join(<-first, <-third); err != nil {
				t.Error(err)
			}
			synctest.Wait()
			if l := r.Load(); l != (Load{}) {
				t.Errorf("got %+v at the end", l)
			}
		})
	}
}

// A call that fails as a whole may fail by one of its variants: the others are made again alone. A panic is no other.
func TestOneVariantSpoilsTheCall(t *testing.T) {
	for name, fail := range map[string]func() error{
		"an error": func() error { return fault.New(fault.TooCostly, "test", "too much", nil) },
		"a panic":  func() error { panic("boom") },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newJointRig(t)
				r.onCall = func(specs []variant.Spec) error {
					if slices.ContainsFunc(specs, func(s variant.Spec) bool { return s.Width == 200 }) {
						return fail()
					}
					return nil
				}
				_, first := r.viewer(100)
				_, second := r.viewer(200)
				_, third := r.viewer(300)
				r.free()
				wantKind(t, <-second, map[string]fault.Kind{"an error": fault.TooCostly, "a panic": fault.Internal}[name])
				if err := <-third; err != nil {
					t.Errorf("a rider beside: %v", err)
				}
				if err := <-first; name == "an error" && err != nil {
					t.Errorf("the carrier: %v", err)
				}
				synctest.Wait()
				if l := r.Load(); l != (Load{}) {
					t.Errorf("got %+v at the end", l)
				}
			})
		})
	}
}

// A carrier whose time is up strands nobody.
func TestRidersOfACarrierWhoseTimeIsUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newJointRig(t)
		r.Pipeline.cfg.FillTimeout = time.Minute
		_, first := r.viewer(100)
		time.Sleep(40 * time.Second)
		_, second := r.viewer(200)
		if err := <-first; !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("the carrier got %v", err)
		}
		r.free()
		if err := <-second; err != nil {
			t.Errorf("the rider: %v", err)
		}
		r.wantCalls(t, []int{200})
	})
}

// Heavy variants do not ride with light ones, nor background work with viewers.
func TestWhoRidesAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newJointRig(t)
		r.origin.onFetch = func(context.Context, string) (origin.Original, error) {
			return origin.Original{Body: []byte("x"), Info: sniff.Info{Format: "jpeg", Width: 4000, Height: 3000}}, nil
		}
		large := ref(3000)
		large.Spec.Format = variant.AVIF
		_, light := r.viewer(100)
		done := make(chan error, 2)
		go func() {
			_, err := r.Get(context.Background(), large)
			done <- err
		}()
		synctest.Wait()
		go func() { done <- r.Warm(context.Background(), refs(200, 300))[0].Err }()
		synctest.Wait()
		r.free()
		if err := errors.Join(<-light, <-done, <-done); err != nil {
			t.Error(err)
		}
		r.wantCalls(t, []int{100}, []int{3000}, []int{200, 300})
	})
}

// A master is made once of a download, however many fills shared it.
func TestMasterOncePerDownload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, count := masterRig(t, func(c *Config, _ *Parts) { c.TransformSlots = 1 })
		hold, _ := r.transforms.acquire(t.Context(), &urgency{rank: viewing})
		for _, w := range []int{100, 200, 300} {
			go func() { _, _ = r.Get(context.Background(), ref(w)) }()
			synctest.Wait()
		}
		hold()
		synctest.Wait()
		count.want(t, "made", 1)
		r.wantFetches(t, 1)
	})
}

// A call for several batches counts for each of them in what the next viewer's wait is estimated by, and riders count among those who
// wait before it.
func TestRidersInTheEstimate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newJointRig(t)
		r.onCall = func(specs []variant.Spec) error {
			time.Sleep(time.Duration(len(specs)) * firstTakes[0])
			return nil
		}
		for _, w := range []int{100, 200, 300} {
			_, _ = r.viewer(w)
		}
		r.transforms.mu.Lock()
		before := r.transforms.wait(&piece{urgency: &urgency{rank: viewing}})
		r.transforms.mu.Unlock()
		if want := 3*firstTakes[0] + firstTakes[0]/2; before != want { // One in work is half done.
			t.Errorf("behind three who share a call: %v, want %v", before, want)
		}
		r.free()
		time.Sleep(time.Second)
		synctest.Wait()
		r.transforms.mu.Lock()
		defer r.transforms.mu.Unlock()
		if got := r.transforms.takes[0]; got != firstTakes[0] || r.transforms.riding != [2]int{} {
			t.Errorf("after it: a piece takes %v, %v ride, want %v and none", got, r.transforms.riding, firstTakes[0])
		}
	})
}
