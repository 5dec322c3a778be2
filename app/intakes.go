package app

import (
	"context"
	"fmt"

	"github.com/goldcrest/goldcrest/intake"
	"github.com/goldcrest/goldcrest/intake/nats"
	"github.com/goldcrest/goldcrest/intake/rabbitmq"
	"github.com/goldcrest/goldcrest/intake/sqs"
	"github.com/goldcrest/goldcrest/prewarm/unit"
	"github.com/goldcrest/goldcrest/prewarm/webhook"
	"github.com/goldcrest/goldcrest/server/access"
)

// openIntakes opens the configured intakes, if any. They connect once the queue is open.
func (a *App) openIntakes(b *background) (err error) {
	cfg := a.live.Load().cfg
	if len(cfg.Intakes)+len(cfg.Prewarm.BucketQueues) == 0 {
		return nil
	}
	b.intakes, err = intake.New(cfg.Intakes, intake.Deps{
		Calls: b.service, Act: func(token string) (intake.Caller, error) { return a.act(token, access.ScopePrewarm) },
		Rules: func() unit.Rules { return a.live.Load().rules.Prewarm },
		Open:  openIntake, Ledger: b.queue, Observer: a.metrics, Log: a.log,
	})
	for n, q := range cfg.Prewarm.BucketQueues {
		if err == nil {
			err = a.addBuckets(b.intakes, n, q)
		}
	}
	return err
}

// act starts one call of an intake with the rights of a token.
func (a *App) act(token, scope string) (intake.Caller, error) {
	who, err := a.server.As(token, scope)
	return intake.Caller{Name: who.Name, Key: who.Key, Rights: who.May, Bodies: who.Bodies}, err
}

// openIntake opens the configured intake, by its kind.
func openIntake(c intake.Config) (in intake.Intake, out intake.Outlet, end func(), err error) {
	switch c.Broker.Kind {
	case intake.RabbitMQ:
		q, err := rabbitmq.Open(c)
		if err != nil {
			return nil, nil, nil, err
		}
		in, out, end = q, q, q.Close
	case intake.NATS:
		q := nats.Open(c)
		in, out, end = q, q, q.Close
	case intake.SQS:
		// Open reads credentials and connects to nothing, so it does not need the caller's context.
		q, err := sqs.Open(context.Background(), sqs.Config{Queue: c.Broker.From, Dead: c.Broker.Dead, Endpoint: c.Broker.URL})
		if err != nil {
			return nil, nil, nil, err
		}
		in, out, end = q, q.Outlet(c.Verdicts.To), func() {}
	default: // Validate has refused it
		return nil, nil, nil, fmt.Errorf("there is no intake of the kind %q", c.Broker.Kind)
	}
	if c.Verdicts.To == "" {
		out = nil
	}
	return in, out, end, nil
}

// teller passes events of jobs to the outlet of their intake, or to the callback.
type teller struct{ b *background }

// Tell implements prewarm.Teller.
func (t teller) Tell(ctx context.Context, e webhook.Event) error {
	if e.Job.Callback != nil && e.Job.Callback.Outlet != "" {
		return t.b.intakes.Tell(ctx, e)
	}
	return t.b.webhooks.Tell(ctx, e)
}
