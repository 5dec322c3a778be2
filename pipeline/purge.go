package pipeline

import (
	"context"
	"errors"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/goldcrest/goldcrest/cache"
	"github.com/goldcrest/goldcrest/fault"
	"github.com/goldcrest/goldcrest/variant"
)

// Selector says what to purge: all variants of the sources in Refs, or, if Refs is empty, all keys with Prefix.
type Selector struct {
	Refs   []variant.Ref
	Prefix string
}

// Prefixes returns the key prefixes that a Selector selects.
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

// Sources returns the sources that a Selector selects.
func (s Selector) Sources() (out []string) {
	for _, ref := range s.Refs {
		out = append(out, ref.Sources()...)
	}
	return out
}

// removers is the number of prefixes that are deleted concurrently.
const removers = 8

// purgeHold bounds how long a purge holds writes if it fails or its instance ends.
const purgeHold = 30 * time.Second

// PurgeLog stores purges for the next process. Implemented by purge.File.
type PurgeLog interface {
	// Keep returns when the purge is on disk.
	Keep(ctx context.Context, g cache.Generation, prefixes []string) error
}

// Purge removes entries of an instance that does not share its store. It returns how many the store had. Schedule:
// [cache.Purges]. A purge that cannot be logged is carried out anyway: it may be what frees the disk.
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

// BeginPurge applies a purge to this instance. From here on older entries are misses and are dropped from memory, and
// later callers do not join older fills. Writes of newer entries wait for EndPurge, at most for limit. idle returns
// when the older writes have ended.
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

// ForgetSource drops remembered failures of a source, so that it is fetched and made again.
func (p *Pipeline) ForgetSource(source string) {
	p.parts.Fetcher.Forget(source)
	p.verdicts.Forget(source)
}

// ForgetAll drops all entries from memory.
func (p *Pipeline) ForgetAll() { p.parts.Tiers.Forget(func(string) bool { return true }) }

// EndPurge releases the writes that a purge holds.
func (p *Pipeline) EndPurge(g cache.Generation) { p.parts.Purges.End(g) }

// Remove deletes all entries with the prefixes from the store and returns how many there were.
func (p *Pipeline) Remove(ctx context.Context, prefixes []string) (n int, err error) {
	var mu sync.Mutex
	var working errgroup.Group
	working.SetLimit(removers)
	for _, prefix := range prefixes {
		working.Go(func() error {
			removed, failure := p.parts.Store.Delete(ctx, prefix)
			mu.Lock()
			defer mu.Unlock()
			n, err = n+removed, errors.Join(err, failure)
			return nil
		})
	}
	_ = working.Wait() // no error: each prefix is deleted, whatever happened to others
	return n, err
}

// errPurgedAgain is the error of a variant that was purged each time it was made.
func errPurgedAgain() error {
	return fault.New(fault.Overloaded, "pipeline.Warm", "the picture was purged each time that it was made", cache.ErrPurged).
		After(retrySoon)
}

// detach removes the fills of matching keys from the table, so that no caller after a purge joins a fill from before
// it.
func (t *fills) detach(match func(key string) bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for name, f := range t.byName {
		if match(f.key) {
			delete(t.byName, name)
		}
	}
}

// forget ends the pause after failed upgrades for matching keys.
func (u *upgrades) forget(match func(key string) bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	for name := range u.paused {
		if match(name.key) {
			delete(u.paused, name)
		}
	}
}
