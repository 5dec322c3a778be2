package cache

import "strings"

// prefixes is a set of key prefixes with the newest Generation that purged each. A look-up costs one map access for
// each length of prefix, of which there are few: all prefixes of sources have the same length.
type prefixes struct {
	purged  map[string]Generation
	lengths map[int]int // number of prefixes of each length
}

func newPrefixes() prefixes {
	return prefixes{purged: map[string]Generation{}, lengths: map[int]int{}}
}

// add adds a prefix, or updates its Generation.
func (p prefixes) add(prefix string, g Generation) {
	old, ok := p.purged[prefix]
	if !ok {
		p.lengths[len(prefix)]++
	}
	if !ok || old.Before(g) {
		p.purged[prefix] = g
	}
}

// remove removes a prefix if g was its last purge.
func (p prefixes) remove(prefix string, g Generation) {
	if last, ok := p.purged[prefix]; !ok || last != g {
		return
	}
	delete(p.purged, prefix)
	if p.lengths[len(prefix)]--; p.lengths[len(prefix)] == 0 {
		delete(p.lengths, len(prefix))
	}
}

// newest returns the last purge of any prefix of key.
func (p prefixes) newest(key string) (newest Generation, ok bool) {
	for n := range p.lengths {
		if n > len(key) {
			continue
		}
		if g, found := p.purged[key[:n]]; found {
			ok = true
			if newest.Before(g) {
				newest = g
			}
		}
	}
	return newest, ok
}

// has reports whether any prefix of key is in the set.
func (p prefixes) has(key string) bool {
	_, ok := p.newest(key)
	return ok
}

// Under returns a function that reports whether a key begins with any of the prefixes.
func Under(under []string) func(key string) bool {
	if len(under) == 1 {
		return func(key string) bool { return strings.HasPrefix(key, under[0]) }
	}
	p := newPrefixes()
	for _, prefix := range under {
		p.add(prefix, Generation{})
	}
	return p.has
}
