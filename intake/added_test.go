package intake_test

import (
	"context"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/goldcrest/goldcrest/fault"
	"github.com/goldcrest/goldcrest/intake"
)

// once delivers one message, and keeps what became of it.
type once struct {
	handling context.Context
	got      chan intake.Outcome
}

func (o once) Receive(ctx context.Context, _ int, h intake.Handler) error {
	o.got <- h(o.handling, intake.Message{ID: "m-1"})
	<-ctx.Done()
	return nil
}

// Messages that are no Data Units have a handler of their own, with the waits, figures and pauses of all others.
func TestAddedIntake(t *testing.T) {
	stopped, stop := context.WithCancel(t.Context())
	stop()
	for name, tt := range map[string]struct {
		err  error
		ctx  context.Context
		want intake.Outcome
		mark string
	}{
		"taken":       {nil, t.Context(), intake.Outcome{}, "accepted"},
		"soon":        {fault.New(fault.QueueFull, "test", "full", nil), t.Context(), intake.Outcome{Again: time.Second}, "again"},
		"a long wait": {fault.New(fault.QueueFull, "test", "full", nil).After(time.Hour), t.Context(), intake.Outcome{Again: time.Minute}, "again"},
		"never": {
			fault.New(fault.BadUnit, "test", "no event", nil), t.Context(),
			intake.Outcome{Reason: fault.BadUnit, Detail: "no event"}, "dead",
		},
		"a stop": {fault.New(fault.BadUnit, "test", "no event", nil), stopped, intake.Outcome{Again: time.Millisecond}, ""},
	} {
		m := &meter{counts: map[string]int{}}
		door, err := intake.New(nil, intake.Deps{Ledger: &pauses{}, Observer: m, Log: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		in := once{tt.ctx, make(chan intake.Outcome)}
		door.Add(intake.Config{Name: "events"}, in, func(context.Context, intake.Message) error { return tt.err })
		ctx, end := context.WithCancel(t.Context())
		var running sync.WaitGroup
		running.Go(func() { door.Run(ctx) })
		got := <-in.got
		end()
		running.Wait()
		if got != tt.want || m.counts[tt.mark] != min(len(tt.mark), 1) {
			t.Errorf("%s: %+v, counted %v", name, got, m.counts)
		}
	}
}
