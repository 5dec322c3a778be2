package pipeline

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/goldcrest/goldcrest/variant"
)

// costlyWidth is the width from which pictures take a worker of newCostlyRig five seconds.
const costlyWidth = 1000

// newCostlyRig is a busy rig of two workers, with slow pictures that do not look heavy.
func newCostlyRig(t *testing.T) *rig {
	t.Helper()
	r := newBusyRig(t, 2)
	r.codec.onTransform = func(_ context.Context, specs []variant.Spec, emit emitFunc) error {
		if specs[0].Width >= costlyWidth {
			time.Sleep(5 * time.Second)
		} else {
			time.Sleep(100 * time.Millisecond)
		}
		emit(0, variant.Image{Body: []byte("x"), Format: specs[0].Format}, nil)
		return nil
	}
	return r
}

// request is a viewer's request with a deadline of 25 s.
func (r *rig) request(key, source string, width int) (took time.Duration, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), 25*time.Second)
	defer cancel()
	asked, began := ref(width), time.Now()
	asked.Source = "https://c.example/" + source
	_, err = r.GetFor(ctx, asked, Viewer{Key: key})
	return time.Since(began), err
}

// misses requests n new pictures, one after the other, and returns how long each took.
func (r *rig) misses(t *testing.T, key string, n int) (took []time.Duration) {
	t.Helper()
	for i := range n {
		d, err := r.request(key, fmt.Sprintf("%s-%p-%d.jpg", t.Name(), &took, i), 100)
		if err != nil {
			t.Errorf("a miss of others: %v", err)
		}
		took = append(took, d)
	}
	slices.Sort(took)
	return took
}

const aloneTakes = 150 * time.Millisecond // a miss of newBusyRig that waits for nothing

// One source with pictures that take seconds is requested in ever new variants. Other misses take as long as without
// it, from the first one on, also while hundreds of its variants wait. Its variants are still made.
func TestShareOfASource(t *testing.T) {
	for _, at := range []int{4, 100} {
		t.Run(fmt.Sprint(at), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newCostlyRig(t)
				var all sync.WaitGroup
				var mu sync.Mutex
				served := 0
				attack := func(from int) {
					for i := range at {
						all.Go(func() {
							_, err := r.request("k", "costly.jpg", costlyWidth+from+i)
							mu.Lock()
							defer mu.Unlock()
							if err == nil {
								served++
							}
						})
					}
				}
				attack(0)
				time.Sleep(60 * time.Millisecond) // they have its original
				for n := range 20 {
					took := r.misses(t, "k", 20)
					if last := took[len(took)-1]; last > aloneTakes {
						t.Errorf("after %d variants, others took up to %v, want %v", n*at, last, aloneTakes)
					}
					attack((n + 1) * at)
				}
				all.Wait()
				if served < 10 { // one worker's work of a minute, at five seconds each
					t.Errorf("got %d of its variants made, want what one worker makes", served)
				}
			})
		})
	}
}

// A page with several sizes of a new picture gets both workers as soon as the source is known to be cheap.
func TestShareOfACheapSource(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newCostlyRig(t)
		var all sync.WaitGroup
		for i := range 7 {
			all.Go(func() {
				// The first one, then three times two.
				if took, err := r.request("k", "page.jpg", 100+i); err != nil || took > 450*time.Millisecond {
					t.Errorf("size %d: %v after %v", i, err, took)
				}
			})
		}
		all.Wait()
	})
}

// Work beyond the share of a source or key is made aside, so that no core is idle.
func TestShareLeavesNoCoreIdle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newCostlyRig(t)
		if _, err := r.request("k", "costly.jpg", costlyWidth); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		var all sync.WaitGroup
		for i := range 4 {
			all.Go(func() {
				if took, err := r.request("k", "costly.jpg", costlyWidth+1+i); err != nil || took > 11*time.Second {
					t.Errorf("%v after %v, want two at a time", err, took)
				}
			})
		}
		all.Wait()
	})
}

// A source that was dear is like any other soon after its pictures are quick.
func TestShareOfASourceRecoversWhenItsPicturesAreQuick(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newCostlyRig(t)
		if _, err := r.request("k", "a.jpg", costlyWidth); err != nil {
			t.Fatal(err)
		}
		source := "https://c.example/a.jpg"
		synctest.Wait() // the answer comes before the account is charged
		if !r.transforms.Dear(source) {
			t.Fatal("after five seconds for one picture, the source is not dear")
		}
		for i := range 20 {
			if _, err := r.request("k", "a.jpg", 100+i); err != nil {
				t.Fatal(err)
			}
		}
		synctest.Wait()
		if r.transforms.Dear(source) {
			t.Error("after twenty pictures that took little, the source is dear")
		}
	})
}

// A key with pictures of ever new sources that take seconds leaves a worker to the viewers of other keys.
func TestShareOfAKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newCostlyRig(t)
		var all sync.WaitGroup
		stop := make(chan struct{})
		for c := range 4 {
			all.Go(func() {
				for i := 0; ; i++ {
					select {
					case <-stop:
						return
					default:
						if _, err := r.request("hostile", fmt.Sprintf("%d-%d.jpg", c, i), costlyWidth); err != nil {
							time.Sleep(time.Second)
						}
					}
				}
			})
		}
		time.Sleep(10 * time.Second)
		for range 20 {
			took := r.misses(t, "mine", 20)
			if p50 := took[len(took)/2]; p50 > aloneTakes {
				t.Errorf("misses of another key took %v in the median, want %v", p50, aloneTakes)
			}
		}
		close(stop)
		all.Wait()
	})
}
