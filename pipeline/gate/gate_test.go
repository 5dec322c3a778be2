package gate

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/goldcrest/goldcrest/fault"
)

// Tests must not leak goroutines.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func newGate(slots, room int) *Gate {
	return New(Config{Name: "test", Slots: slots, Room: room, Refused: func(string) {}})
}

// grants calls Enter for each letter in order ("v" viewer, "h" viewer of a heavy picture, "b" background, "u" upgrade)
// on a full gate. It returns the order of the grants, with one slot at a time.
func grants(t *testing.T, g *Gate, who string) string {
	t.Helper()
	hold, err := g.Acquire(t.Context(), At(Warming))
	if err != nil {
		t.Fatal(err)
	}
	order := make(chan byte, len(who))
	for i := range who {
		go func() {
			u := At(map[byte]Rank{'u': Upgrading, 'b': Warming, 'v': Viewing, 'h': Viewing}[who[i]])
			release, err := g.Enter(context.Background(), &Piece{Urgency: u, Heavy: who[i] == 'h'})
			if err != nil {
				t.Error(err)
				return
			}
			order <- who[i]
			release()
		}()
		synctest.Wait()
	}
	hold()
	synctest.Wait()
	close(order)
	got := ""
	for b := range order {
		got += string(b)
	}
	return got
}

// Viewers pass before background work, which still gets one grant in ten. Both pass before upgrades. Light pieces pass
// heavy ones, which get every fourth turn of the viewers.
func TestGateOrder(t *testing.T) {
	for who, want := range map[string]string{
		"bbv":                  "vbb",
		"vbvb":                 "vvbb",
		"hhvvvvv":              "vvvhvvh",
		"bhv":                  "vhb",
		"uubvuv":               "vvbuuu",
		"bbvvvvvvvvvvvvvvvvvv": "vvvvvvvvvbvvvvvvvvvb",
	} {
		synctest.Test(t, func(t *testing.T) {
			if got := grants(t, newGate(1, 100), who); got != want {
				t.Errorf("%s: got %s, want %s", who, got, want)
			}
		})
	}
}

// If the waiting room is full, a viewer is refused at once, with a Retry-After.
func TestGateRefuses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate(1, 1)
		hold, _ := g.Acquire(t.Context(), At(Viewing))
		done := make(chan struct{})
		go func() {
			release, err := g.Acquire(context.Background(), At(Viewing))
			if err == nil {
				release()
			}
			close(done)
		}()
		synctest.Wait()
		_, err := g.Acquire(t.Context(), At(Viewing))
		if fault.KindOf(err) != fault.Overloaded || fault.Of(err).RetryAfter <= 0 {
			t.Errorf("got %v, want an overloaded fault with Retry-After", err)
		}
		hold()
		<-done
		if l := g.Load(); l != (Load{}) {
			t.Errorf("got %+v at the end, want nothing", l)
		}
	})
}

// In an overload the queue may be empty for a moment. Viewers who come back then get no longer queue than before, until
// nobody was refused for a while. After that a burst is served.
func TestGateKnowsAnOverloadThatPauses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const takes = 100 * time.Millisecond
		g := newGate(1, 1000)
		g.cfg.Patience = time.Second
		var served []time.Duration
		var all sync.WaitGroup
		group := func(n int) (refused int) {
			for range n {
				p := &Piece{Urgency: At(Viewing), Deadline: time.Now().Add(25 * time.Second)}
				if g.Admit(p) != nil {
					refused++
					continue
				}
				all.Go(func() {
					came := time.Now()
					release, err := g.Enter(t.Context(), p)
					if err != nil {
						t.Error(err)
						return
					}
					served = append(served, time.Since(came))
					time.Sleep(takes)
					release()
				})
				synctest.Wait()
			}
			return refused
		}
		for range 100 { // five times the capacity, for ten seconds
			group(5)
			time.Sleep(takes)
		}
		all.Wait()
		served = nil
		if refused := group(50); refused < 35 {
			t.Errorf("soon after the overload %d of 50 were refused, want most", refused)
		}
		all.Wait()
		if most := slices.Max(served); most > g.cfg.Patience+2*takes {
			t.Errorf("a viewer waited %v, want at most %v", most, g.cfg.Patience)
		}
		time.Sleep(lull)
		if refused := group(50); refused > 0 {
			t.Errorf("%d of a burst of 50 were refused", refused)
		}
		all.Wait()
	})
}

// In an overload viewers wait at most twice as long as they should, also if quick and slow pictures come in groups.
func TestGateForeseesMixedPictures(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate(2, 1000)
		g.cfg.Patience = time.Second
		var all sync.WaitGroup
		var waited sync.Mutex
		var most time.Duration
		for i := range 2500 { // five times the capacity, for 25 seconds
			p := &Piece{Urgency: At(Viewing), Deadline: time.Now().Add(15 * time.Second)}
			if g.Admit(p) == nil {
				all.Go(func() {
					came := time.Now()
					release, err := g.Enter(t.Context(), p)
					if err != nil {
						t.Error(err)
						return
					}
					if i > 1500 { // the bound is in force, and what came before it is done
						waited.Lock()
						most = max(most, time.Since(came))
						waited.Unlock()
					}
					time.Sleep([]time.Duration{50 * time.Millisecond, 150 * time.Millisecond}[i/50%2])
					release()
				})
			}
			time.Sleep(10 * time.Millisecond)
		}
		all.Wait()
		if most < g.cfg.Patience || most > 2*g.cfg.Patience {
			t.Errorf("viewers waited up to %v, want between %v and twice that", most, g.cfg.Patience)
		}
	})
}

// Background work that a viewer joins passes earlier background work.
func TestGatePromotes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate(1, 10)
		hold, _ := g.Acquire(t.Context(), At(Warming))
		var order []string
		joined := At(Warming)
		for _, w := range []struct {
			name string
			u    *Urgency
		}{{"first", At(Warming)}, {"joined", joined}} {
			go func() {
				release, err := g.Acquire(context.Background(), w.u)
				if err != nil {
					t.Error(err)
					return
				}
				order = append(order, w.name)
				release()
			}()
			synctest.Wait()
		}
		joined.Raise(Viewing)
		hold()
		synctest.Wait()
		if len(order) != 2 || order[0] != "joined" {
			t.Errorf("got %v, want the joined work first", order)
		}
	})
}

// A caller that leaves the waiting room leaves no slot behind.
func TestCancelledWaiterLeavesNoSlotTaken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate(1, 10)
		hold, _ := g.Acquire(t.Context(), At(Warming))
		ctx, cancel := context.WithCancel(t.Context())
		got := make(chan error, 1)
		go func() {
			_, err := g.Acquire(ctx, At(Viewing))
			got <- err
		}()
		synctest.Wait()
		cancel()
		if err := <-got; !errors.Is(err, context.Canceled) {
			t.Errorf("got %v, want cancelled", err)
		}
		hold()
		if l := g.Load(); l != (Load{}) {
			t.Errorf("got %+v at the end, want nothing", l)
		}
	})
}

// After a viewer's piece, one slot is reserved for the next viewer for a while. Background work gets the others.
func TestGateKeepsASlotForViewers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate(2, 10)
		g.cfg.Hold = ViewerHold
		var held atomic.Int64 // by background work
		leave := make(chan struct{})
		for range 5 {
			go func() {
				release, err := g.Acquire(t.Context(), At(Warming))
				if err != nil {
					t.Error(err)
					return
				}
				held.Add(1)
				<-leave
				held.Add(-1)
				release()
			}()
		}
		step := func(what string, want int64) {
			t.Helper()
			if synctest.Wait(); held.Load() != want {
				t.Errorf("%s: background work has %d slots, want %d", what, held.Load(), want)
			}
		}
		step("before any viewer", 2)
		seen := make(chan struct{})
		go func() {
			release, err := g.Acquire(t.Context(), At(Viewing))
			if err == nil {
				release()
			}
			close(seen)
		}()
		synctest.Wait()
		leave <- struct{}{}
		<-seen
		step("after a viewer", 1)
		leave <- struct{}{}
		step("one left, one came", 1)
		if release, err := g.Acquire(t.Context(), At(Viewing)); err != nil || held.Load() != 1 {
			t.Errorf("the next viewer: %v, background work has %d slots", err, held.Load())
		} else {
			release()
		}
		time.Sleep(ViewerHold - time.Millisecond)
		step("within the hold", 1)
		time.Sleep(2 * time.Millisecond)
		step("after the hold", 2)
		close(leave)
		synctest.Wait()
		if l := g.Load(); l != (Load{}) {
			t.Errorf("got %+v at the end, want nothing", l)
		}
	})
}

// A heavy piece gets a free place aside at once although light ones wait for the slots. The time that it takes there
// does not count in the estimates of other pieces.
func TestFault03AsideWaitsForNoSlot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate(2, 10)
		g.cfg.Hold = ViewerHold
		viewer := func(heavy bool) *Piece { return &Piece{Urgency: At(Viewing), Heavy: heavy} }
		var light []func()
		for range 2 {
			release, err := g.Enter(t.Context(), viewer(false))
			if err != nil {
				t.Fatal(err)
			}
			light = append(light, release)
		}
		third := make(chan func(), 1)
		go func() {
			release, err := g.Enter(t.Context(), viewer(false))
			if err != nil {
				t.Error(err)
			}
			third <- release
		}()
		synctest.Wait()
		began, before := time.Now(), g.takes[weight(true)]
		p := viewer(true)
		release, err := g.Enter(t.Context(), p)
		if err != nil || !p.Aside || time.Since(began) != 0 {
			t.Fatalf("error %v, aside %v after %v; want a place aside at once", err, p.Aside, time.Since(began))
		}
		time.Sleep(time.Minute)
		release()
		if g.takes[weight(true)] != before || g.takes[asideTakes] <= firstTakes[asideTakes] {
			t.Errorf("heavy pieces are expected to take %v in a slot and %v aside, want %v and more than %v", g.takes[1], g.takes[asideTakes], before, firstTakes[asideTakes])
		}
		light[0]()
		light[1]()
		(<-third)()
	})
}
