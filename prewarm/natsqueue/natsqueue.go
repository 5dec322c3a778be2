// Package natsqueue is the Queue on NATS JetStream, embedded or external.
package natsqueue

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/goldcrest/goldcrest/prewarm"
)

// Queue is the prewarm Queue, Ledger and Bus on NATS JetStream. Safe for concurrent use.
type Queue struct{}

var (
	_ prewarm.Queue  = (*Queue)(nil)
	_ prewarm.Ledger = (*Queue)(nil)
	_ prewarm.Bus    = (*Queue)(nil)
)

// Open connects to the cluster, or starts the embedded server in this process. On an error nothing is left open.
func Open(ctx context.Context, cfg Config, log *slog.Logger) (*Queue, error) {
	return nil, errors.New("not yet")
}

// Close ends the connection and the embedded server. Consumers must have ended before.
func (q *Queue) Close(ctx context.Context) error { return nil }

// Check reports whether the queue answers, for readiness and doctor.
func (q *Queue) Check(ctx context.Context) error { return nil }

// Put implements prewarm.Queue.
func (q *Queue) Put(ctx context.Context, tickets ...prewarm.Ticket) error { return nil }

// Consume implements prewarm.Queue.
func (q *Queue) Consume(ctx context.Context, lanes []string, slots int, h prewarm.Handler) error {
	return nil
}

// Waiting implements prewarm.Queue.
func (q *Queue) Waiting(ctx context.Context, lane string) (int, error) { return 0, nil }

// Write implements prewarm.Ledger.
func (q *Queue) Write(ctx context.Context, records ...*prewarm.Record) error { return nil }

// Read implements prewarm.Ledger.
func (q *Queue) Read(ctx context.Context, key string) (prewarm.Record, error) {
	return prewarm.Record{}, nil
}

// List implements prewarm.Ledger.
func (q *Queue) List(ctx context.Context, s prewarm.Scan, yield func(prewarm.Record) bool) error {
	return nil
}

// Follow implements prewarm.Ledger.
func (q *Queue) Follow(ctx context.Context, prefixes []string, started func(), each func(prewarm.Record)) error {
	return nil
}

// Publish implements prewarm.Bus.
func (q *Queue) Publish(ctx context.Context, message []byte) error { return nil }

// Subscribe implements prewarm.Bus.
func (q *Queue) Subscribe(handle func(message []byte)) (stop func(), err error) { return nil, nil }

var _ = time.Second
