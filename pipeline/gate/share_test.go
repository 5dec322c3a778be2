package gate

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// A piece waits for those whose source, and then whose key, used many times less of the workers' time. Little use
// counts as none. Those that used about as much keep the order of arrival.
func TestShareInTheQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate(1, 100)
		viewer := func(source, key string) *Piece {
			return &Piece{Urgency: At(Viewing), Source: source, Key: key}
		}
		work := func(source, key string, d time.Duration) {
			release, err := g.Enter(t.Context(), viewer(source, key))
			if err != nil {
				t.Fatal(err)
			}
			time.Sleep(d)
			release()
		}
		work("much", "a", 6*time.Second)
		work("as much", "a", 8*time.Second)
		work("more", "b", time.Minute)
		work("little", "b", freeUse/8)
		release, err := g.Enter(t.Context(), viewer("other", "c"))
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		var all sync.WaitGroup
		for _, who := range [][2]string{
			{"more", "a"}, {"as much", "b"}, {"much", "b"}, {"little", "b"}, {"new", "a"}, {"newer", "c"}, {"newest", "c"},
		} {
			all.Go(func() {
				release, err := g.Enter(t.Context(), viewer(who[0], who[1]))
				if err != nil {
					t.Error(err)
					return
				}
				got = append(got, who[0])
				release()
			})
			synctest.Wait()
		}
		release()
		all.Wait()
		if want := []string{"newer", "newest", "new", "little", "as much", "much", "more"}; !slices.Equal(got, want) {
			t.Errorf("got the order %v, want %v", got, want)
		}
		time.Sleep(5 * useLife)
		g.mu.Lock()
		defer g.mu.Unlock()
		for by := range g.accounts {
			for _, a := range g.accounts[by] {
				if a.used(time.Now()) > 0 {
					t.Errorf("after %v, %+v still counts", 5*useLife, *a)
				}
			}
		}
	})
}

// One source does not fill the waiting room, and accounts are bounded.
func TestShareIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate(2, 40)
		ctx, stop := context.WithCancel(t.Context())
		refused := 0
		var all sync.WaitGroup
		for range 60 {
			all.Go(func() {
				release, err := g.Enter(ctx, &Piece{Urgency: At(Viewing), Source: "one"})
				switch {
				case err == nil:
					<-ctx.Done()
					release()
				case ctx.Err() == nil:
					refused++
				}
			})
			synctest.Wait()
		}
		if waiting := g.Load().Waiting; waiting != 40/roomShare || refused != 60-1-40/roomShare {
			t.Errorf("%d of one source wait, %d were refused; want %d", waiting, refused, 40/roomShare)
		}
		stop()
		all.Wait()
		for i := range 3 * maxAccounts {
			p := &Piece{Urgency: At(Viewing), Source: fmt.Sprint(i), Key: fmt.Sprint(i)}
			release, err := g.Enter(t.Context(), p)
			if err != nil {
				t.Fatal(err)
			}
			release()
		}
		for by := range g.accounts {
			for _, a := range g.accounts[by] {
				if a.slots+a.asides != 0 {
					t.Errorf("%+v holds something although nothing runs", *a)
				}
			}
		}
		if a, b := len(g.accounts[bySource]), len(g.accounts[byKey]); a > maxAccounts || b > maxAccounts {
			t.Errorf("%d sources and %d keys are known, want at most %d", a, b, maxAccounts)
		}
	})
}

// A source's pictures are judged by those that look light, and by the time that they would take in a slot.
func TestSourceIsJudgedByItsLightPicturesAndTheirTime(t *testing.T) {
	now := time.Now()
	for name, test := range map[string]struct {
		piece Piece
		held  time.Duration
		dear  bool
	}{
		"light, and quick":                        {Piece{}, 100 * time.Millisecond, false},
		"light, and slow":                         {Piece{}, time.Second, true},
		"it looks heavy":                          {Piece{Heavy: true}, time.Minute, false},
		"heavy only by what was known, and slow":  {Piece{Heavy: true, Dear: true}, time.Second, true},
		"heavy only by what was known, and quick": {Piece{Heavy: true, Dear: true}, 100 * time.Millisecond, false},
		"aside, where all takes longer":           {Piece{Aside: true}, time.Second, false},
		"slow even for a place aside":             {Piece{Aside: true}, 5 * time.Second, true},
	} {
		a := &account{}
		if a.charge(&test.piece, test.held, now); a.dear() != test.dear || a.left(now) != test.held {
			t.Errorf("%s: dear %v, %v spent; want %v, %v", name, a.dear(), a.left(now), test.dear, test.held)
		}
	}
}

// An upgrade that waited for a free slot and gave it back at once does not count in the average durations.
func TestUnusedSlotOfAnUpgradeDoesNotCountInDurations(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate(2, 10)
		for _, rank := range []Rank{Upgrading, Warming} {
			before := g.takes[0]
			release, err := g.Acquire(t.Context(), At(rank))
			if err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Minute)
			release()
			if (g.takes[0] == before) != (rank == Upgrading) {
				t.Errorf("rank %d: pictures are expected to take %v, before %v", rank, g.takes[0], before)
			}
		}
	})
}

// While the slots are reserved for light pictures, heavy pieces in the queue use none of them, and a slot that a heavy
// piece still holds does not reduce the queue.
func TestWaitWhileSlotsAreKeptForLight(t *testing.T) {
	g := newGate(2, 10)
	for range 3 {
		g.booked[&Piece{}] = struct{}{}
	}
	for range 9 {
		g.booked[&Piece{Heavy: true}] = struct{}{}
	}
	g.running[1] = 1
	for _, test := range []struct {
		kept bool
		want time.Duration
	}{
		{true, 3 * firstTakes[0]},
		{false, (3*firstTakes[0] + firstTakes[1] + firstTakes[1]/2) / 2}, // one heavy one passes for three light ones
	} {
		g.keptForLight.on = test.kept
		if got := g.wait(&Piece{}); got != test.want {
			t.Errorf("kept %v: a light picture is expected to wait for %v, want %v", test.kept, got, test.want)
		}
	}
}
