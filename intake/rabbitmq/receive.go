package rabbitmq

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"sync"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/goldcrest/goldcrest/intake"
	"github.com/goldcrest/goldcrest/pause"
)

const (
	consumer = "goldcrest"
	// renewAt is the number of failed deliveries after which a message is published to its queue again. RabbitMQ 4
	// drops a message of a quorum queue after 20 of them.
	renewAt = 10
	// settleTimeout limits the settling of one message.
	settleTimeout = 30 * time.Second
)

// session is one Receive.
type session struct {
	q      *Queue
	handle intake.Handler
	pub    *publisher // its own: it ends with the connection of the messages
	failed chan error // the first failure; it ends the session
}

// Receive implements intake.Intake.
func (q *Queue) Receive(ctx context.Context, slots int, h intake.Handler) (err error) {
	conn, err := q.connect(ctx, "messages")
	if err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return err
	}
	closed := conn.NotifyClose(make(chan *amqp.Error, 1))
	ch, deliveries, err := q.consume(conn, slots)
	if err != nil {
		return errors.Join(err, conn.Close())
	}
	s := &session{q: q, handle: h, pub: &publisher{conn: conn, lost: &q.lost}, failed: make(chan error, 1)}
	ended := ch.NotifyClose(make(chan *amqp.Error, 1))
	handling, stop := context.WithCancel(ctx)
	var running sync.WaitGroup
	for err == nil && ctx.Err() == nil {
		select {
		case d, ok := <-deliveries:
			if !ok {
				err = errors.Join(errors.New("the broker ended the delivery"), reason(ended))
				continue
			}
			running.Go(func() { s.serve(handling, d) })
		case e := <-closed:
			err = fmt.Errorf("the connection ended: %w", e)
		case err = <-s.failed:
		case <-ctx.Done():
		}
	}
	stop() // unsettled messages return with the channel
	running.Wait()
	if err == nil {
		return s.leave(conn)
	}
	q.lost.Store(true)
	return errors.Join(err, ignoreClosed(conn.Close()))
}

// leave ends a session: it waits until the acknowledgements have reached the broker.
func (s *session) leave(conn *amqp.Connection) error {
	select {
	case err := <-s.failed:
		return errors.Join(err, ignoreClosed(conn.Close()))
	default:
	}
	return ignoreClosed(conn.Close())
}

// reason is why a channel was closed; nil if unknown.
func reason(ended <-chan *amqp.Error) error {
	select {
	case e := <-ended:
		if e != nil {
			return e
		}
	default:
	}
	return nil
}

func ignoreClosed(err error) error {
	if errors.Is(err, amqp.ErrClosed) {
		return nil
	}
	return err
}

// consume starts the delivery of messages.
func (q *Queue) consume(conn *amqp.Connection, slots int) (*amqp.Channel, <-chan amqp.Delivery, error) {
	ch, err := conn.Channel()
	if err != nil {
		return nil, nil, err
	}
	if err := ch.Qos(slots, 0, false); err != nil {
		return nil, nil, err
	}
	deliveries, err := ch.Consume(q.cfg.Broker.From, consumer, false, false, false, false, nil)
	return ch, deliveries, err
}

// serve handles one message and applies the outcome.
func (s *session) serve(ctx context.Context, d amqp.Delivery) {
	if err := s.settle(ctx, d); err != nil {
		select {
		case s.failed <- err:
		default:
		}
	}
}

func (s *session) settle(ctx context.Context, d amqp.Delivery) error {
	if count, _ := d.Headers["x-delivery-count"].(int64); count >= renewAt {
		return s.move(ctx, d, s.q.cfg.Broker.From, nil)
	}
	out := s.handle(ctx, message(d, s.q.cfg.Broker))
	switch {
	case out.Reason != "":
		why := amqp.Table{"x-goldcrest-reason": string(out.Reason), "x-goldcrest-detail": out.Detail}
		return s.move(ctx, d, s.q.cfg.Broker.DeadName(), why)
	case out.Again > 0:
		if pause.For(ctx, out.Again) != nil {
			return nil // the broker delivers it again once the channel is closed
		}
		return s.move(ctx, d, s.q.cfg.Broker.From, nil)
	}
	return d.Ack(false)
}

// move publishes a message to another queue, or to the end of its own, before it is acknowledged.
func (s *session) move(ctx context.Context, d amqp.Delivery, to string, more amqp.Table) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), settleTimeout)
	defer cancel()
	headers := amqp.Table{}
	maps.Copy(headers, d.Headers)
	delete(headers, "x-delivery-count")
	maps.Copy(headers, more)
	err := s.pub.publish(ctx, to, amqp.Publishing{
		Headers: headers, ContentType: d.ContentType, ContentEncoding: d.ContentEncoding, DeliveryMode: amqp.Persistent,
		Priority: d.Priority, CorrelationId: d.CorrelationId, ReplyTo: d.ReplyTo, Expiration: "",
		MessageId: d.MessageId,
		Timestamp: d.Timestamp, Type: d.Type, AppId: d.AppId, Body: d.Body,
	})
	if err != nil {
		return err
	}
	return d.Ack(false)
}
