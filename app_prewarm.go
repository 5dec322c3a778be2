package main

import (
	"context"
	"errors"
	"sync"
	"syscall"
	"time"

	"github.com/goldcrest/goldcrest/cache/s3store"
	"github.com/goldcrest/goldcrest/config"
	"github.com/goldcrest/goldcrest/prewarm"
	"github.com/goldcrest/goldcrest/prewarm/natsqueue"
	"github.com/goldcrest/goldcrest/signing"
	"github.com/goldcrest/goldcrest/variant"
)

// background is what works on Data Units.
type background struct {
	queue    *natsqueue.Queue
	service  *prewarm.Service
	compat   *prewarm.Compat
	webhooks *prewarm.Webhooks
}

// openPrewarm makes the prewarm door, if the instance has one: one that is only a proxy has if it shares a queue. Of what can keep
// the queue from opening, only another server on the same directory ends the start: two would spoil it.
func (a *app) openPrewarm(ctx context.Context) error {
	if err := a.openPurges(); err != nil {
		return err
	}
	cfg := a.live.Load().cfg
	if !cfg.Is(config.RolePrewarm) && cfg.Prewarm.Queue.NATS == "" {
		return nil
	}
	webhooks, err := prewarm.NewWebhooks(cfg.Prewarm.Door.Callbacks, a.origin.Guarded(), nil)
	if err != nil {
		return err
	}
	a.webhooks, a.door = webhooks, &door{}
	err = a.openDoor(ctx)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return err
	}
	if err != nil {
		a.log.Error("the prewarm queue cannot be opened; serving without it, and trying again", "error", err)
	}
	return nil
}

// openDoor opens the queue and all that stands on it.
func (a *app) openDoor(ctx context.Context) (err error) {
	b := &background{webhooks: a.webhooks}
	defer func() {
		if err != nil {
			a.door.shut(err)
			err = errors.Join(err, b.close(ctx))
		}
	}()
	cfg := a.live.Load().cfg.Prewarm
	cfg.Queue.Keep = cfg.Door.Keep
	if b.queue, err = natsqueue.Open(ctx, cfg.Queue, a.log); err != nil {
		return err
	}
	cfg.Door.Drain = a.live.Load().cfg.Server.Drain
	b.service, err = prewarm.New(cfg.Door, prewarm.Deps{
		Ledger: b.queue, Queue: b.queue, Warm: a.pipeline.Warm, Known: a.pipeline.Known, KnownKey: a.pipeline.KnownKey,
		Improve:     a.pipeline.Improve,
		Parser:      func() *variant.Parser { return a.live.Load().rules.Parser },
		Negotiation: func() variant.Negotiation { return a.live.Load().rules.Negotiation },
		Sign:        a.sign, Tell: b.webhooks, Forget: a.pipeline.ForgetSource, CheckCallback: b.webhooks.Check,
		Observer: a.metrics, Log: a.log, Tracer: a.tracer(),
	})
	if err != nil {
		return err
	}
	if err := a.openCompat(ctx, b); err != nil {
		return err
	}
	a.door.parts.Store(b)
	return nil
}

// openCompat opens the predecessor's call and, if it is configured, the way to its buckets.
func (a *app) openCompat(ctx context.Context, b *background) (err error) {
	cfg := a.live.Load().cfg
	deps := prewarm.CompatDeps{
		Ledger: b.queue, Queue: b.queue, Warm: a.pipeline.Warm, Get: a.pipeline.Get,
		Parser: func() *variant.Parser { return a.live.Load().rules.Parser },
		Retry:  cfg.Prewarm.Door.Retry, Slots: cfg.Prewarm.Door.Workers, Most: cfg.Prewarm.Door.CallVariants, Observer: a.metrics, Log: a.log,
	}
	if len(cfg.Compat.Buckets) > 0 {
		if deps.Sink, err = s3store.OpenSink(ctx, cfg.Cache.Store.S3, a.metrics); err != nil {
			return err
		}
	}
	b.compat, err = prewarm.NewCompat(cfg.Compat, deps)
	return err
}

// sign gives the URL of a variant under the keys in force.
func (a *app) sign(source, options string, ttl, round time.Duration) (string, error) {
	now := a.live.Load()
	return now.rules.SignURL(now.cfg.Server.PublicURL(), "", source, options, signing.Expiry(time.Now(), ttl, round))
}

// work opens the door, if the start could not, and runs the prewarm workers until ctx ends.
func (a *app) work(ctx context.Context) (wait func()) {
	var working sync.WaitGroup
	working.Go(func() { a.keepHistory(ctx) })
	if a.door == nil {
		return working.Wait
	}
	working.Go(func() {
		for a.door.parts.Load() == nil {
			if !rest(ctx, reopenEvery) {
				return
			}
			if err := a.openDoor(ctx); err != nil {
				a.log.Warn("the prewarm queue still cannot be opened", "error", err)
				continue
			}
			a.log.Info("the prewarm queue is open")
		}
		if !a.live.Load().cfg.Is(config.RolePrewarm) {
			return
		}
		b := a.door.parts.Load()
		working.Go(func() { a.keepRunning(ctx, b.service.Run) })
		working.Go(func() { a.keepRunning(ctx, b.compat.Run) })
	})
	return working.Wait
}

// keepRunning runs workers until ctx ends. Viewers are served without them: what ends them early is logged, and they begin again.
func (a *app) keepRunning(ctx context.Context, run func(context.Context) error) {
	for {
		err := run(ctx)
		if ctx.Err() != nil {
			return
		}
		a.log.Error("the prewarm workers ended; they begin again in a moment", "error", err)
		if !rest(ctx, reopenEvery) {
			return
		}
	}
}

// rest pauses; false: ctx ended.
func rest(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}

// close ends the parts. The workers must have ended before.
func (b *background) close(ctx context.Context) error {
	if b == nil {
		return nil
	}
	if b.service != nil {
		b.service.Close()
	}
	if b.queue != nil {
		return b.queue.Close(ctx)
	}
	return nil
}

// reloadPrewarm takes what may change while serving.
func (a *app) reloadPrewarm(cfg config.Config) error {
	if a.door == nil {
		return nil
	}
	err := a.webhooks.Reload(cfg.Prewarm.Door.Callbacks)
	if b := a.door.parts.Load(); b != nil {
		err = errors.Join(err, b.compat.Reload(cfg.Compat))
	}
	return err
}
