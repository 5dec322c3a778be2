package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"strings"
	"time"

	"github.com/goldcrest/goldcrest/cache/s3store"
	"github.com/goldcrest/goldcrest/config"
	"github.com/goldcrest/goldcrest/fault"
	"github.com/goldcrest/goldcrest/pipeline"
	"github.com/goldcrest/goldcrest/prewarm"
	"github.com/goldcrest/goldcrest/prewarm/natsqueue"
	"github.com/goldcrest/goldcrest/signing"
	"github.com/goldcrest/goldcrest/variant"
)

// background is the prewarm door: its parts are nil on an instance without a queue.
type background struct {
	queue    *natsqueue.Queue
	service  *prewarm.Service
	compat   *prewarm.Compat
	webhooks *prewarm.Webhooks
	hush     func() // ends the listening to purges of other instances
}

// openPrewarm opens the queue and what works on it. An instance that is only a proxy has a queue if it shares one.
func (a *app) openPrewarm(ctx context.Context) (err error) {
	cfg := a.cfg.Prewarm
	if !a.cfg.Is(config.RolePrewarm) && cfg.Queue.NATS == "" {
		return nil
	}
	cfg.Queue.Keep = cfg.Door.Keep
	if a.prewarm.queue, err = natsqueue.Open(ctx, cfg.Queue, a.log); err != nil {
		return err
	}
	if a.prewarm.webhooks, err = prewarm.NewWebhooks(cfg.Door.Callbacks, a.origin, nil); err != nil {
		return err
	}
	a.prewarm.service, err = prewarm.New(cfg.Door, prewarm.Deps{
		Ledger: a.prewarm.queue, Queue: a.prewarm.queue, Warm: a.pipeline.Warm, Known: a.pipeline.Known, KnownKey: a.pipeline.KnownKey,
		Parser:      func() *variant.Parser { return a.live.Load().rules.Parser },
		Negotiation: func() variant.Negotiation { return a.live.Load().rules.Negotiation },
		Sign:        a.sign, Tell: a.prewarm.webhooks, Forget: a.origin.Forget, CheckCallback: a.prewarm.webhooks.Check,
		Observer: a.metrics, Log: a.log,
	})
	if err != nil {
		return err
	}
	if err := a.openCompat(ctx); err != nil {
		return err
	}
	if cfg.Queue.NATS != "" {
		a.prewarm.hush, err = a.prewarm.queue.Subscribe(a.purgeHeard)
	}
	return err
}

// openCompat opens the predecessor's call and, if it is configured, the way to its buckets.
func (a *app) openCompat(ctx context.Context) (err error) {
	deps := prewarm.CompatDeps{
		Ledger: a.prewarm.queue, Queue: a.prewarm.queue, Warm: a.pipeline.Warm, Get: a.pipeline.Get,
		Parser: func() *variant.Parser { return a.live.Load().rules.Parser },
		Retry:  a.cfg.Prewarm.Door.Retry, Slots: a.cfg.Prewarm.Door.Workers, Observer: a.metrics, Log: a.log,
	}
	if len(a.cfg.Compat.Buckets) > 0 {
		if deps.Sink, err = s3store.OpenSink(ctx, a.cfg.Cache.Store.S3, a.metrics); err != nil {
			return err
		}
	}
	a.prewarm.compat, err = prewarm.NewCompat(a.cfg.Compat, deps)
	return err
}

// sign gives the URL of a variant under the keys in force.
func (a *app) sign(source, options string, ttl, round time.Duration) (string, error) {
	now := a.live.Load()
	base := strings.TrimSuffix(now.cfg.Server.BaseURL, "/") + now.cfg.Server.PathPrefix
	return now.rules.SignURL(base, "", source, options, signing.Expiry(time.Now(), ttl, round))
}

// work runs the prewarm workers until ctx ends. Viewers are served without them: what ends them early is logged, and they
// begin again.
func (a *app) work(ctx context.Context) (wait func()) {
	if a.prewarm.service == nil || !a.cfg.Is(config.RolePrewarm) {
		return func() {}
	}
	runs := []func(context.Context) error{a.prewarm.service.Run, a.prewarm.compat.Run}
	done := make(chan struct{}, len(runs))
	for _, run := range runs {
		go func() {
			defer func() { done <- struct{}{} }()
			for ctx.Err() == nil {
				if err := run(ctx); ctx.Err() == nil {
					a.log.Error("the prewarm workers ended; they begin again in a moment", "error", err)
				}
				select {
				case <-ctx.Done():
				case <-time.After(5 * time.Second):
				}
			}
		}()
	}
	return func() {
		for range runs {
			<-done
		}
	}
}

// close ends the parts. The workers must have ended before.
func (b *background) close(ctx context.Context) error {
	if b.hush != nil {
		b.hush()
	}
	if b.service != nil {
		b.service.Close()
	}
	if b.queue != nil {
		return b.queue.Close(ctx)
	}
	return nil
}

// reload takes what may change while serving.
func (b *background) reload(cfg config.Config) error {
	if b.service == nil {
		return nil
	}
	return errors.Join(b.webhooks.Reload(cfg.Prewarm.Door.Callbacks), b.compat.Reload(cfg.Compat))
}

// allKeys begins every key.
const allKeys = "v1/"

// purgeNotice tells the other instances of a purge.
type purgeNotice struct {
	From   string `json:"from"` // the instance
	Source string `json:"source,omitempty"`
	Buster string `json:"cb,omitempty"`
	Prefix string `json:"prefix,omitempty"`
}

// newInstance makes the name of this process among those that share a queue.
func newInstance() string { return rand.Text() }

// purge removes variants here, and from the memory of the other instances.
func (a *app) purge(ctx context.Context, what pipeline.Selector) (int, error) {
	n, err := a.purgeHere(ctx, what)
	if err != nil || a.prewarm.hush == nil {
		return n, err
	}
	notice, err := json.Marshal(purgeNotice{From: a.instance, Source: what.Ref.Source, Buster: what.Ref.Spec.CacheBuster, Prefix: what.Prefix})
	if err == nil {
		err = a.prewarm.queue.Publish(ctx, notice)
	}
	if err != nil {
		return n, fault.New(fault.Overloaded, "main.purge", "the variants are gone here and from the store, but the other instances could not be told: repeat the purge", err)
	}
	return n, nil
}

// purgeHere removes variants from memory and store. A purge of everything forgets all bad sources too.
func (a *app) purgeHere(ctx context.Context, what pipeline.Selector) (int, error) {
	if what.Prefix == allKeys {
		a.origin.ForgetAll()
	}
	return a.pipeline.Purge(ctx, what)
}

// purgeHeard repeats a purge of another instance: what this one has in memory, and was about to write, must go too.
func (a *app) purgeHeard(message []byte) {
	var notice purgeNotice
	if err := json.Unmarshal(message, &notice); err != nil || notice.From == a.instance {
		return
	}
	what := pipeline.Selector{Prefix: notice.Prefix}
	var err error
	if notice.Source != "" {
		what.Ref, err = a.live.Load().rules.Parser.Ref(notice.Source, variant.Spec{CacheBuster: notice.Buster})
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err == nil {
		_, err = a.purgeHere(ctx, what)
	}
	if err != nil {
		a.log.Warn("a purge of another instance could not be repeated here", "error", err)
	}
}
