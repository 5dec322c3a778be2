package natsqueue

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// sharedStream is a stream of an external cluster with its own connection. It is safe for concurrent use.
type sharedStream struct {
	conn *nats.Conn
	js   jetstream.JetStream
	cfg  jetstream.StreamConfig

	mu     sync.Mutex
	stream jetstream.Stream // nil until opened
}

// connect returns at once; calls fail while the cluster cannot be reached.
func connect(cfg Config, log *slog.Logger, what string, stream jetstream.StreamConfig) (*sharedStream, error) {
	id := &identity{cfg: cfg}
	conn, err := nats.Connect(cfg.NATS, append(id.options(),
		nats.Name("goldcrest "+what), nats.RetryOnFailedConnect(true), nats.MaxReconnects(-1), nats.ReconnectWait(200*time.Millisecond),
		nats.Timeout(2*time.Second), nats.PingInterval(2*time.Second), nats.MaxPingsOutstanding(2),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) {
			log.Debug("the connection for "+what, "error", id.explain(err))
		}))...)
	if err != nil {
		return nil, withoutURL(err)
	}
	js, err := jetstream.New(conn, jetstream.WithDefaultTimeout(ackTimeout))
	if err != nil {
		conn.Close()
		return nil, err
	}
	return &sharedStream{conn: conn, js: js, cfg: stream}, nil
}

// open opens the stream, or creates it: with three replicas if the cluster has three servers.
func (c *sharedStream) open(ctx context.Context) (jetstream.Stream, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.stream != nil {
		return c.stream, nil
	}
	s, err := c.js.Stream(ctx, c.cfg.Name)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		cfg := c.cfg
		cfg.Replicas = 3
		if len(c.conn.Servers()) < 3 {
			cfg.Replicas = 1
		}
		if s, err = c.js.CreateStream(ctx, cfg); errors.Is(err, jetstream.ErrStreamNameAlreadyInUse) {
			s, err = c.js.Stream(ctx, cfg.Name) // another instance created it at the same moment
		}
	}
	if err == nil {
		c.stream = s
	}
	return s, err
}

// lost makes the next call open the stream again after an error: any instance may have recreated it.
func (c *sharedStream) lost() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stream = nil
}

// append adds a message to the stream, durably.
func (c *sharedStream) append(ctx context.Context, m *nats.Msg) error {
	if _, err := c.open(ctx); err != nil {
		return err
	}
	_, err := c.js.PublishMsg(ctx, m, jetstream.WithExpectStream(c.cfg.Name))
	if err != nil {
		c.lost()
	}
	return err
}
