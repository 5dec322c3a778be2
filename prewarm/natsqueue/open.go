package natsqueue

import (
	"context"
	"errors"
	"log/slog"
	"syscall"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/goldcrest/goldcrest/pause"
	"github.com/goldcrest/goldcrest/stall"
)

// The pauses between tries to open the queue, and between checks of its streams.
const (
	firstPause = 200 * time.Millisecond
	lastPause  = 5 * time.Second
	lookPause  = time.Second
)

// embeddedStop bounds the shutdown of the embedded server: its disk may hang. Acknowledged writes are synced already.
const embeddedStop = 5 * time.Second

// Open returns before the queue is open. In the background it connects to the cluster or starts the embedded server,
// for as long as that takes. Until then calls are refused with the reason. If another server uses the directory it
// returns an error, because two would corrupt it.
func Open(ctx context.Context, cfg Config, log *slog.Logger) (*Queue, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	if cfg.AckWait == 0 {
		cfg.AckWait = 30 * time.Second
	}
	q := &Queue{
		identity: &identity{cfg: cfg}, log: log, calls: stall.New(maxCalls), ended: make(chan struct{}), suspected: make(chan struct{}, 1),
		tried: make(chan struct{}), changed: make(chan struct{}),
		refusal: classify("natsqueue.Open", errors.New("it is being opened")),
	}
	locked := make(chan error, 1)
	if cfg.NATS == "" {
		q.embedded = &embedded{dir: cfg.Dir, log: log}
	}
	life, stop := context.WithCancel(context.WithoutCancel(ctx))
	q.stop = stop
	go q.keep(life, locked)
	if q.embedded == nil {
		return q, nil
	}
	slow := time.NewTimer(patience)
	defer slow.Stop()
	select {
	case err := <-locked:
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, errors.Join(err, q.Close(ctx))
		}
	case <-slow.C: // the disk hangs
	case <-ctx.Done():
	}
	return q, nil
}

// keep opens the queue, and opens it again when a stream is lost, until ctx ends. The result of the first lock is sent
// to locked.
func (q *Queue) keep(ctx context.Context, locked chan<- error) {
	defer close(q.ended)
	if q.embedded != nil {
		locked <- q.embedded.takeLock()
	}
	conn, js, l := q.connect(ctx)
	if l == nil {
		q.end(nil)
		return
	}
	defer q.end(conn)
	silent := false // it was logged that NATS is reached but its streams do not respond
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
			return
		case <-q.suspected:
		}
		looking, cancel := context.WithTimeout(ctx, ackTimeout)
		lost, err := l.isLost(looking)
		cancel()
		if lost {
			q.log.Error("the prewarm queue's streams are lost; they are made again, and the jobs in them are gone")
			q.set(nil, classify("natsqueue.Open", errors.New("the streams are created again")))
			close(l.lost)
			q.retry(ctx, func() (err error) {
				l, err = q.openStreams(ctx, conn, js)
				return err
			})
			if ctx.Err() == nil {
				q.set(l, nil)
			}
		}
		silent = q.tell(ctx, silent, err != nil && conn.IsConnected(), err)
		_ = pause.For(ctx, lookPause) // suspicions during the pause cause one check
	}
}

// tell logs once when NATS is reached but its streams do not respond, and once when they do again. When NATS cannot
// write it switches JetStream off for good, and reports that only in its own log.
func (q *Queue) tell(ctx context.Context, before, silent bool, err error) bool {
	switch {
	case ctx.Err() != nil:
	case silent && !before:
		q.log.Error("NATS is reached, and the prewarm queue does not answer; where its disk was full, free it and restart NATS", "error", err)
	case before && !silent && err == nil:
		q.log.Info("the prewarm queue answers again")
	case before && err != nil:
		silent = true // the connection was lost meanwhile
	}
	if silent {
		q.suspect() // no call may notice, and recovery must be logged
	}
	return silent
}

// connect opens the queue. It returns no link if ctx ended first.
func (q *Queue) connect(ctx context.Context) (conn *nats.Conn, js jetstream.JetStream, l *link) {
	q.retry(ctx, func() (err error) {
		conn, js, l, err = q.dial(ctx)
		return err
	})
	if l != nil {
		q.set(l, nil)
	}
	return conn, js, l
}

// retry repeats try until it succeeds or ctx ends. It logs a reason only when it changes.
func (q *Queue) retry(ctx context.Context, try func() error) {
	reason, wait := "", firstPause
	for {
		err := try()
		if ctx.Err() != nil {
			return
		}
		if err == nil {
			if reason != "" {
				q.log.Info("the prewarm queue is open")
			}
			return
		}
		q.set(nil, classify("natsqueue.Open", err))
		if text := err.Error(); text != reason {
			reason = text
			q.log.Error("the prewarm queue cannot be opened; serving without it, and trying again", "error", err)
		}
		if pause.For(ctx, wait) != nil {
			return
		}
		wait = min(2*wait, lastPause)
	}
}

// set opens the queue to calls, or makes it refuse them.
func (q *Queue) set(l *link, refusal error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.link, q.refusal = l, refusal
	if l != nil {
		close(q.changed)
		q.changed = make(chan struct{})
	}
	select {
	case <-q.tried:
	default:
		close(q.tried)
	}
}

// dial connects to the cluster, or starts the embedded server and connects to it. After an error only the lock stays
// open.
func (q *Queue) dial(ctx context.Context) (conn *nats.Conn, js jetstream.JetStream, l *link, err error) {
	defer func() {
		if err == nil {
			return
		}
		if conn != nil {
			conn.Close()
		}
		if q.embedded != nil {
			q.embedded.stop()
		}
	}()
	opts := q.options()
	if q.embedded != nil {
		if err := q.embedded.open(); err != nil {
			return nil, nil, nil, err
		}
		opts = append(opts, nats.InProcessServer(q.embedded))
	}
	if conn, err = nats.Connect(q.cfg.NATS, opts...); err != nil {
		return nil, nil, nil, q.identity.explain(withoutURL(err))
	}
	js, err = jetstream.New(conn, jetstream.WithDefaultTimeout(callTimeout),
		jetstream.WithPublishAsyncMaxPending(maxInFlight), jetstream.WithPublishAsyncTimeout(ackTimeout))
	if err == nil {
		l, err = q.openStreams(ctx, conn, js)
	}
	return conn, js, l, err
}

func (q *Queue) options() []nats.Option {
	// told is the last error logged since the last connect: a refused connection tries five times a second. Handlers
	// run one by one.
	told := ""
	return append(q.identity.options(),
		nats.Name("goldcrest"), nats.MaxReconnects(-1), nats.ReconnectWait(200*time.Millisecond), nats.Timeout(5*time.Second),
		// A server that hangs with open connections is abandoned after three unanswered pings, long before its tickets
		// are delivered to others.
		nats.PingInterval(2*time.Second), nats.MaxPingsOutstanding(2),
		// A flush holds the connection's lock: this bounds how long calls wait for a server that does not read.
		nats.FlusherTimeout(5*time.Second),
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) {
			if err != nil {
				q.log.Warn("the connection to the prewarm queue was lost", "error", err)
			}
		}),
		nats.ReconnectHandler(func(*nats.Conn) {
			told = ""
			q.log.Info("connected to the prewarm queue again")
			q.suspect()
		}),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) {
			if err = q.identity.explain(err); err.Error() != told {
				told = err.Error()
				q.log.Warn("the connection to the prewarm queue", "error", err)
			}
		}),
	)
}

// suspect requests a check of the streams, after an unexpected error.
func (q *Queue) suspect() { rouse(q.suspected) }

// classify converts an error of a call to a fault. It requests a check of the streams if one may be lost.
func (q *Queue) classify(op string, err error) error {
	var api *jetstream.APIError
	switch {
	case errors.Is(err, jetstream.ErrStreamNotFound), errors.Is(err, jetstream.ErrConsumerNotFound),
		errors.Is(err, nats.ErrNoResponders), errors.Is(err, jetstream.ErrNoStreamResponse), errors.As(err, &api) && api.Code >= 500:
		q.suspect()
	}
	return classify(op, err)
}

// isLost reports whether a stream or a consumer is gone, or was replaced by another of the same name.
func (l *link) isLost(ctx context.Context) (bool, error) {
	for _, s := range []jetstream.Stream{l.tasks, l.ledger} {
		was := s.CachedInfo()
		now, err := l.js.Stream(ctx, was.Config.Name)
		if errors.Is(err, jetstream.ErrStreamNotFound) {
			return true, nil
		}
		if err != nil {
			return false, err
		}
		if !now.CachedInfo().Created.Equal(was.Created) {
			return true, nil
		}
	}
	for _, c := range l.lanes {
		_, err := l.tasks.Consumer(ctx, c.CachedInfo().Name)
		if errors.Is(err, jetstream.ErrConsumerNotFound) {
			return true, nil
		}
		if err != nil {
			return false, err
		}
	}
	return false, nil
}

// Close ends the connection and the embedded server. Consumers must have ended before. Calls that hang are abandoned.
func (q *Queue) Close(ctx context.Context) error {
	l, _ := q.now()
	ctx, cancel := lasting(ctx, stopTimeout)
	defer cancel()
	_, err := stall.Do(ctx, q.calls, func() (none, error) {
		if l == nil || !l.conn.IsConnected() {
			return none{}, nil
		}
		return none{}, l.conn.FlushWithContext(ctx)
	})
	if errors.Is(err, nats.ErrConnectionClosed) {
		err = nil
	}
	q.stop()
	end := time.NewTimer(stopTimeout)
	if q.embedded != nil {
		end.Reset(embeddedStop)
	}
	defer end.Stop()
	select {
	case <-q.ended:
	case <-end.C:
	}
	return err
}

// end closes what keep has opened.
func (q *Queue) end(conn *nats.Conn) {
	q.set(nil, classify("natsqueue.Close", errors.New("it is closed")))
	if conn != nil {
		conn.Close()
	}
	if q.embedded == nil {
		return
	}
	if err := q.embedded.close(); err != nil {
		q.log.Warn("the embedded queue did not stop cleanly", "error", err)
	}
}
