// Package natsqueue implements ledger.Queue and ledger.Store on NATS JetStream, embedded or external.
package natsqueue

import (
	"context"
	"errors"
	"log/slog"
	"net/url"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/goldcrest/goldcrest/fault"
	"github.com/goldcrest/goldcrest/pause"
	"github.com/goldcrest/goldcrest/prewarm/ledger"
	"github.com/goldcrest/goldcrest/stall"
)

// The names in NATS. They are fixed, because instances that share a cluster share the queue.
const (
	taskStream   = "GOLDCREST_TASKS"
	ledgerStream = "GOLDCREST_LEDGER"
	taskSubject  = "goldcrest.task."
	ledgerRoot   = "goldcrest.ledger."
	wakeSubject  = "goldcrest.wake"
)

// The timeouts of one call; a cluster elects a new leader within them.
const (
	callTimeout = 15 * time.Second
	ackTimeout  = 5 * time.Second
	stopTimeout = time.Second // at shutdown, which does not wait for an unreachable cluster
	maxInFlight = 1024        // messages published and not yet acknowledged
)

// Queue is the queue and the ledger of prewarm on NATS JetStream. It is safe for concurrent use.
type Queue struct {
	*identity // with the configuration
	log       *slog.Logger
	embedded  *embedded // nil with an external cluster

	calls     *stall.Calls
	stop      context.CancelFunc
	ended     chan struct{} // closed when keep has ended
	suspected chan struct{} // has an element when a stream may be lost

	mu      sync.Mutex
	link    *link         // nil = not open
	refusal error         // why it is not open; a fault
	tried   chan struct{} // closed when the first try to open has ended
	changed chan struct{} // closed and replaced when the queue opens
}

// link is a connection with its streams.
type link struct {
	conn   *nats.Conn
	js     jetstream.JetStream
	tasks  jetstream.Stream
	ledger jetstream.Stream
	lanes  map[string]jetstream.Consumer
	lost   chan struct{} // closed when a stream is lost
}

var (
	_ ledger.Queue = (*Queue)(nil)
	_ ledger.Store = (*Queue)(nil)
)

// patience is how long a call waits for the first try to open the queue.
const patience = 2 * time.Second

// ready returns the current link, or, if the queue is not open, the reason as a fault.
func (q *Queue) ready(ctx context.Context) (*link, error) {
	l, err := q.now()
	if l != nil {
		return l, nil
	}
	wait := time.NewTimer(patience)
	defer wait.Stop()
	select {
	case <-q.tried:
		return q.now()
	case <-wait.C:
	case <-ctx.Done():
	}
	return nil, err
}

func (q *Queue) now() (*link, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.link == nil {
		return nil, q.refusal
	}
	return q.link, nil
}

// await waits until the queue is open, or ctx ends.
func (q *Queue) await(ctx context.Context) (*link, error) {
	for {
		q.mu.Lock()
		l, changed := q.link, q.changed
		q.mu.Unlock()
		if l != nil {
			return l, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// Await waits until the queue is open. It returns an error if ctx ends first.
func (q *Queue) Await(ctx context.Context) error {
	_, err := q.await(ctx)
	return err
}

// IsOpen reports whether the queue is open now.
func (q *Queue) IsOpen() bool {
	l, _ := q.now()
	return l != nil
}

// openStreams opens the two streams and the consumers, and creates them if necessary.
func (q *Queue) openStreams(ctx context.Context, conn *nats.Conn, js jetstream.JetStream) (*link, error) {
	l := &link{conn: conn, js: js, lanes: map[string]jetstream.Consumer{}, lost: make(chan struct{})}
	ctx, cancel := context.WithTimeout(ctx, 2*callTimeout)
	defer cancel()
	keep := q.cfg.Keep
	var err error
	l.tasks, err = q.openStream(ctx, l, jetstream.StreamConfig{
		Name: taskStream, Subjects: []string{taskSubject + ">"}, Retention: jetstream.WorkQueuePolicy,
		// One message per subject, and a second one is refused: so a ticket is in the queue once.
		MaxMsgsPerSubject: 1, Discard: jetstream.DiscardNew, DiscardNewPerSubject: true, MaxAge: keep,
	})
	if err != nil {
		return nil, err
	}
	l.ledger, err = q.openStream(ctx, l, jetstream.StreamConfig{
		Name: ledgerStream, Subjects: []string{ledgerRoot + ">"}, Retention: jetstream.LimitsPolicy,
		MaxMsgsPerSubject: 1, Discard: jetstream.DiscardOld, MaxAge: keep,
	})
	if err != nil {
		return nil, err
	}
	for _, lane := range []string{ledger.LaneHigh, ledger.LaneNormal, ledger.LaneLow, ledger.LaneTell, ledger.LaneCompat} {
		name := "goldcrest_" + lane
		if q.embedded != nil {
			// Only this process uses the directory. The previous consumer is dead, and its tickets need not wait for
			// it.
			if err := l.tasks.DeleteConsumer(ctx, name); err != nil && !errors.Is(err, jetstream.ErrConsumerNotFound) {
				return nil, err
			}
		}
		l.lanes[lane], err = l.tasks.CreateOrUpdateConsumer(ctx, jetstream.ConsumerConfig{
			Durable: name, FilterSubject: taskSubject + lane + ".>", AckPolicy: jetstream.AckExplicitPolicy,
			AckWait: q.cfg.AckWait, MaxDeliver: -1, MaxAckPending: -1,
		})
		if err != nil {
			return nil, err
		}
	}
	return l, nil
}

// openStream opens a stream, or creates it: with three replicas if the cluster has three servers, else with one. An
// existing stream keeps its replicas.
func (q *Queue) openStream(ctx context.Context, l *link, cfg jetstream.StreamConfig) (jetstream.Stream, error) {
	cfg.Storage = jetstream.FileStorage
	cfg.Duplicates = min(2*time.Minute, cfg.MaxAge)
	s, err := l.js.Stream(ctx, cfg.Name)
	if err == nil {
		cfg.Replicas = s.CachedInfo().Config.Replicas
		return l.js.UpdateStream(ctx, cfg)
	}
	if !errors.Is(err, jetstream.ErrStreamNotFound) {
		return nil, err
	}
	cfg.Replicas = 3
	if q.embedded != nil {
		cfg.Replicas = 1
	}
	for tries := 0; ; tries++ {
		s, err = l.js.CreateStream(ctx, cfg)
		var api *jetstream.APIError
		switch {
		case err == nil:
			return s, nil
		case errors.Is(err, jetstream.ErrStreamNameAlreadyInUse):
			// Another instance created the stream at the same moment: the same configuration is no conflict.
			return l.js.Stream(ctx, cfg.Name)
		case cfg.Replicas == 1 || !errors.As(err, &api) || tries == placingTries:
			return nil, err
		case len(l.conn.Servers()) < 3:
			cfg.Replicas = 1
		default:
			// A cluster of three may lack a server for a moment. Wait for it: a stream with one replica would keep only
			// one.
			if err := pause.For(ctx, time.Second); err != nil {
				return nil, err
			}
		}
	}
}

// placingTries is how often, once a second, the cluster is asked again to place a stream on three servers.
const placingTries = 10

// lasting is ctx without its end, bounded by d: for work at shutdown that must be done after ctx has ended.
func lasting(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), d)
}

// withoutURL removes the URL that errors of net/url contain: it may contain a password.
func withoutURL(err error) error {
	var e *url.Error
	if errors.As(err, &e) {
		return e.Err
	}
	return err
}

// classify converts an error of NATS to a fault.
func classify(op string, err error) error {
	var api *jetstream.APIError
	switch {
	case err == nil:
		return nil
	case errors.Is(err, ledger.ErrConflict), errors.Is(err, ledger.ErrNoRecord):
		return err
	case errors.Is(err, errFull), isDiskFull(err), errors.As(err, &api) && isFull(api):
		return fault.New(fault.DiskFull, op, "the prewarm queue has no room left on its disk", err).
			After(5 * time.Second)
	case errors.Is(err, context.Canceled):
		return fault.Of(err)
	}
	return fault.New(fault.Overloaded, op, "the prewarm queue does not answer; try again shortly", err).
		After(5 * time.Second)
}
