// Package natsqueue is the Queue on NATS JetStream, embedded or external.
package natsqueue

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/goldcrest/goldcrest/fault"
	"github.com/goldcrest/goldcrest/prewarm"
)

// The names in NATS. They are fixed: instances that share a cluster share the queue.
const (
	taskStream   = "GOLDCREST_TASKS"
	ledgerStream = "GOLDCREST_LEDGER"
	taskSubject  = "goldcrest.task."
	ledgerRoot   = "goldcrest.ledger."
	wakeSubject  = "goldcrest.wake"
)

// The patience of one call; a cluster elects a new leader within it.
const (
	callTimeout = 15 * time.Second
	ackTimeout  = 5 * time.Second
	stopTimeout = time.Second // at a stop, which does not wait for a cluster that is away
	maxInFlight = 1024        // published and not acknowledged yet
)

// Queue is the prewarm Queue and Ledger on NATS JetStream. Safe for concurrent use.
type Queue struct {
	log      *slog.Logger
	embedded *embedded // nil with an external cluster
	conn     *nats.Conn
	js       jetstream.JetStream
	tasks    jetstream.Stream
	ledger   jetstream.Stream
	lanes    map[string]jetstream.Consumer
	ackWait  time.Duration
}

var (
	_ prewarm.Queue  = (*Queue)(nil)
	_ prewarm.Ledger = (*Queue)(nil)
)

// Open connects to the cluster, or starts the embedded server in this process. On an error nothing is left open.
func Open(ctx context.Context, cfg Config, log *slog.Logger) (*Queue, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	q := &Queue{log: log, lanes: map[string]jetstream.Consumer{}, ackWait: cfg.AckWait}
	if q.ackWait == 0 {
		q.ackWait = 30 * time.Second
	}
	if err := q.open(ctx, cfg); err != nil {
		return nil, errors.Join(fmt.Errorf("the prewarm queue: %w", err), q.Close(ctx))
	}
	return q, nil
}

func (q *Queue) open(ctx context.Context, cfg Config) (err error) {
	url := cfg.NATS
	opts := []nats.Option{
		nats.Name("goldcrest"), nats.MaxReconnects(-1), nats.ReconnectWait(200 * time.Millisecond), nats.Timeout(5 * time.Second),
		// A server that hangs with its connections open is left after three pings without an answer, long before its tickets are
		// delivered to others.
		nats.PingInterval(2 * time.Second), nats.MaxPingsOutstanding(2),
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) {
			if err != nil {
				q.log.Warn("the connection to the prewarm queue was lost", "error", err)
			}
		}),
		nats.ReconnectHandler(func(*nats.Conn) { q.log.Info("connected to the prewarm queue again") }),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) {
			q.log.Warn("the connection to the prewarm queue", "error", err)
		}),
	}
	if url == "" {
		if q.embedded, err = startEmbedded(cfg.Dir, q.log); err != nil {
			return err
		}
		opts = append(opts, nats.InProcessServer(q.embedded))
	}
	if q.conn, err = nats.Connect(url, opts...); err != nil {
		return withoutURL(err)
	}
	q.js, err = jetstream.New(q.conn, jetstream.WithDefaultTimeout(callTimeout),
		jetstream.WithPublishAsyncMaxPending(maxInFlight), jetstream.WithPublishAsyncTimeout(ackTimeout))
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 2*callTimeout)
	defer cancel()
	return q.openStreams(ctx, cfg.Keep)
}

// openStreams makes the two streams and the consumers, or finds them.
func (q *Queue) openStreams(ctx context.Context, keep time.Duration) (err error) {
	q.tasks, err = q.openStream(ctx, jetstream.StreamConfig{
		Name: taskStream, Subjects: []string{taskSubject + ">"}, Retention: jetstream.WorkQueuePolicy,
		// One message per subject, and a second one refused: so a ticket is in the queue once.
		MaxMsgsPerSubject: 1, Discard: jetstream.DiscardNew, DiscardNewPerSubject: true, MaxAge: keep,
	})
	if err != nil {
		return err
	}
	q.ledger, err = q.openStream(ctx, jetstream.StreamConfig{
		Name: ledgerStream, Subjects: []string{ledgerRoot + ">"}, Retention: jetstream.LimitsPolicy,
		MaxMsgsPerSubject: 1, Discard: jetstream.DiscardOld, MaxAge: keep,
	})
	if err != nil {
		return err
	}
	for _, lane := range []string{prewarm.LaneHigh, prewarm.LaneNormal, prewarm.LaneLow, prewarm.LaneTell, prewarm.LaneCompat} {
		name := "goldcrest_" + lane
		if q.embedded != nil {
			// The directory is ours alone: whoever was working on tickets is dead, and they need not wait for it.
			if err := q.tasks.DeleteConsumer(ctx, name); err != nil && !errors.Is(err, jetstream.ErrConsumerNotFound) {
				return err
			}
		}
		q.lanes[lane], err = q.tasks.CreateOrUpdateConsumer(ctx, jetstream.ConsumerConfig{
			Durable: name, FilterSubject: taskSubject + lane + ".>", AckPolicy: jetstream.AckExplicitPolicy,
			AckWait: q.ackWait, MaxDeliver: -1, MaxAckPending: -1,
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// openStream makes a stream on three servers where the cluster has as many, else on one. A stream that exists keeps its copies.
func (q *Queue) openStream(ctx context.Context, cfg jetstream.StreamConfig) (jetstream.Stream, error) {
	cfg.Storage = jetstream.FileStorage
	cfg.Duplicates = min(2*time.Minute, cfg.MaxAge)
	s, err := q.js.Stream(ctx, cfg.Name)
	if err == nil {
		cfg.Replicas = s.CachedInfo().Config.Replicas
		return q.js.UpdateStream(ctx, cfg)
	}
	if !errors.Is(err, jetstream.ErrStreamNotFound) {
		return nil, err
	}
	cfg.Replicas = 3
	if q.embedded != nil {
		cfg.Replicas = 1
	}
	for tries := 0; ; tries++ {
		s, err = q.js.CreateStream(ctx, cfg)
		var api *jetstream.APIError
		switch {
		case err == nil:
			return s, nil
		case errors.Is(err, jetstream.ErrStreamNameAlreadyInUse):
			// Another instance made the stream at the same moment: the same configuration is no conflict.
			return q.js.Stream(ctx, cfg.Name)
		case cfg.Replicas == 1 || !errors.As(err, &api) || tries == placingTries:
			return nil, err
		case len(q.conn.Servers()) < 3:
			cfg.Replicas = 1
		default:
			// A cluster of three that is short of a server is waited for: a single copy would stay single for good.
			select {
			case <-ctx.Done():
				return nil, ctx.Err()
			case <-time.After(time.Second):
			}
		}
	}
}

// placingTries is how often, once a second, a cluster is asked again to place a stream on three servers.
const placingTries = 10

// Close ends the connection and the embedded server. Consumers must have ended before.
func (q *Queue) Close(ctx context.Context) error {
	var errs []error
	if q.conn != nil {
		ctx, cancel := lasting(ctx, stopTimeout)
		defer cancel()
		if q.conn.IsConnected() {
			if err := q.conn.FlushWithContext(ctx); err != nil && !errors.Is(err, nats.ErrConnectionClosed) {
				errs = append(errs, err)
			}
		}
		q.conn.Close()
	}
	if q.embedded != nil {
		errs = append(errs, q.embedded.close())
	}
	return errors.Join(errs...)
}

// lasting is ctx without its end, bounded by d: what is done at a shutdown must still be done when ctx has ended.
func lasting(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), d)
}

// Check reports whether the queue answers, for readiness and doctor.
func (q *Queue) Check(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, ackTimeout)
	defer cancel()
	if _, err := q.ledger.Info(ctx); err != nil {
		return classify("natsqueue.Check", err)
	}
	return q.Room(ctx)
}

// withoutURL drops the URL that errors of net/url repeat: it may hold a password.
func withoutURL(err error) error {
	var e interface{ Unwrap() error }
	if errors.As(err, &e) {
		if inner := e.Unwrap(); inner != nil {
			return inner
		}
	}
	return err
}

// classify makes a fault of an error of NATS.
func classify(op string, err error) error {
	var api *jetstream.APIError
	switch {
	case err == nil:
		return nil
	case errors.Is(err, prewarm.ErrConflict), errors.Is(err, prewarm.ErrNoRecord):
		return err
	case errors.Is(err, errFull), errors.As(err, &api) && isFull(api):
		return fault.New(fault.DiskFull, op, "the prewarm queue has no room left on its disk", err)
	case errors.Is(err, context.Canceled):
		return fault.Of(err)
	}
	f := fault.New(fault.Overloaded, op, "the prewarm queue does not answer; try again shortly", err)
	f.RetryAfter = 5 * time.Second
	return f
}
