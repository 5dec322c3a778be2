package app

import (
	"context"
	"crypto/rand"
	"errors"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/goldcrest/goldcrest/cache"
	"github.com/goldcrest/goldcrest/config"
	"github.com/goldcrest/goldcrest/fault"
	"github.com/goldcrest/goldcrest/origin"
	"github.com/goldcrest/goldcrest/pipeline"
	"github.com/goldcrest/goldcrest/prewarm/natsqueue"
	"github.com/goldcrest/goldcrest/purge"
)

// allKeys is the prefix of every key.
const allKeys = "v1/"

// newInstance makes a name for this process, unique among those that share a queue.
func newInstance() string { return rand.Text() }

// sharedPurges exchanges purges with the other instances.
type sharedPurges struct {
	*purge.Shared
	log     *natsqueue.Purges
	stop    context.CancelFunc
	running sync.WaitGroup
}

// openPurgeLog opens the file that keeps the purges of a single instance over a restart; nil if it has none. Only
// writes to a bucket outlive their process, and only an instance with a queue has a directory of its own.
func (a *App) openPurgeLog(ctx context.Context) pipeline.PurgeLog {
	if a.cfg.Prewarm.Queue.NATS != "" || a.cfg.Cache.Store.S3.Bucket == "" || !a.cfg.Is(config.RolePrewarm) {
		return nil
	}
	path := filepath.Join(a.cfg.Prewarm.Queue.Dir, "purges.jsonl")
	file, err := purge.OpenFile(ctx, path, a.purges)
	if err != nil {
		a.log.Error("the purges before this start cannot be read; what they purged may come back", "file", path, "error", err)
	}
	return file
}

// firstGeneration is the one before the first purge: a single instance numbers its purges itself, from its start.
func (a *App) firstGeneration() cache.Generation {
	if a.cfg.Prewarm.Queue.NATS != "" {
		return cache.Generation{}
	}
	return cache.Generation{Epoch: time.Now().UnixMilli()}
}

// openPurges starts to follow the purges of the instances that share a cluster. It does not wait for the cluster.
func (a *App) openPurges() error {
	if a.cfg.Prewarm.Queue.NATS == "" {
		return nil
	}
	log, err := natsqueue.OpenPurges(a.cfg.Prewarm.Queue, a.log)
	if err != nil {
		return err
	}
	cfg := purge.Default()
	cfg.OwnStore = a.cfg.Cache.Store.S3.Bucket == ""
	ctx, stop := context.WithCancel(context.Background())
	deps := purge.Deps{Config: cfg, Name: a.instance, Log: log, Instance: purged{a.pipeline, a.origin}, Purges: a.purges, Out: a.log}
	a.shared = &sharedPurges{Shared: purge.NewShared(deps), log: log, stop: stop}
	a.shared.running.Go(func() { a.shared.Run(ctx) })
	return nil
}

// close leaves the other instances. If they cannot be told, that is not an error: they wait for the end of a lease.
func (s *sharedPurges) close(ctx context.Context) {
	if s == nil {
		return
	}
	s.stop()
	s.running.Wait()
	_ = s.Leave(ctx)
	s.log.Close()
}

// purged implements purge.Instance for this instance.
type purged struct {
	*pipeline.Pipeline
	origin *origin.Client
}

var _ purge.Instance = purged{}

// BeginPurge implements purge.Instance. A purge of everything forgets all bad sources too.
func (p purged) BeginPurge(g cache.Generation, prefixes, sources []string, limit time.Duration) func(context.Context) error {
	if slices.Contains(prefixes, allKeys) {
		p.origin.ForgetAll()
	}
	return p.Pipeline.BeginPurge(g, prefixes, sources, limit)
}

// purge removes variants here and on the other instances, and prewarm's knowledge about their sources.
func (a *App) purge(ctx context.Context, what pipeline.Selector) (n int, err error) {
	if a.shared != nil {
		n, err = a.shared.Purge(ctx, what.Prefixes(), what.Sources())
	} else {
		if what.Prefix == allKeys {
			a.origin.ForgetAll()
		}
		n, err = a.pipeline.Purge(ctx, what)
	}
	if err != nil {
		return n, purgeFault(err)
	}
	return n, a.forgetBroken(ctx, what)
}

// purgeFault is the fault for the caller: repeat the purge.
func purgeFault(err error) error {
	said := ""
	switch {
	case errors.Is(err, purge.ErrAway):
		said = "an instance did not confirm the purge and may still serve what was to be purged: repeat the purge"
	case errors.Is(err, purge.ErrLog):
		said = "the queue did not take the purge, so that not all instances know of it: repeat the purge"
	case errors.Is(err, purge.ErrNotKept):
		said = "the purge could not be written to the queue's disk, so that a restart may forget it: repeat the purge"
	default:
		return err
	}
	f := fault.New(fault.Overloaded, "app.purge", said, err)
	f.RetryAfter = 5 * time.Second
	return f
}

// forgetBroken makes prewarm fetch sources again that are known to be broken. While the queue is not open, there is
// nothing to forget.
func (a *App) forgetBroken(ctx context.Context, what pipeline.Selector) error {
	if a.prewarm == nil || !a.prewarm.queue.IsOpen() {
		return nil
	}
	for _, prefix := range what.Prefixes() {
		if err := a.prewarm.service.Forget(ctx, prefix); err != nil {
			return fault.New(fault.Overloaded, "app.purge", "the variants are gone, but what prewarm knows of their sources could not be dropped: repeat the purge", err)
		}
	}
	return nil
}
