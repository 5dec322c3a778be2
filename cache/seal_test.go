package cache_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/goldcrest/goldcrest/cache"
	"github.com/goldcrest/goldcrest/cache/cachetest"
)

func TestSealKeys(t *testing.T) {
	key := []byte(strings.Repeat("k", cache.MinSealKey))
	for name, keys := range map[string][][]byte{"short": {key[1:]}, "short second": {key, nil}, "twice": {key, key}} {
		if _, err := cache.NewSeal(keys...); err == nil || strings.Contains(err.Error(), "kkk") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestOnlyImagesAreServed has a store hold what somebody else put there.
func TestOnlyImagesAreServed(t *testing.T) {
	store := cache.NewMemory(1 << 20).Store()
	purges := cache.NewPurges(cache.Generation{})
	tiers := cache.NewTiered(cache.NewMemory(1<<20), cache.Images(store), purges, cache.DefaultStore(), nil)
	for kind, served := range map[string]bool{
		"image/jpeg": true, "image/png": true, "image/webp": true, "image/avif": true, "image/gif": true,
		"image/jxl": true, "image/tiff": true, "application/json": true,
		"": false, "text/html": false, "image/svg+xml": false, "image/png; charset=x": false, "application/octet-stream": false,
	} {
		const key = "v1/ab/hash/w480"
		e := cachetest.Entry("one", 100)
		e.ContentType = kind
		if err := store.Put(t.Context(), key, e); err != nil {
			t.Fatal(err)
		}
		_, err1 := tiers.Read(t.Context(), key)
		_, _, err2 := tiers.Stat(t.Context(), key)
		_, _, err3 := tiers.Lookup(t.Context(), key)
		_, kept := tiers.Recall(key)
		for _, err := range []error{err1, err2, err3} {
			if served != (err == nil) || !served && !errors.Is(err, cache.ErrMiss) {
				t.Errorf("%q: %v", kind, err)
			}
		}
		if kept != served {
			t.Errorf("%q in memory: %v", kind, kept)
		}
		tiers.Forget(func(string) bool { return true })
	}
}
