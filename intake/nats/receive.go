package nats

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/goldcrest/goldcrest/intake"
	"github.com/goldcrest/goldcrest/pause"
)

const (
	pullWait      = 5 * time.Second  // of one request for a message
	settleTimeout = 10 * time.Second // of one acknowledgement
)

// session is one Receive.
type session struct {
	q        *Queue
	js       jetstream.JetStream
	consumer jetstream.Consumer
	handle   intake.Handler
}

// Receive implements intake.Intake.
func (q *Queue) Receive(ctx context.Context, slots int, h intake.Handler) error {
	c, js, err := q.consumer(ctx)
	if err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return err
	}
	s := &session{q: q, js: js, consumer: c, handle: h}
	receiving, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	var running sync.WaitGroup
	for range slots {
		running.Go(func() {
			if err := s.run(receiving); err != nil {
				stop(err)
			}
		})
	}
	running.Wait()
	if ctx.Err() != nil {
		return nil
	}
	return context.Cause(receiving)
}

// run receives messages one by one until ctx ends, or the server is lost.
func (s *session) run(ctx context.Context) error {
	for ctx.Err() == nil {
		m, err := s.next(ctx)
		switch {
		case ctx.Err() != nil && m == nil:
			return nil
		case err != nil:
			return err
		case m == nil:
			continue
		}
		if err := s.settle(ctx, m); err != nil {
			return err
		}
	}
	return nil
}

// next waits for a message; nil = none came within pullWait.
func (s *session) next(ctx context.Context) (jetstream.Msg, error) {
	waiting, cancel := context.WithTimeout(ctx, pullWait)
	defer cancel()
	batch, err := s.consumer.Fetch(1, jetstream.FetchContext(waiting))
	if err != nil {
		return nil, err
	}
	m := <-batch.Messages()
	err = batch.Error()
	if errors.Is(err, nats.ErrTimeout) || errors.Is(err, context.DeadlineExceeded) {
		err = nil
	}
	if m == nil && err == nil && waiting.Err() == nil && !s.js.Conn().IsConnected() {
		err = errors.New("the server is lost")
	}
	return m, err
}

// settle handles one message and applies the outcome.
func (s *session) settle(ctx context.Context, m jetstream.Msg) error {
	held := s.hold(m)
	out := s.handle(ctx, message(m))
	if out.Again > 0 && out.Reason == "" {
		_ = pause.For(ctx, out.Again)
	}
	held()
	saying, cancel := context.WithTimeout(context.WithoutCancel(ctx), settleTimeout)
	defer cancel()
	switch {
	case out.Reason != "":
		dead := nats.NewMsg(s.q.cfg.Broker.DeadName())
		dead.Data = m.Data()
		for name, values := range m.Headers() {
			dead.Header[name] = values
		}
		dead.Header.Set("Goldcrest-Reason", string(out.Reason))
		dead.Header.Set("Goldcrest-Detail", out.Detail)
		if _, err := s.js.PublishMsg(saying, dead); err != nil {
			return err
		}
	case out.Again > 0:
		return m.Nak()
	}
	return m.DoubleAck(saying)
}

// hold prevents redelivery while the message is handled.
func (s *session) hold(m jetstream.Msg) (end func()) {
	done := make(chan struct{})
	var holding sync.WaitGroup
	holding.Go(func() {
		tick := time.NewTicker(ackWait / 3)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				_ = m.InProgress() // if it is lost, the message is delivered again
			case <-done:
				return
			}
		}
	})
	return func() {
		close(done)
		holding.Wait()
	}
}

// message converts a delivery.
func message(m jetstream.Msg) intake.Message {
	h := m.Headers()
	return intake.Message{
		ID: h.Get(jetstream.MsgIDHeader), Body: m.Data(), Type: h.Get("Content-Type"),
		Encoding: h.Get("Content-Encoding"),
		Trace:    h.Get("Traceparent"),
	}
}
