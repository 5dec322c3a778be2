package intake_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/goldcrest/goldcrest/fault"
	"github.com/goldcrest/goldcrest/prewarm/ledger"
)

// pauses keeps one record, and drops it when it is a minute old.
type pauses struct {
	mu     sync.Mutex
	last   uint64
	record *ledger.Record
	err    error // what it answers
}

func (l *pauses) Read(_ context.Context, key string) (ledger.Record, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err != nil {
		return ledger.Record{}, l.err
	}
	if l.record == nil || l.record.Key != key || time.Since(l.record.At) > time.Minute {
		return ledger.Record{}, ledger.ErrNoRecord
	}
	return *l.record, nil
}

func (l *pauses) Write(_ context.Context, records ...*ledger.Record) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err != nil {
		return l.err
	}
	for _, r := range records {
		var revision uint64
		if l.record != nil {
			revision = l.record.Revision
		}
		if r.Revision != revision {
			return ledger.ErrConflict
		}
		l.last++
		l.record = &ledger.Record{Key: r.Key, Revision: l.last, Mark: r.Mark, At: time.Now()}
		if r.Mark == "" {
			l.record = nil
		}
	}
	return nil
}

func (l *pauses) fail(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.err = err
}

// running runs a rig's door, and gives what ends it.
func (r *rig) running(t *testing.T) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { r.door.Run(ctx) })
	synctest.Wait()
	return func() {
		cancel()
		running.Wait()
		r.door.Close()
	}
}

// An intake that is paused at one instance takes nothing at another, nor after a restart, however long that lasts, until
// it is resumed at any of them.
func TestPause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		one := newRig(t, nil)
		two := newRigOn(t, nil, one.broker, one.ledger)
		set := func(r *rig, paused bool) {
			t.Helper()
			if err := r.door.SetPaused(t.Context(), "shop", paused); err != nil {
				t.Fatal(err)
			}
		}
		want := func(r *rig, paused bool, waiting int) {
			t.Helper()
			time.Sleep(10 * time.Second) // The others look every 5 s.
			synctest.Wait()
			if got := r.broker.Waiting(); r.door.Stats()[0].Paused != paused || got != waiting {
				t.Fatalf("%d messages wait, paused: %v; want %d, %v", got, !paused, waiting, paused)
			}
		}
		stopOne, stopTwo := one.running(t), two.running(t)
		if err := one.door.SetPaused(t.Context(), "other", true); fault.KindOf(err) != fault.NotFound {
			t.Errorf("an intake that is not there: %v", err)
		}
		set(one, true)
		want(two, true, 0)
		set(two, true) // A second time changes nothing.
		send(one, "m-1", good)
		want(one, true, 1)
		time.Sleep(time.Hour) // That is longer than the ledger keeps a record.
		want(one, true, 1)
		want(two, true, 1)
		stopOne()
		stopTwo()

		again := newRigOn(t, nil, one.broker, one.ledger)
		defer again.running(t)()
		want(again, true, 1)
		set(again, false)
		want(again, false, 0)
		if one.ledger.record != nil {
			t.Error("the record of the pause is left")
		}
	})
}

// Where it cannot be read whether an intake is paused, it takes nothing yet; where that cannot be written, it stays as it
// is, and the caller is told.
func TestPauseWithoutLedger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, down := newRig(t, nil), errors.New("down")
		r.ledger.fail(down)
		defer r.running(t)()
		send(r, "m-1", good)
		if s := r.door.Stats()[0]; len(r.calls.got) != 0 || s.LastError != "down" {
			t.Errorf("%d calls, last error %q", len(r.calls.got), s.LastError)
		}
		r.ledger.fail(nil)
		time.Sleep(time.Minute)
		synctest.Wait()
		if len(r.calls.got) != 1 {
			t.Errorf("%d calls once the ledger answers, want 1", len(r.calls.got))
		}
		r.ledger.fail(down)
		if err := r.door.SetPaused(t.Context(), "shop", true); !errors.Is(err, down) || r.door.Stats()[0].Paused {
			t.Errorf("SetPaused = %v", err)
		}
	})
}
