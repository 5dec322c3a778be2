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

// Who used more of the workers' time waits for those who used less, by source and then by key; those who used little
// for nobody.
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
		work("more", "b", 9*time.Second)
		work("little", "b", time.Second)
		release, err := g.Enter(t.Context(), viewer("other", "c"))
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		var all sync.WaitGroup
		for _, who := range [][2]string{
			{"more", "a"}, {"much", "b"}, {"little", "b"}, {"new", "a"}, {"newer", "c"}, {"newest", "c"},
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
		if want := []string{"newer", "newest", "new", "little", "much", "more"}; !slices.Equal(got, want) {
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
