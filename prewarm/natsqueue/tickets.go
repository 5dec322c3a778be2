package natsqueue

import (
	"context"
	"errors"
	"runtime/debug"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/goldcrest/goldcrest/fault"
	"github.com/goldcrest/goldcrest/prewarm/ledger"
)

// poll is how often the lanes are checked without a wake-up: a ticket whose long pause ends wakes no one.
const poll = time.Second

// room checks the free space of the embedded server's disk.
func (q *Queue) room() error {
	if err := q.embedded.revive(); err != nil {
		return q.classify("natsqueue.Room", err)
	}
	ok, err := q.embedded.room(reserve)
	if err != nil {
		return fault.New(fault.Internal, "natsqueue.Room", "the prewarm queue's disk does not answer", err)
	}
	if !ok {
		return fault.New(fault.DiskFull, "natsqueue.Room", "the prewarm queue has no room left on its disk", nil)
	}
	return nil
}

func (q *Queue) put(ctx context.Context, l *link, tickets []ledger.Ticket) error {
	msgs := make([]*nats.Msg, len(tickets))
	for i, t := range tickets {
		msgs[i] = nats.NewMsg(taskSubject + t.Lane + "." + t.ID)
	}
	_, errs := q.publish(ctx, l, msgs)
	for _, err := range errs {
		if err != nil && !isDuplicate(err) {
			return q.classify("natsqueue.Put", err)
		}
	}
	// The wake-up may be lost: the next poll finds the tickets.
	_ = l.conn.Publish(wakeSubject, nil)
	return nil
}

// isDuplicate reports whether a subject already has its one message.
func isDuplicate(err error) bool {
	var api *jetstream.APIError
	return errors.As(err, &api) && strings.Contains(api.Description, "maximum messages per subject")
}

// waiting counts the tickets of a lane.
func (q *Queue) waiting(ctx context.Context, l *link, lane string) (int, error) {
	info, err := l.lanes[lane].Info(ctx)
	if err != nil {
		return 0, q.classify("natsqueue.Waiting", err)
	}
	return int(info.NumPending) + info.NumAckPending, nil
}

// Consume implements ledger.Queue. It waits until the queue is open.
func (q *Queue) Consume(ctx context.Context, lanes []string, slots int, h ledger.Handler) error {
	l, err := q.await(ctx)
	if err != nil {
		return nil
	}
	wake := make(chan struct{}, 1)
	sub, err := l.conn.Subscribe(wakeSubject, func(*nats.Msg) { rouse(wake) })
	if err != nil {
		return q.classify("natsqueue.Consume", err)
	}
	defer sub.Unsubscribe() //nolint:errcheck // at worst it wakes nobody
	free := make(chan struct{}, slots)
	giveBack(free, slots)
	var running sync.WaitGroup
	defer running.Wait()
	for ctx.Err() == nil {
		if l, err = q.await(ctx); err != nil {
			break
		}
		n := takeHalf(ctx, free)
		got := q.takeTickets(ctx, l, lanes, n, func(lane string, m jetstream.Msg) {
			running.Go(func() {
				defer giveBack(free, 1)
				if again := q.handle(ctx, lane, m, h); again > 0 && again < poll {
					time.AfterFunc(again, func() { rouse(wake) })
				}
			})
		})
		giveBack(free, n-got)
		if got > 0 {
			continue // a full lane is fetched again at once, after the earlier lanes
		}
		select {
		case <-wake:
		case <-time.After(poll):
		case <-ctx.Done():
		}
	}
	return nil
}

// rouse wakes the goroutine that waits, or the next one that will.
func rouse(wake chan<- struct{}) {
	select {
	case wake <- struct{}{}:
	default:
	}
}

// takeHalf waits for a free slot and takes half of the free ones, rounded up. The others follow a moment later. Taking
// all at once would deprive other instances of most of a short job. No other goroutine takes slots.
func takeHalf(ctx context.Context, free <-chan struct{}) (n int) {
	select {
	case <-free:
	case <-ctx.Done():
		return 0
	}
	more := len(free) / 2
	for range more {
		<-free
	}
	return 1 + more
}

// giveBack makes n slots free.
func giveBack(free chan<- struct{}, n int) {
	for range n {
		free <- struct{}{}
	}
}

// takeTickets starts at most n tickets, those of earlier lanes first, and returns their number.
func (q *Queue) takeTickets(ctx context.Context, l *link, lanes []string, n int, start func(string, jetstream.Msg)) (got int) {
	for _, lane := range lanes {
		if ctx.Err() != nil {
			break
		}
		for _, m := range q.fetch(l, lane, n-got) {
			got++
			start(lane, m)
		}
	}
	return got
}

// fetch takes at most n waiting tickets of a lane. It takes no more than can be worked on, so that later tickets of an
// earlier lane still go first.
func (q *Queue) fetch(l *link, lane string, n int) (msgs []jetstream.Msg) {
	if n == 0 {
		return nil
	}
	batch, err := l.lanes[lane].FetchNoWait(n)
	if err == nil {
		for m := range batch.Messages() {
			msgs = append(msgs, m)
		}
		err = batch.Error()
	}
	if err != nil && !l.conn.IsClosed() {
		q.suspect()
		q.log.Debug("the prewarm queue returned no tickets; trying again", "error", err)
	}
	return msgs
}

// handle runs the handler on one ticket, and sends heartbeats so that the ticket is not delivered to others.
func (q *Queue) handle(ctx context.Context, lane string, m jetstream.Msg, h ledger.Handler) (again time.Duration) {
	done := make(chan struct{})
	var beating sync.WaitGroup
	beating.Go(func() { q.beat(m, done) })
	again = q.call(ctx, ledger.Ticket{Lane: lane, ID: strings.TrimPrefix(m.Subject(), taskSubject+lane+".")}, h)
	close(done)
	beating.Wait()
	var err error
	if again > 0 {
		err = m.NakWithDelay(again)
	} else {
		patience := ackTimeout
		if ctx.Err() != nil {
			patience = stopTimeout
		}
		ctx, cancel := lasting(ctx, patience)
		err = m.DoubleAck(ctx)
		cancel()
	}
	if err != nil {
		// It will be delivered again, and found done.
		q.log.Debug("a ticket was not acknowledged", "error", err)
	}
	return again
}

// call runs the handler; after a panic the ticket is delivered again.
func (q *Queue) call(ctx context.Context, t ledger.Ticket, h ledger.Handler) (again time.Duration) {
	defer func() {
		if r := recover(); r != nil {
			q.log.Error("a prewarm handler panicked", "ticket", t.ID, "panic", r, "stack", string(debug.Stack()))
			again = time.Minute
		}
	}()
	return h(ctx, t)
}

// beat tells the queue that the ticket is still being worked on.
func (q *Queue) beat(m jetstream.Msg, done <-chan struct{}) {
	tick := time.NewTicker(q.cfg.AckWait / 3)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			_ = m.InProgress() // a lost heartbeat is replaced by the next; a lost ticket is delivered again
		case <-done:
			return
		}
	}
}
