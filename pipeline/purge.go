package pipeline

import (
	"context"
	"hash/fnv"
	"strings"
	"sync"

	"github.com/goldcrest/goldcrest/variant"
)

// Selector says what to purge: all variants of Ref's source, or, where that is empty, all keys under Prefix.
type Selector struct {
	Ref    variant.Ref
	Prefix string
}

// Purge removes entries from memory and store and makes sure that no fill that began before it writes one back. It returns
// how many entries there were.
func (p *Pipeline) Purge(ctx context.Context, what Selector) (int, error) {
	prefix := what.Prefix
	if what.Ref.Source != "" {
		prefix = what.Ref.SourcePrefix()
		p.parts.Fetcher.Forget(what.Ref.Source)
	}
	p.generations.raise(prefix)
	defer p.generations.settle(prefix)
	p.fills.detach(prefix)
	p.originals.detach(what.Ref.Source)
	p.upgrades.forget(prefix)
	defer p.masters.reads.detachPrefix(prefix)
	return p.parts.Tiers.Delete(ctx, prefix)
}

// generations counts purges by source, in a fixed number of counters: sources that share one only lose a write-back. A write
// holds its counter for reading from the check of the generation until the write ended; Purge raises it under the write lock:
//  1. A fill holds the counter, finds its generation unchanged, and writes.
//  2. Purge waits for the counter.
//  3. The write ends; Purge raises the generation and only then deletes, this write included.
//  4. Any later write of a fill from before finds the generation raised and does not happen.
type generations [1024]struct {
	sync.RWMutex
	n       uint64
	purging int // purges that have not ended
}

// generation is the one of a source at the beginning of a fill.
type generation struct {
	all     *generations
	slot    int
	n       uint64
	purging bool // the purge that began it had not ended
}

// of is the present generation of the source that key belongs to.
func (g *generations) of(key string) generation {
	i := slot(sourcePart(key))
	g[i].RLock()
	defer g[i].RUnlock()
	return generation{g, i, g[i].n, g[i].purging > 0}
}

// hold reports whether nothing was purged since, and then keeps purges waiting until release.
func (g generation) hold() bool {
	g.all[g.slot].RLock()
	return g.check()
}

// tryHold is hold without waiting: false also where a purge is on its way.
func (g generation) tryHold() bool { return g.all[g.slot].TryRLock() && g.check() }

// check gives the counter back unless the generation is unchanged.
func (g generation) check() bool {
	if g.all[g.slot].n == g.n {
		return true
	}
	g.all[g.slot].RUnlock()
	return false
}

// release ends a successful hold.
func (g generation) release() { g.all[g.slot].RUnlock() }

// raise begins a new generation for every key under prefix, with a purge that settle ends.
func (g *generations) raise(prefix string) {
	from, to := g.slots(prefix)
	for i := from; i < to; i++ {
		g[i].Lock()
		g[i].n++
		g[i].purging++
		g[i].Unlock()
	}
}

// settle tells that the purge of prefix has ended.
func (g *generations) settle(prefix string) {
	from, to := g.slots(prefix)
	for i := from; i < to; i++ {
		g[i].Lock()
		g[i].purging--
		g[i].Unlock()
	}
}

// slots are the counters of the keys under prefix.
func (g *generations) slots(prefix string) (from, to int) {
	if part := sourcePart(prefix); strings.HasSuffix(part, "/") && strings.Count(part, "/") == 3 {
		from = slot(part) // It lies within one source,
		return from, from + 1
	}
	return 0, len(g) // or spans several.
}

// slot is the counter of a source.
func slot(part string) int {
	h := fnv.New32a()
	h.Write([]byte(part))
	return int(h.Sum32() % uint32(len(generations{})))
}

// sourcePart cuts a key ("v1/ab/hash/spec.ext") behind its source.
func sourcePart(key string) string {
	n := 0
	for i := range len(key) {
		if key[i] == '/' {
			if n++; n == 3 {
				return key[:i+1]
			}
		}
	}
	return key
}
