// Package rabbitmq consumes Data Units from a RabbitMQ queue and publishes verdicts to another. It accepts Celery
// messages, and can publish verdicts as calls of a Celery task.
package rabbitmq

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"sync/atomic"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/goldcrest/goldcrest/fault"
	"github.com/goldcrest/goldcrest/intake"
	"github.com/goldcrest/goldcrest/pause"
	"github.com/goldcrest/goldcrest/secretfile"
)

const (
	dialTimeout = 10 * time.Second
	heartbeat   = 10 * time.Second
	// election is how long the queues of a broker that was down are not used. In RabbitMQ 3.10 a quorum queue that is
	// used in the quarter of a second before it elects its leader never elects one.
	election = 2 * time.Second
)

// Queue is an intake on RabbitMQ: it implements intake.Intake, intake.Outlet and intake.Counter. Safe for concurrent
// use. Make one with Open, and close it with Close.
type Queue struct {
	cfg  intake.Config
	pub  *publisher
	lost atomic.Bool // the broker was down: it may just have started
}

var (
	_ intake.Intake  = (*Queue)(nil)
	_ intake.Outlet  = (*Queue)(nil)
	_ intake.Counter = (*Queue)(nil)
)

// Open makes the intake of a configuration. It connects at first use.
func Open(cfg intake.Config) (*Queue, error) {
	q := &Queue{cfg: cfg}
	if _, err := q.tls(); err != nil {
		return nil, err
	}
	q.pub = &publisher{connect: q.connect, lost: &q.lost}
	return q, nil
}

// Close closes the connection that Publish uses.
func (q *Queue) Close() { q.pub.close() }

// tls reads the CA certificates for the broker's certificate; nil = the system's.
func (q *Queue) tls() (*tls.Config, error) {
	if q.cfg.Broker.CAFile == "" {
		return nil, nil
	}
	text, err := os.ReadFile(q.cfg.Broker.CAFile)
	if err != nil {
		return nil, fmt.Errorf("ca_file: %w", err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(text) {
		return nil, errors.New("ca_file: contains no certificate in PEM")
	}
	return &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}, nil
}

// connect opens a connection, and creates queues that do not exist.
func (q *Queue) connect(ctx context.Context, use string) (*amqp.Connection, error) {
	url, err := secretfile.Value(q.cfg.Broker.URL, q.cfg.Broker.URLFile)
	if err != nil {
		return nil, fmt.Errorf("url_file: %w", err)
	}
	if _, err := amqp.ParseURI(url); err != nil {
		return nil,
			errors.New("url: is not amqp://user:password@host/vhost or amqps://") // err may contain the password
	}
	roots, err := q.tls()
	if err != nil {
		return nil, err
	}
	names := amqp.NewConnectionProperties()
	names.SetClientConnectionName("goldcrest " + q.cfg.Name + " " + use)
	conn, err := amqp.DialConfig(url, amqp.Config{
		Heartbeat: heartbeat, TLSClientConfig: roots, Properties: names,
		Dial: func(network, addr string) (net.Conn, error) {
			ctx, cancel := context.WithTimeout(ctx, dialTimeout)
			defer cancel()
			c, err := (&net.Dialer{}).DialContext(ctx, network, addr)
			if err == nil {
				err = c.SetDeadline(time.Now().Add(dialTimeout)) // for the handshake; the library removes it
			}
			return c, err
		},
	})
	if err != nil {
		q.lost.Store(true)
		return nil, err
	}
	if q.lost.Load() {
		if err := pause.For(ctx, election); err != nil {
			return nil, errors.Join(err, conn.Close())
		}
		q.lost.Store(false)
	}
	if err := q.declare(conn); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return conn, nil
}

// declare creates queues that do not exist: quorum queues, which survive the broker. The queue of a Celery task is
// created by its worker.
func (q *Queue) declare(conn *amqp.Connection) error {
	names := []string{q.cfg.Broker.From, q.cfg.Broker.DeadName()}
	if to := q.cfg.Verdicts.To; to != "" && q.cfg.Verdicts.Task == "" {
		names = append(names, to)
	}
	for _, name := range names {
		err := onChannel(conn, func(ch *amqp.Channel) error {
			_, err := ch.QueueDeclarePassive(name, true, false, false, false, nil)
			return err
		})
		var refused *amqp.Error
		if errors.As(err, &refused) && refused.Code == amqp.NotFound {
			err = onChannel(conn, func(ch *amqp.Channel) error {
				_, err := ch.QueueDeclare(name, true, false, false, false,
					amqp.Table{amqp.QueueTypeArg: amqp.QueueTypeQuorum})
				return err
			})
		}
		if err != nil {
			return fmt.Errorf("the queue %q: %w", name, err)
		}
	}
	return nil
}

// onChannel runs do on its own channel: the broker closes a channel on which a call was refused.
func onChannel(conn *amqp.Connection, do func(*amqp.Channel) error) error {
	ch, err := conn.Channel()
	if err != nil {
		return err
	}
	if err := do(ch); err != nil {
		return err
	}
	return ch.Close()
}

// Waiting implements intake.Counter.
func (q *Queue) Waiting(ctx context.Context) (n int, err error) {
	conn, err := q.pub.open(ctx)
	if err != nil {
		return 0, err
	}
	err = onChannel(conn, func(ch *amqp.Channel) error {
		state, err := ch.QueueDeclarePassive(q.cfg.Broker.From, true, false, false, false, nil)
		n = state.Messages
		return err
	})
	return n, err
}

// lost is the fault of a broker that did not accept something.
func lost(op string, err error) error {
	return fault.New(fault.ConnectFailed, "rabbitmq."+op, "the broker did not take it", err)
}
