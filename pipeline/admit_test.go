package pipeline

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/goldcrest/goldcrest/fault"
	"github.com/goldcrest/goldcrest/origin"
	"github.com/goldcrest/goldcrest/sniff"
	"github.com/goldcrest/goldcrest/variant"
)

// newBusyRig is a rig with n workers, whose pictures take 100 ms each and whose viewers wait up to 25 s.
func newBusyRig(t *testing.T, n int) *rig {
	t.Helper()
	r := newRig(t, func(c *Config, _ *Parts) { c.TransformSlots = n })
	r.origin.onFetch = func(context.Context, string) (origin.Original, error) {
		time.Sleep(50 * time.Millisecond)
		return origin.Original{Body: []byte("x"), Info: sniff.Info{Format: "jpeg", Width: 4000, Height: 3000}}, nil
	}
	r.codec.onTransform = func(_ context.Context, specs []variant.Spec, emit emitFunc) error {
		time.Sleep(100 * time.Millisecond)
		emit(0, variant.Image{Body: []byte("x"), Format: specs[0].Format}, nil)
		return nil
	}
	return r
}

// ask is one viewer with a deadline. It returns the duration and the error.
func (r *rig) ask(ref variant.Ref, patience time.Duration) (took time.Duration, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	began := time.Now()
	_, err = r.Get(ctx, ref)
	return time.Since(began), err
}

// numbered returns the Ref of one of many pictures.
func numbered(i int) variant.Ref {
	r := ref(100)
	r.Source = fmt.Sprintf("https://c.example/%d.jpg", i)
	return r
}

// Five times the capacity for twenty seconds. Every admitted viewer is served in time. Refusals come at once with a
// Retry-After. No worker is idle. Pictures in memory are served without waiting.
func TestFault01Overload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const rate, seconds = 100, 20 // Two workers make 20 a second.
		r := newBusyRig(t, 2)
		if _, err := r.ask(ref(1), time.Minute); err != nil {
			t.Fatal(err)
		}
		var mu sync.Mutex
		served, refused := 0, 0
		var all sync.WaitGroup
		for i := range rate * seconds {
			all.Go(func() {
				took, err := r.ask(numbered(i), 25*time.Second)
				mu.Lock()
				defer mu.Unlock()
				switch {
				case err == nil:
					served++
				case fault.KindOf(err) != fault.Overloaded || fault.Of(err).RetryAfter < time.Second || took > 0:
					t.Errorf("got %v after %v, want overloaded at once, with Retry-After", err, took)
				default:
					refused++
				}
			})
			if took, err := r.ask(ref(1), time.Second); err != nil || took > 0 {
				t.Errorf("a hit: %v after %v", err, took)
			}
			time.Sleep(time.Second / rate)
		}
		ended := time.Now()
		all.Wait()
		if drained := time.Since(ended); drained > 5*time.Second {
			t.Errorf("the queue was gone only %v after the load, want at most 5 s", drained)
		}
		if least := 20*seconds + 20; served < least || served+refused != rate*seconds {
			t.Errorf("got %d served, %d refused; want at least %d served", served, refused, least)
		}
	})
}

// A burst to an idle server is served completely, as far as its deadline allows.
func TestFault01BurstIsServed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newBusyRig(t, 2)
		var all sync.WaitGroup
		for i := range 200 { // 10 s of work
			all.Go(func() {
				if _, err := r.ask(numbered(i), 25*time.Second); err != nil {
					t.Errorf("picture %d: %v", i, err)
				}
			})
		}
		all.Wait()
	})
}

// A viewer with too little time left is refused at once, and nothing is fetched.
func TestFault01DeadlineTooShort(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newBusyRig(t, 1)
		var all sync.WaitGroup
		for i := range 50 { // 5 s of work
			all.Go(func() { _, _ = r.ask(numbered(i), 25*time.Second) })
		}
		synctest.Wait()
		took, err := r.ask(numbered(100), 2*time.Second)
		wantKind(t, err, fault.Overloaded)
		if took > 0 {
			t.Errorf("refused after %v, want at once", took)
		}
		all.Wait()
		synctest.Wait()
		if fetches, _ := r.origin.counts(); fetches != 50 {
			t.Errorf("got %d fetches, want none for who was refused", fetches)
		}
		if _, err := r.ask(numbered(101), 2*time.Second); err != nil {
			t.Errorf("after the load: %v", err)
		}
	})
}

// Pictures of a very slow origin do not keep others from the idle workers.
func TestFault01SlowOriginShedsNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newBusyRig(t, 2)
		r.origin.onEnter = func(source string) (bool, func()) {
			return strings.Contains(source, "slow"), func() { time.Sleep(20 * time.Second) }
		}
		var all sync.WaitGroup
		for i := range 1000 {
			all.Go(func() {
				slow := ref(100)
				slow.Source = fmt.Sprintf("https://slow.example/%d.jpg", i)
				if _, err := r.ask(slow, 10*time.Second); fault.KindOf(err) == fault.Overloaded {
					t.Errorf("picture %d of the slow origin: %v", i, err)
				}
			})
		}
		synctest.Wait()
		for i := range 10 {
			if took, err := r.ask(numbered(i), 10*time.Second); err != nil || took > time.Second {
				t.Errorf("picture %d of another: %v after %v", i, err, took)
			}
		}
		all.Wait()
		time.Sleep(time.Minute) // until the fetches have noticed
	})
}

// Refused viewers come back three times, as told. 5 s after the load ends, a normal viewer is served at once.
func TestFault02RetryStorm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const rate, seconds = 100, 20
		r := newBusyRig(t, 2)
		var all sync.WaitGroup
		for i := range rate * seconds {
			all.Go(func() {
				for range 4 {
					_, err := r.ask(numbered(i), 25*time.Second)
					if err == nil {
						return
					}
					time.Sleep(fault.Of(err).RetryAfter)
				}
			})
			time.Sleep(time.Second / rate)
		}
		time.Sleep(5 * time.Second)
		for i := range 50 { // half of the capacity
			if took, err := r.ask(numbered(-1-i), 25*time.Second); err != nil || took > time.Second {
				t.Errorf("normal request %d: %v after %v", i, err, took)
			}
			time.Sleep(100 * time.Millisecond)
		}
		all.Wait()
		synctest.Wait()
		if l := r.Load(); l != (Load{}) {
			t.Errorf("got %+v at the end", l)
		}
	})
}

// The same from a few sources whose pictures take between 60 and 150 ms. Those of the dearest source do not wait until
// nobody else asks: they are served as soon as others during the storm, and soon after it.
func TestFault02RetryStormOfFewSources(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const rate, seconds, sources = 100, 20, 10
		r := newBusyRig(t, 2)
		takes := func(width int) time.Duration { return time.Duration(width) * time.Millisecond }
		r.codec.onTransform = func(_ context.Context, specs []variant.Spec, emit emitFunc) error {
			time.Sleep(takes(specs[0].Width))
			emit(0, variant.Image{Body: []byte("x"), Format: specs[0].Format}, nil)
			return nil
		}
		picture := func(i int) variant.Ref {
			width := 60 + 10*(i%sources)
			ref := numbered(width)
			ref.Spec.Width, ref.Spec.Height = width, 1+i
			return ref
		}
		var all sync.WaitGroup
		for i := range rate * seconds {
			all.Go(func() {
				for range 4 {
					took, err := r.ask(picture(i), 25*time.Second)
					if err == nil {
						if most := 10 * time.Second; took > most {
							t.Errorf("a picture that takes %v was served after %v, want %v", takes(60+10*(i%sources)), took, most)
						}
						return
					}
					time.Sleep(fault.Of(err).RetryAfter)
				}
			})
			time.Sleep(time.Second / rate)
		}
		time.Sleep(5 * time.Second)
		for i := range 50 { // half of the capacity
			if took, err := r.ask(picture(rate*seconds+i), 25*time.Second); err != nil || took > time.Second {
				t.Errorf("normal request %d: %v after %v", i, err, took)
			}
			time.Sleep(100 * time.Millisecond)
		}
		all.Wait()
	})
}

// A stream of heavy pictures, more than one worker can make, goes aside and leaves both slots to the light ones.
func TestFault03LightIsNotStarved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newBusyRig(t, 2)
		r.codec.onTransform = func(_ context.Context, specs []variant.Spec, emit emitFunc) error {
			time.Sleep(map[variant.Format]time.Duration{variant.AVIF: 2 * time.Second}[specs[0].Format] + 100*time.Millisecond)
			emit(0, variant.Image{Body: []byte("x"), Format: specs[0].Format}, nil)
			return nil
		}
		var all sync.WaitGroup
		var mu sync.Mutex
		made := map[variant.Format]int{}
		slow := 0
		for i := range 200 {
			all.Go(func() {
				ref := numbered(i)
				if i%5 == 0 {
					ref.Spec.Format, ref.Spec.Width = variant.AVIF, 2000
				}
				took, err := r.ask(ref, 25*time.Second)
				mu.Lock()
				defer mu.Unlock()
				if err == nil {
					made[ref.Spec.Format]++
				}
				if ref.Spec.Format == variant.WebP && (err != nil || took > 600*time.Millisecond) {
					slow++
				}
			})
			time.Sleep(200 * time.Millisecond) // 4 light ones and a heavy one a second: 0.4 + 2.1 workers
		}
		all.Wait()
		if slow > 5 { // those before a slot was reserved for them
			t.Errorf("got %d light pictures refused or slow, want nearly none", slow)
		}
		if made[variant.WebP] < 155 || made[variant.AVIF] < 15 {
			t.Errorf("got %v made, want the light ones and as many heavy ones as one worker makes", made)
		}
	})
}
