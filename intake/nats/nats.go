// Package nats consumes Data Units from a subject of NATS JetStream and publishes verdicts to another.
package nats

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/goldcrest/goldcrest/fault"
	"github.com/goldcrest/goldcrest/intake"
	"github.com/goldcrest/goldcrest/natscreds"
	"github.com/goldcrest/goldcrest/secretfile"
)

const (
	dialTimeout = 5 * time.Second
	redialEvery = time.Second
	// ackWait is the time without a progress message after which JetStream delivers a message again; running handlers
	// send one three times as often.
	ackWait = 12 * time.Second
	// duplicates is how long a stream that is created here remembers message ids.
	duplicates = 2 * time.Minute
)

// Queue is an intake on NATS: it implements intake.Intake, intake.Outlet and intake.Counter. Safe for concurrent use.
// Make one with Open, and close it with Close.
type Queue struct {
	cfg intake.Config

	mu   sync.Mutex
	conn *nats.Conn
	made bool // the streams exist
}

var (
	_ intake.Intake  = (*Queue)(nil)
	_ intake.Outlet  = (*Queue)(nil)
	_ intake.Counter = (*Queue)(nil)
)

// Open makes the intake of a configuration. It connects at first use.
func Open(cfg intake.Config) *Queue { return &Queue{cfg: cfg} }

// Close closes the connection.
func (q *Queue) Close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.conn != nil {
		q.conn.Close()
	}
}

// address is that of the servers: one URL, or several separated by commas.
func (q *Queue) address() (string, error) {
	text, err := secretfile.Value(q.cfg.Broker.URL, q.cfg.Broker.URLFile)
	if err != nil {
		return "", fmt.Errorf("url_file: %w", err)
	}
	for one := range strings.SplitSeq(text, ",") {
		if u, err := url.Parse(strings.TrimSpace(one)); err != nil || u.Host == "" {
			return "", errors.New("url: is not nats://user:password@host or tls://") // err may contain the password
		}
	}
	return text, nil
}

// open returns JetStream; an error if no server is connected. The library reconnects by itself.
func (q *Queue) open(ctx context.Context) (jetstream.JetStream, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.conn == nil {
		if err := q.dial(); err != nil {
			return nil, err
		}
	}
	if !q.conn.IsConnected() {
		return nil, errors.New("no server is connected")
	}
	js, err := jetstream.New(q.conn)
	if err != nil || q.made {
		return js, err
	}
	if err := q.declare(ctx, js); err != nil {
		return nil, err
	}
	q.made = true
	return js, nil
}

func (q *Queue) dial() error {
	address, err := q.address()
	if err != nil {
		return err
	}
	options := []nats.Option{
		nats.Name("goldcrest " + q.cfg.Name), nats.Timeout(dialTimeout), nats.MaxReconnects(-1),
		nats.ReconnectWait(redialEvery), nats.ReconnectBufSize(-1), nats.IgnoreAuthErrorAbort(),
		// A server that was down may have lost unwritten streams: check them again.
		nats.ReconnectHandler(func(*nats.Conn) {
			q.mu.Lock()
			defer q.mu.Unlock()
			q.made = false
		}),
	}
	if q.cfg.Broker.CredsFile != "" {
		options = append(options, natscreds.Option("creds_file", func() ([]byte, error) {
			return secretfile.Read(q.cfg.Broker.CredsFile)
		}))
	}
	if q.cfg.Broker.CAFile != "" {
		options = append(options, nats.RootCAs(q.cfg.Broker.CAFile))
	}
	q.conn, err = nats.Connect(address, options...)
	return err
}

// declare creates streams for subjects that have none. The one for messages is a queue: acknowledged messages are
// removed.
func (q *Queue) declare(ctx context.Context, js jetstream.JetStream) error {
	subjects := map[string]string{q.cfg.Broker.From: "messages", q.cfg.Broker.DeadName(): "dead"}
	if q.cfg.Verdicts.To != "" {
		subjects[q.cfg.Verdicts.To] = "verdicts"
	}
	for subject, use := range subjects {
		_, err := js.StreamNameBySubject(ctx, subject)
		if errors.Is(err, jetstream.ErrStreamNotFound) {
			stream := jetstream.StreamConfig{Name: "goldcrest-" + q.cfg.Name + "-" + use,
				Subjects: []string{subject}, Duplicates: duplicates}
			if use == "messages" {
				stream.Retention = jetstream.WorkQueuePolicy
			}
			_, err = js.CreateStream(ctx, stream)
		}
		if err != nil {
			return fmt.Errorf("the stream of %q: %w", subject, err)
		}
	}
	return nil
}

// consumer is the durable consumer that all instances share.
func (q *Queue) consumer(ctx context.Context) (jetstream.Consumer, jetstream.JetStream, error) {
	js, err := q.open(ctx)
	if err != nil {
		return nil, nil, err
	}
	stream, err := js.StreamNameBySubject(ctx, q.cfg.Broker.From)
	if err != nil {
		return nil, nil, err
	}
	c, err := js.CreateOrUpdateConsumer(ctx, stream, jetstream.ConsumerConfig{
		Durable: "goldcrest-" + q.cfg.Name, FilterSubject: q.cfg.Broker.From, AckPolicy: jetstream.AckExplicitPolicy,
		AckWait: ackWait, MaxDeliver: -1, MaxAckPending: -1,
	})
	return c, js, err
}

// Waiting implements intake.Counter.
func (q *Queue) Waiting(ctx context.Context) (int, error) {
	c, _, err := q.consumer(ctx)
	if err != nil {
		return 0, err
	}
	info, err := c.Info(ctx)
	if err != nil {
		return 0, err
	}
	return int(info.NumPending), nil
}

// Publish implements intake.Outlet.
func (q *Queue) Publish(ctx context.Context, n intake.Notice) error {
	js, err := q.open(ctx)
	if err == nil {
		m := nats.NewMsg(q.cfg.Verdicts.To)
		m.Data = n.Body
		m.Header.Set("Content-Type", "application/json")
		m.Header.Set("Goldcrest-Type", n.Type)
		m.Header.Set("Goldcrest-Message", n.Message)
		if n.Trace != "" {
			m.Header.Set("Traceparent", n.Trace)
		}
		_, err = js.PublishMsg(ctx, m, jetstream.WithMsgID(n.ID), jetstream.WithRetryAttempts(0))
	}
	if err != nil {
		return fault.New(fault.ConnectFailed, "nats.Publish", "NATS did not take it", err)
	}
	return nil
}
