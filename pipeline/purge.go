package pipeline

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/goldcrest/goldcrest/cache"
	"github.com/goldcrest/goldcrest/fault"
	"github.com/goldcrest/goldcrest/variant"
)

// Selector says what to purge: all variants of the sources of Refs, or, where there are none, all keys under Prefix.
type Selector struct {
	Refs   []variant.Ref
	Prefix string
}

// Prefixes are the beginnings of the keys that a Selector names.
func (s Selector) Prefixes() []string {
	if len(s.Refs) == 0 {
		return []string{s.Prefix}
	}
	var out []string
	for _, ref := range s.Refs {
		out = append(out, ref.SourcePrefix())
	}
	return out
}

// Sources are those that a Selector names.
func (s Selector) Sources() (out []string) {
	for _, ref := range s.Refs {
		out = append(out, ref.Sources()...)
	}
	return out
}

// removers is how many prefixes are deleted at the same time.
const removers = 8

// purgeHold bounds the time for which a purge that ends in an error, or with its instance, holds writes.
const purgeHold = 30 * time.Second

// PurgeLog keeps purges so that the next process knows them. Implemented by purge.File.
type PurgeLog interface {
	// Keep returns when the purge is on disk.
	Keep(ctx context.Context, g cache.Generation, prefixes []string) error
}

// Purge removes entries of an instance that shares its store with no other. It returns how many the store had.
// Schedule: [cache.Purges]. A purge that cannot be kept is done all the same: it may be what frees the disk.
func (p *Pipeline) Purge(ctx context.Context, what Selector) (n int, err error) {
	g := p.parts.Purges.Next()
	defer p.EndPurge(g)
	idle := p.BeginPurge(g, what.Prefixes(), what.Sources(), purgeHold)
	var kept error
	if p.parts.PurgeLog != nil {
		kept = p.parts.PurgeLog.Keep(ctx, g, what.Prefixes())
	}
	if err = idle(ctx); err == nil {
		n, err = p.Remove(ctx, what.Prefixes())
	}
	return n, errors.Join(err, kept)
}

// BeginPurge applies a purge to this instance: older entries are misses from here on and gone from memory, what makes
// them is left alone by all who come later, and writes of newer ones wait for EndPurge, or limit. idle returns when the
// older writes have ended.
func (p *Pipeline) BeginPurge(g cache.Generation, prefixes, sources []string, limit time.Duration) (idle func(context.Context) error) {
	idle = p.parts.Purges.Begin(g, prefixes, limit)
	under := cache.Under(prefixes)
	p.parts.Tiers.Forget(under)
	p.fills.detach(under)
	p.upgrades.forget(under)
	for _, source := range sources {
		p.ForgetSource(source)
	}
	return idle
}

// ForgetSource drops what is remembered against a source, so that it is fetched and made again.
func (p *Pipeline) ForgetSource(source string) {
	p.parts.Fetcher.Forget(source)
	p.verdicts.forget(source)
}

// ForgetAll drops all of memory.
func (p *Pipeline) ForgetAll() { p.parts.Tiers.Forget(func(string) bool { return true }) }

// EndPurge lets the writes go on that a purge holds.
func (p *Pipeline) EndPurge(g cache.Generation) { p.parts.Purges.End(g) }

// Remove deletes all entries under the prefixes from the store and returns how many there were.
func (p *Pipeline) Remove(ctx context.Context, prefixes []string) (n int, err error) {
	var mu sync.Mutex
	var working sync.WaitGroup
	next := make(chan string)
	for range min(removers, len(prefixes)) {
		working.Go(func() {
			for prefix := range next {
				removed, failure := p.parts.Store.Delete(ctx, prefix)
				mu.Lock()
				n, err = n+removed, errors.Join(err, failure)
				mu.Unlock()
			}
		})
	}
	for _, prefix := range prefixes {
		next <- prefix
	}
	close(next)
	working.Wait()
	return n, err
}

// errPurgedAgain is what becomes of a variant that was purged each time it was made.
func errPurgedAgain() error {
	return fault.New(fault.Overloaded, "pipeline.Warm", "the picture was purged each time that it was made", cache.ErrPurged).
		After(retrySoon)
}

// detach takes the fills of keys that match out of the table, so that nobody who comes after a purge joins one from
// before it.
func (t *fills) detach(match func(key string) bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for name, f := range t.byName {
		if match(f.key) {
			delete(t.byName, name)
		}
	}
}

// forget makes the keys that match wanted again.
func (u *upgrades) forget(match func(key string) bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	for name := range u.paused {
		if match(name.key) {
			delete(u.paused, name)
		}
	}
}
