package pipeline

import (
	"context"
	"hash/fnv"
	"strings"
	"sync/atomic"

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
	p.fills.detach(prefix)
	p.originals.detach(what.Ref.Source)
	return p.parts.Tiers.Delete(ctx, prefix)
}

// generations counts purges by source, in a fixed number of counters: sources that share one only lose a write-back.
type generations [1024]atomic.Uint64

// of is the generation of the source that key belongs to.
func (g *generations) of(key string) uint64 { return g[slot(sourcePart(key))].Load() }

// raise begins a new generation for every key under prefix.
func (g *generations) raise(prefix string) {
	if part := sourcePart(prefix); strings.HasSuffix(part, "/") && strings.Count(part, "/") == 3 {
		g[slot(part)].Add(1)
		return
	}
	for i := range g { // The prefix spans sources.
		g[i].Add(1)
	}
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
