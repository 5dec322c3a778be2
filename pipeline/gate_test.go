package pipeline

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/goldcrest/goldcrest/fault"
)

// grants starts an acquire for each letter in order ("v" viewer, "h" viewer of what is heavy, "b" background, "u"
// upgrade) on a full gate and returns the order in which they are let in, one slot at a time.
func grants(t *testing.T, g *gate, who string) string {
	t.Helper()
	hold, err := g.acquire(t.Context(), &urgency{rank: warming})
	if err != nil {
		t.Fatal(err)
	}
	order := make(chan byte, len(who))
	for i := range who {
		go func() {
			u := &urgency{rank: map[byte]rank{'u': upgrading, 'b': warming, 'v': viewing, 'h': viewing}[who[i]]}
			release, err := g.enter(context.Background(), &piece{urgency: u, heavy: who[i] == 'h'})
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

// Viewers pass before background work, which still gets one grant in ten, and both before upgrades. What is light
// passes what is heavy, which gets every fourth turn of the viewers.
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
			if got := grants(t, newGate("test", 1, 100, noObserver{}), who); got != want {
				t.Errorf("%s: got %s, want %s", who, got, want)
			}
		})
	}
}

// Past the waiting room a viewer is refused at once, with a hint when to come back.
func TestGateRefuses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate("test", 1, 1, noObserver{})
		hold, _ := g.acquire(t.Context(), &urgency{rank: viewing})
		done := make(chan struct{})
		go func() {
			release, err := g.acquire(context.Background(), &urgency{rank: viewing})
			if err == nil {
				release()
			}
			close(done)
		}()
		synctest.Wait()
		_, err := g.acquire(t.Context(), &urgency{rank: viewing})
		wantKind(t, err, fault.Overloaded)
		if fault.Of(err).RetryAfter <= 0 {
			t.Error("an overloaded fault without Retry-After")
		}
		hold()
		<-done
		if running, waiting := g.load(); running != 0 || waiting != 0 {
			t.Errorf("got %d running, %d waiting at the end, want none", running, waiting)
		}
	})
}

// Work that a viewer joins passes the background work that came before it.
func TestGatePromotes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate("test", 1, 10, noObserver{})
		hold, _ := g.acquire(t.Context(), &urgency{rank: warming})
		var order []string
		joined := &urgency{rank: warming}
		for _, w := range []struct {
			name string
			u    *urgency
		}{{"first", &urgency{rank: warming}}, {"joined", joined}} {
			go func() {
				release, err := g.acquire(context.Background(), w.u)
				if err != nil {
					t.Error(err)
					return
				}
				order = append(order, w.name)
				release()
			}()
			synctest.Wait()
		}
		joined.raise(viewing)
		hold()
		synctest.Wait()
		if len(order) != 2 || order[0] != "joined" {
			t.Errorf("got %v, want the joined work first", order)
		}
	})
}

// Whoever leaves the waiting room leaves no slot behind.
func TestGateLeave(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate("test", 1, 10, noObserver{})
		hold, _ := g.acquire(t.Context(), &urgency{rank: warming})
		ctx, cancel := context.WithCancel(t.Context())
		got := make(chan error, 1)
		go func() {
			_, err := g.acquire(ctx, &urgency{rank: viewing})
			got <- err
		}()
		synctest.Wait()
		cancel()
		if err := <-got; !errors.Is(err, context.Canceled) {
			t.Errorf("got %v, want cancelled", err)
		}
		hold()
		if running, waiting := g.load(); running != 0 || waiting != 0 {
			t.Errorf("got %d running, %d waiting, want none", running, waiting)
		}
	})
}

// After a viewer one slot waits for the next viewer, for a while; background work has the others.
func TestGateKeepsASlotForViewers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate("test", 2, 10, noObserver{})
		g.hold = viewerHold
		var held atomic.Int64 // by background work
		leave := make(chan struct{})
		for range 5 {
			go func() {
				release, err := g.acquire(t.Context(), &urgency{rank: warming})
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
			release, err := g.acquire(t.Context(), &urgency{rank: viewing})
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
		if release, err := g.acquire(t.Context(), &urgency{rank: viewing}); err != nil || held.Load() != 1 {
			t.Errorf("the next viewer: %v, background work has %d slots", err, held.Load())
		} else {
			release()
		}
		time.Sleep(viewerHold - time.Millisecond)
		step("within the hold", 1)
		time.Sleep(2 * time.Millisecond)
		step("after the hold", 2)
		close(leave)
		synctest.Wait()
		if running, waiting := g.load(); running != 0 || waiting != 0 {
			t.Errorf("got %d running, %d waiting at the end, want none", running, waiting)
		}
	})
}

// A heavy piece gets a free place aside at once though light ones wait for the slots, and the time that it takes there
// is nobody else's estimate.
func TestFault03AsideWaitsForNoSlot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate("test", 2, 10, noObserver{})
		g.hold = viewerHold
		viewer := func(heavy bool) *piece { return &piece{urgency: &urgency{rank: viewing}, heavy: heavy} }
		var light []func()
		for range 2 {
			release, err := g.enter(t.Context(), viewer(false))
			if err != nil {
				t.Fatal(err)
			}
			light = append(light, release)
		}
		third := make(chan func(), 1)
		go func() {
			release, err := g.enter(t.Context(), viewer(false))
			if err != nil {
				t.Error(err)
			}
			third <- release
		}()
		synctest.Wait()
		began, before := time.Now(), g.takes[weight(true)]
		p := viewer(true)
		release, err := g.enter(t.Context(), p)
		if err != nil || !p.aside || time.Since(began) != 0 {
			t.Fatalf("error %v, aside %v after %v; want a place aside at once", err, p.aside, time.Since(began))
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
