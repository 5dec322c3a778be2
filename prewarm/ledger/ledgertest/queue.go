package ledgertest

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/goldcrest/goldcrest/fault"
	"github.com/goldcrest/goldcrest/prewarm/ledger"
)

// RunQueue tests a Queue against its contract. open returns an empty one; each test calls it once.
func RunQueue(t *testing.T, open func(t *testing.T) ledger.Queue) {
	for name, test := range map[string]func(*testing.T, ledger.Queue){
		"earlier lanes go first":                             earlierLanes,
		"a ticket is queued once, also while in progress":    putTwice,
		"a ticket comes again after its pause":               comesAgain,
		"a ticket comes again after its consumer is stopped": comesAfterStop,
		"a handler that panics keeps its ticket":             panics,
		"handlers run concurrently, up to the slots":         runsInSlots,
		"a call whose context has ended is cancelled":        cancelledQueue,
	} {
		t.Run(name, func(t *testing.T) { test(t, open(t)) })
	}
}

func ticket(lane, id string) ledger.Ticket { return ledger.Ticket{Lane: lane, ID: id} }

func mustPut(t *testing.T, q ledger.Queue, tickets ...ledger.Ticket) {
	t.Helper()
	if err := q.Put(t.Context(), tickets...); err != nil {
		t.Fatal(err)
	}
}

// Consume consumes the lanes of jobs until stop is called. Stop returns when all handlers have.
func Consume(t testing.TB, q ledger.Queue, slots int, h ledger.Handler) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() {
		if err := q.Consume(ctx, []string{ledger.LaneHigh, ledger.LaneNormal, ledger.LaneLow}, slots, h); err != nil {
			t.Error(err)
		}
	})
	return func() { cancel(); running.Wait() }
}

// WantWaiting fails unless the number of waiting tickets becomes want within 30 s: a queue may count with a delay, and a
// ticket for broken sources may wait for ten seconds.
func WantWaiting(t testing.TB, q ledger.Queue, lane string, want int) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(30 * time.Second); ; <-tick.C {
		n, err := q.Waiting(t.Context(), lane)
		if err != nil {
			t.Fatalf("%s: %v", lane, err)
		}
		if n == want {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s: %d wait, want %d", lane, n, want)
		}
	}
}

func earlierLanes(t *testing.T, q ledger.Queue) {
	mustPut(t, q, ticket(ledger.LaneTell, "other"), ticket(ledger.LaneLow, "a.1"))
	want := []ledger.Ticket{ticket(ledger.LaneHigh, "c.1")}
	for i := range 9 {
		want = append(want, ticket(ledger.LaneNormal, fmt.Sprint("b.", i)))
		mustPut(t, q, want[i+1])
	}
	mustPut(t, q, want[0])
	want = append(want, ticket(ledger.LaneLow, "a.1"))
	for lane, n := range map[string]int{ledger.LaneHigh: 1, ledger.LaneNormal: 9, ledger.LaneLow: 1, ledger.LaneTell: 1} {
		WantWaiting(t, q, lane, n)
	}
	got := make(chan ledger.Ticket, 10)
	stop := Consume(t, q, 1, func(_ context.Context, k ledger.Ticket) time.Duration { got <- k; return 0 })
	defer stop()
	for _, want := range want {
		if k := <-got; k != want {
			t.Errorf("got %v, want %v", k, want)
		}
	}
	for _, lane := range []string{ledger.LaneHigh, ledger.LaneNormal, ledger.LaneLow} {
		WantWaiting(t, q, lane, 0)
	}
	WantWaiting(t, q, ledger.LaneTell, 1)
	mustPut(t, q, ticket(ledger.LaneLow, "a.1")) // a ticket that is done can be put again
	if k := <-got; k.ID != "a.1" {
		t.Errorf("got %v", k)
	}
}

func putTwice(t *testing.T, q ledger.Queue) {
	x := ticket(ledger.LaneNormal, "x")
	mustPut(t, q, x, x)
	mustPut(t, q, x)
	WantWaiting(t, q, ledger.LaneNormal, 1)
	got, release := make(chan string, 10), make(chan struct{})
	stop := Consume(t, q, 2, func(_ context.Context, k ledger.Ticket) time.Duration {
		got <- k.ID
		if k == x {
			<-release
		}
		return 0
	})
	defer stop()
	want := func(id string) {
		t.Helper()
		if k := <-got; k != id {
			t.Errorf("got %s, want %s", k, id)
		}
	}
	want("x")
	mustPut(t, q, x, ticket(ledger.LaneNormal, "y"))
	want("y")
	WantWaiting(t, q, ledger.LaneNormal, 1) // in progress
	close(release)
	WantWaiting(t, q, ledger.LaneNormal, 0)
	mustPut(t, q, ticket(ledger.LaneNormal, "z"))
	want("z")
}

func comesAgain(t *testing.T, q ledger.Queue) {
	const pause = 50 * time.Millisecond
	mustPut(t, q, ticket(ledger.LaneNormal, "x"))
	times := make(chan time.Time, 10)
	n := 0
	stop := Consume(t, q, 3, func(context.Context, ledger.Ticket) time.Duration {
		times <- time.Now()
		if n++; n < 3 {
			return pause
		}
		return 0
	})
	defer stop()
	last := <-times
	for range 2 {
		now := <-times
		if d := now.Sub(last); d < pause {
			t.Errorf("came again after %s, want at least %s", d, pause)
		}
		last = now
	}
	WantWaiting(t, q, ledger.LaneNormal, 0)
}

func comesAfterStop(t *testing.T, q ledger.Queue) {
	mustPut(t, q, ticket(ledger.LaneNormal, "x"), ticket(ledger.LaneNormal, "y"))
	taken := make(chan struct{}, 10)
	stop := Consume(t, q, 1, func(ctx context.Context, _ ledger.Ticket) time.Duration {
		taken <- struct{}{}
		<-ctx.Done()
		return time.Millisecond
	})
	<-taken
	stop()
	if len(taken) > 0 {
		t.Errorf("%d tickets were delivered after the end", len(taken))
	}
	WantWaiting(t, q, ledger.LaneNormal, 2)
	got := make(chan string, 10)
	stop = Consume(t, q, 1, func(_ context.Context, k ledger.Ticket) time.Duration { got <- k.ID; return 0 })
	defer stop()
	if a, b := <-got, <-got; a == b {
		t.Errorf("got %s twice", a)
	}
}

func panics(t *testing.T, q ledger.Queue) {
	mustPut(t, q, ticket(ledger.LaneHigh, "x"), ticket(ledger.LaneNormal, "y"))
	other := make(chan struct{})
	stop := Consume(t, q, 1, func(_ context.Context, k ledger.Ticket) time.Duration {
		if k.ID == "x" {
			panic("a panic of a test")
		}
		close(other)
		return 0
	})
	defer stop()
	<-other
	WantWaiting(t, q, ledger.LaneNormal, 0)
	WantWaiting(t, q, ledger.LaneHigh, 1)
}

func runsInSlots(t *testing.T, q ledger.Queue) {
	mustPut(t, q, ticket(ledger.LaneLow, "1"), ticket(ledger.LaneLow, "2"), ticket(ledger.LaneLow, "3"))
	taken, release := make(chan string, 10), make(chan struct{})
	stop := Consume(t, q, 2, func(_ context.Context, k ledger.Ticket) time.Duration {
		taken <- k.ID
		<-release
		return 0
	})
	defer stop()
	ids := map[string]bool{<-taken: true, <-taken: true}
	select {
	case id := <-taken:
		t.Errorf("%s is the third in two slots", id)
	case <-time.After(50 * time.Millisecond):
	}
	close(release)
	if ids[<-taken] = true; len(ids) != 3 {
		t.Errorf("of three tickets came %v", ids)
	}
	WantWaiting(t, q, ledger.LaneLow, 0)
}

func cancelledQueue(t *testing.T, q ledger.Queue) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, waitErr := q.Waiting(ctx, ledger.LaneLow)
	for name, err := range map[string]error{"Put": q.Put(ctx, ticket(ledger.LaneLow, "x")), "Waiting": waitErr} {
		if fault.KindOf(err) != fault.Canceled {
			t.Errorf("%s: got %v, want canceled", name, err)
		}
	}
	never := func(_ context.Context, k ledger.Ticket) time.Duration { t.Errorf("%v was delivered", k); return 0 }
	if err := q.Consume(ctx, []string{ledger.LaneHigh}, 1, never); err != nil {
		t.Errorf("Consume: got %v", err)
	}
}
