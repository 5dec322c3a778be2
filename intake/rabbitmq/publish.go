package rabbitmq

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/goldcrest/goldcrest/intake"
)

// redialEvery is the pause between two attempts to connect; in between Publish fails at once.
const redialEvery = time.Second

// publisher publishes with confirmation. Each publication has its own channel meanwhile, so that the broker's responses
// belong to it. Safe for concurrent use.
type publisher struct {
	connect func(ctx context.Context, use string) (*amqp.Connection, error) // nil = only conn is used
	lost    *atomic.Bool                                                    // set when a connection failed

	mu    sync.Mutex
	conn  *amqp.Connection
	idle  []*line
	tried time.Time
	last  error // the reason why the last connection attempt failed
}

// line is a channel in confirm mode.
type line struct {
	conn     *amqp.Connection
	ch       *amqp.Channel
	returned chan amqp.Return
}

// open returns the connection; it connects if there is none.
func (p *publisher) open(ctx context.Context) (*amqp.Connection, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.conn != nil && !p.conn.IsClosed() {
		return p.conn, nil
	}
	if p.connect == nil {
		return nil, amqp.ErrClosed
	}
	if p.conn != nil {
		p.lost.Store(true)
	}
	if p.last != nil && time.Since(p.tried) < redialEvery {
		return nil, p.last
	}
	p.idle = nil
	p.conn, p.last = p.connect(ctx, "verdicts")
	p.tried = time.Now()
	return p.conn, p.last
}

// take returns a line for one publication.
func (p *publisher) take(ctx context.Context) (*line, error) {
	conn, err := p.open(ctx)
	if err != nil {
		return nil, err
	}
	p.mu.Lock()
	if n := len(p.idle); n > 0 && p.idle[n-1].conn == conn {
		l := p.idle[n-1]
		p.idle = p.idle[:n-1]
		p.mu.Unlock()
		return l, nil
	}
	p.mu.Unlock()
	ch, err := conn.Channel()
	if err != nil {
		return nil, err
	}
	if err := ch.Confirm(false); err != nil {
		return nil, err
	}
	return &line{conn, ch, ch.NotifyReturn(make(chan amqp.Return, 1))}, nil
}

// drop closes the connection after a publication that was not confirmed in time; the next one connects again.
func (p *publisher) drop(l *line) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if l.conn == p.conn {
		p.conn, p.idle = nil, nil
	}
	p.lost.Store(true)
	go func() { _ = l.conn.Close() }() // a broker that hangs may never respond
}

// give returns a line whose publication was confirmed.
func (p *publisher) give(l *line) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if l.conn == p.conn {
		p.idle = append(p.idle, l)
	}
}

var (
	errReturned = errors.New("there is no such queue")
	errNacked   = errors.New("the broker refused it")
)

// publish returns nil once the broker has a message of a queue on disk.
func (p *publisher) publish(ctx context.Context, queue string, m amqp.Publishing) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	l, err := p.take(ctx)
	if err != nil {
		return lost("publish", err)
	}
	sent, err := l.ch.PublishWithDeferredConfirmWithContext(ctx, "", queue, true, false, m)
	acked := false
	if err == nil {
		acked, err = sent.WaitContext(ctx)
	}
	if err == nil && !acked {
		err = errNacked // also if the connection ended
	}
	if err != nil {
		p.drop(l)
		return lost("publish", err)
	}
	select { // the broker returns what it cannot route before it confirms it
	case <-l.returned:
		err = lost("publish", errReturned)
	default:
	}
	p.give(l)
	return err
}

func (p *publisher) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.conn != nil {
		_ = p.conn.Close()
	}
}

// Publish implements intake.Outlet.
func (q *Queue) Publish(ctx context.Context, n intake.Notice) error {
	m := plain(n)
	if task := q.cfg.Verdicts.Task; task != "" {
		m = call(task, n)
	}
	return q.pub.publish(ctx, q.cfg.Verdicts.To, m)
}

// plain is a notice as a JSON message.
func plain(n intake.Notice) amqp.Publishing {
	m := amqp.Publishing{
		ContentType: "application/json", DeliveryMode: amqp.Persistent, AppId: "goldcrest",
		MessageId: n.ID, CorrelationId: n.Message, Type: n.Type, Timestamp: time.Now(), Body: n.Body,
	}
	if n.Trace != "" {
		m.Headers = amqp.Table{"traceparent": n.Trace}
	}
	return m
}
