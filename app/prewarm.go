package app

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/goldcrest/goldcrest/prewarm/compat"
	"github.com/goldcrest/goldcrest/prewarm/usage"
	"github.com/goldcrest/goldcrest/prewarm/webhook"

	"github.com/goldcrest/goldcrest/cache/s3store"
	"github.com/goldcrest/goldcrest/config"
	"github.com/goldcrest/goldcrest/intake"
	"github.com/goldcrest/goldcrest/pause"
	"github.com/goldcrest/goldcrest/prewarm"
	"github.com/goldcrest/goldcrest/prewarm/natsqueue"
	"github.com/goldcrest/goldcrest/server/access"
	"github.com/goldcrest/goldcrest/signing"
	"github.com/goldcrest/goldcrest/variant"
)

// background is what works on Data Units.
type background struct {
	queue    *natsqueue.Queue
	service  *prewarm.Service
	compat   *compat.Service
	webhooks *webhook.Sender
	intakes  *intake.Door // nil = there are none
}

// openPrewarm opens prewarm, if the instance has it: one that is only a proxy does if it shares a queue. The queue
// opens in the background: until then calls are refused with a retryable fault, and viewers are served.
func (a *App) openPrewarm(ctx context.Context) (err error) {
	if err := a.openPurges(); err != nil {
		return err
	}
	cfg := a.live.Load().cfg
	if !cfg.Is(config.RolePrewarm) && cfg.Prewarm.Queue.NATS == "" {
		return nil
	}
	b := &background{}
	a.prewarm = b // closed with the app, even if only a part of it is open
	if b.webhooks, err = webhook.NewSender(cfg.Prewarm.Door.Callbacks, a.origin.Guarded(), nil); err != nil {
		return err
	}
	queue, door := cfg.Prewarm.Queue, cfg.Prewarm.Door
	queue.Keep, door.Drain = door.Keep, cfg.Server.Drain
	if b.queue, err = natsqueue.Open(ctx, queue, a.log); err != nil {
		return err
	}
	var keep func(context.Context, map[string]string) error
	if a.links != nil {
		keep = a.links.Keep
	}
	b.service, err = prewarm.New(door, prewarm.Deps{
		Ledger: b.queue, Queue: b.queue, Warm: a.pipeline.Warm, Known: a.pipeline.Known,
		Stored: prewarm.Stored{Improve: a.pipeline.Improve, KnownKey: a.pipeline.KnownKey}, Keep: keep, Basis: a.basis,
		Parser:      func() *variant.Parser { return a.live.Load().rules.Parser },
		Negotiation: func() variant.Negotiation { return a.live.Load().rules.Negotiation },
		Sign:        a.sign, Tell: teller{b}, Forget: a.pipeline.ForgetSource, CheckCallback: b.webhooks.Check,
		Quotas:   func() map[string]usage.Quota { return a.live.Load().quotas },
		Observer: prewarmMeter{a.metrics, a}, Log: a.log, Tracer: a.telemetry.Tracer(),
	})
	if err != nil {
		return err
	}
	if err := a.openIntakes(b); err != nil {
		return err
	}
	return a.openCompat(ctx, b)
}

// openCompat opens the predecessor's call and, if configured, the access to its buckets.
func (a *App) openCompat(ctx context.Context, b *background) (err error) {
	cfg := a.live.Load().cfg
	deps := compat.Deps{
		Ledger: b.queue, Queue: b.queue, Warm: a.pipeline.Warm, Get: a.pipeline.Get,
		Parser: func() *variant.Parser { return a.live.Load().rules.Parser },
		Retry:  cfg.Prewarm.Door.Retry, Slots: cfg.Prewarm.Door.Workers, Most: cfg.Prewarm.Door.CallVariants, Accounts: b.service.Accounts(),
		Judged: prewarmMeter{a.metrics, a}.Judged, Log: a.log,
	}
	if len(cfg.Compat.Buckets) > 0 {
		if deps.Sink, err = s3store.OpenSink(ctx, cfg.Cache.Store.S3, a.metrics); err != nil {
			return err
		}
	}
	b.compat, err = compat.New(cfg.Compat, deps)
	return err
}

// sign returns the URL of a variant, signed with the current keys.
func (a *App) sign(key, source, options string, ttl, round time.Duration) (string, error) {
	now := a.live.Load()
	return now.rules.SignURL(access.URL{
		Base: now.cfg.Server.PublicURL(), Key: key, Source: source, Options: options, Expires: signing.Expiry(time.Now(), ttl, round),
	}, signing.Rights{})
}

// work runs the prewarm workers, once the queue is open, until ctx ends.
func (a *App) work(ctx context.Context) (wait func()) {
	var working sync.WaitGroup
	working.Go(func() { a.keepHistory(ctx) })
	working.Go(func() { a.selfCheck(ctx) })
	if a.prewarm == nil || !a.live.Load().cfg.Is(config.RolePrewarm) {
		return working.Wait
	}
	working.Go(func() { a.tellSync(ctx) })
	working.Go(func() {
		if a.prewarm.queue.Await(ctx) != nil {
			return
		}
		working.Go(func() { a.keepRunning(ctx, a.prewarm.service.Run) })
		working.Go(func() { a.keepRunning(ctx, a.prewarm.compat.Run) })
		if a.prewarm.intakes != nil {
			working.Go(func() { a.prewarm.intakes.Run(ctx) })
		}
	})
	return working.Wait
}

// restartEvery is the pause before workers that failed are started again.
const restartEvery = 5 * time.Second

// keepRunning runs workers until ctx ends. Viewers are served without them: an early end is logged, and they start
// again.
func (a *App) keepRunning(ctx context.Context, run func(context.Context) error) {
	for {
		err := run(ctx)
		if ctx.Err() != nil {
			return
		}
		a.log.Error("the prewarm workers ended; they restart in a moment", "error", err)
		if pause.For(ctx, restartEvery) != nil {
			return
		}
	}
}

// close ends the parts. The workers must have ended before.
func (b *background) close(ctx context.Context) error {
	if b == nil {
		return nil
	}
	if b.intakes != nil {
		b.intakes.Close()
	}
	if b.service != nil {
		b.service.Close()
	}
	if b.queue != nil {
		return b.queue.Close(ctx)
	}
	return nil
}

// reloadPrewarm applies a reload to prewarm.
func (a *App) reloadPrewarm(cfg config.Config) error {
	if a.prewarm == nil {
		return nil
	}
	return errors.Join(a.prewarm.webhooks.Reload(cfg.Prewarm.Door.Callbacks), a.prewarm.compat.Reload(cfg.Compat))
}
