package cachetest

import (
	"bytes"
	"testing"

	"github.com/goldcrest/goldcrest/cache"
)

// RunSeals tests a store outside this process against the contract of seals: an entry can be read with the key of its
// seal, and is repaired by instances without that key. open opens the same storage each time, empty at first, with
// another seal; the previous store is not used any more.
func RunSeals(t *testing.T, open func(t *testing.T, seal cache.Seal) cache.Store) {
	const key = "v1/ab/hash/w480.webp"
	first, second := bytes.Repeat([]byte("a"), cache.MinSealKey), bytes.Repeat([]byte("b"), cache.MinSealKey)
	e := Entry("sealed", 1000)
	for _, tt := range []struct {
		name        string
		write, read [][]byte
		found       bool
	}{
		{"one key", [][]byte{first}, [][]byte{first}, true},
		{"no seal where one is asked for", nil, [][]byte{first}, false},
		{"another key", [][]byte{second}, [][]byte{first}, false},
		{"the key before the rotation", [][]byte{first}, [][]byte{second, first}, true},
		{"the key after the rotation", [][]byte{second, first}, [][]byte{second}, true},
		{"the first key seals", [][]byte{second, first}, [][]byte{first}, false},
		{"a seal where none is known", [][]byte{first}, nil, false},
	} {
		seal := func(keys [][]byte) cache.Seal {
			s, err := cache.NewSeal(keys...)
			if err != nil {
				t.Fatal(err)
			}
			return s
		}
		put(t, open(t, seal(tt.write)), key, e)
		s := open(t, seal(tt.read))
		if tt.found {
			expect(t, s, key, e)
			continue
		}
		expectMiss(t, s, key)
		put(t, s, key, e) // Making it again repairs it.
		expect(t, s, key, e)
		if t.Failed() {
			t.Fatalf("so it was with %s", tt.name)
		}
	}
}
