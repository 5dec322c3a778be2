package natsqueue

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/goldcrest/goldcrest/prewarm/ledger"
	"github.com/goldcrest/goldcrest/stall"
)

// The client library holds its lock while it flushes, and the embedded server and statfs wait for the disk; none of
// them observes a context. To keep a hanging disk from blocking callers, each call has its own goroutine, which is
// abandoned when it takes too long.
const (
	maxCalls   = 128                   // concurrent calls; as many threads may hang
	callLimit  = 20 * time.Second      // of one call
	roomLimit  = ackTimeout            // of a check of the disk
	writeLimit = 20 * time.Millisecond // for each further message: the sync of a slow disk
)

// within runs a call, and abandons it after limit.
func within[T any](ctx context.Context, q *Queue, op string, limit time.Duration, call func(context.Context) (T, error)) (T, error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	return through(ctx, q, op, call)
}

// through runs a call, and abandons it when ctx ends.
func through[T any](ctx context.Context, q *Queue, op string, call func(context.Context) (T, error)) (T, error) {
	v, err := stall.Do(ctx, q.calls, func() (T, error) { return call(ctx) })
	if errors.Is(err, stall.ErrStalled) || errors.Is(err, context.DeadlineExceeded) {
		err = classify(op, err)
	}
	return v, err
}

// none is the result of a call that only returns an error.
type none struct{}

// Write implements ledger.Store.
func (q *Queue) Write(ctx context.Context, records ...*ledger.Record) error {
	l, err := q.ready(ctx)
	if err != nil {
		return err
	}
	own := make([]*ledger.Record, len(records)) // an abandoned call must not modify the caller's records
	for i, r := range records {
		c := *r
		own[i] = &c
	}
	type result struct {
		revisions []uint64
		err       error
	}
	limit := callLimit + time.Duration(len(records))*writeLimit
	r, err := within(ctx, q, "natsqueue.Write", limit, func(ctx context.Context) (r result, _ error) {
		r.err = q.write(ctx, l, own)
		for _, o := range own {
			r.revisions = append(r.revisions, o.Revision)
		}
		return r, nil
	})
	for i, revision := range r.revisions {
		records[i].Revision = revision
	}
	if err != nil {
		return err
	}
	return r.err
}

// Read implements ledger.Store.
func (q *Queue) Read(ctx context.Context, key string) (ledger.Record, error) {
	l, err := q.ready(ctx)
	if err != nil {
		return ledger.Record{}, err
	}
	return within(ctx, q, "natsqueue.Read", callLimit, func(ctx context.Context) (ledger.Record, error) { return q.read(ctx, l, key) })
}

// List implements ledger.Store. Only ctx bounds a long list. yield is not called after List has returned.
func (q *Queue) List(ctx context.Context, s ledger.Scan, yield func(ledger.Record) bool) error {
	l, err := q.ready(ctx)
	if err != nil {
		return err
	}
	var mu sync.Mutex
	over := false
	defer func() {
		mu.Lock()
		over = true
		mu.Unlock()
	}()
	_, err = through(ctx, q, "natsqueue.List", func(ctx context.Context) (none, error) {
		return none{}, q.list(ctx, l, s, func(r ledger.Record) bool {
			mu.Lock()
			defer mu.Unlock()
			return !over && yield(r)
		})
	})
	return err
}

// Put implements ledger.Queue.
func (q *Queue) Put(ctx context.Context, tickets ...ledger.Ticket) error {
	l, err := q.ready(ctx)
	if err != nil {
		return err
	}
	own := slices.Clone(tickets)
	limit := callLimit + time.Duration(len(own))*writeLimit
	_, err = within(ctx, q, "natsqueue.Put", limit, func(ctx context.Context) (none, error) { return none{}, q.put(ctx, l, own) })
	return err
}

// Waiting implements ledger.Queue.
func (q *Queue) Waiting(ctx context.Context, lane string) (int, error) {
	l, err := q.ready(ctx)
	if err != nil {
		return 0, err
	}
	return within(ctx, q, "natsqueue.Waiting", callLimit, func(ctx context.Context) (int, error) { return q.waiting(ctx, l, lane) })
}

// Room implements ledger.Queue. The free space of an external cluster is unknown until it refuses a write.
func (q *Queue) Room(ctx context.Context) error {
	if _, err := q.ready(ctx); err != nil || q.embedded == nil {
		return err
	}
	_, err := within(ctx, q, "natsqueue.Room", roomLimit, func(context.Context) (none, error) { return none{}, q.room() })
	return err
}

// Check reports whether the queue responds, for doctor. It waits for the first try to open it.
func (q *Queue) Check(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	select {
	case <-q.tried:
	case <-ctx.Done():
	}
	l, err := q.now()
	if err != nil {
		return err
	}
	_, err = through(ctx, q, "natsqueue.Check", func(ctx context.Context) (none, error) {
		_, err := l.ledger.Info(ctx)
		return none{}, q.classify("natsqueue.Check", err)
	})
	if err != nil {
		return err
	}
	return q.Room(ctx)
}
