package purge_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/goldcrest/goldcrest/cache"
	"github.com/goldcrest/goldcrest/cache/cachetest"
	"github.com/goldcrest/goldcrest/purge"
)

// process is an instance alone, as a start leaves it.
func process(t *testing.T, path string) (*purge.File, *cache.Purges) {
	t.Helper()
	p := cache.NewPurges(cache.Generation{Epoch: time.Now().UnixMilli()})
	f, err := purge.OpenFile(t.Context(), path, p)
	if err != nil {
		t.Fatal(err)
	}
	return f, p
}

func keep(t *testing.T, f *purge.File, p *cache.Purges, prefix string) {
	t.Helper()
	g := p.Next()
	p.Begin(g, []string{prefix}, 0)
	if err := f.Keep(t.Context(), g, []string{prefix}); err != nil {
		t.Fatal(err)
	}
}

// A write of the process before that lands after a restart is a miss; what is made since the purge is not.
func TestPurgesOutliveAnInstanceAlone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "queue", "purges.jsonl")
	store := cache.NewMemory(1 << 20).Store()
	put := func(key string, g cache.Generation) {
		if err := store.Put(t.Context(), key, cachetest.Of(g, cachetest.Entry("x", 10))); err != nil {
			t.Fatal(err)
		}
	}
	f, p := process(t, path)
	before := p.Now()
	keep(t, f, p, "v1/ab/one/")
	put("v1/ab/one/new", p.Now())
	for range 2 {
		f, p = process(t, path)
		put("v1/ab/one/late", before)
		put("v1/ab/two/late", before)
		guarded := p.Guard(store)
		if _, err := guarded.Get(t.Context(), "v1/ab/one/late"); !errors.Is(err, cache.ErrMiss) {
			t.Errorf("what is older than the purge: %v, want a miss", err)
		}
		for _, key := range []string{"v1/ab/one/new", "v1/ab/two/late"} {
			if _, err := guarded.Get(t.Context(), key); err != nil {
				t.Errorf("%s: %v, want a hit", key, err)
			}
		}
		keep(t, f, p, "v1/ab/three/")
	}
}

// Each purge that was kept is known after a restart, whatever a failed write left between.
func TestPurgesAreReadAfterAPartialWrite(t *testing.T) {
	path := filepath.Join(t.TempDir(), "purges.jsonl")
	f, p := process(t, path)
	old := p.Now()
	for i := range 3 {
		keep(t, f, p, fmt.Sprintf("v1/ab/%d/", i))
		file, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := file.WriteString(`{"at":"2026-`); err != nil || file.Close() != nil {
			t.Fatal(err)
		}
	}
	_, p = process(t, path)
	for i := range 3 {
		if !p.Covered(fmt.Sprintf("v1/ab/%d/x", i), old) {
			t.Errorf("purge %d is forgotten", i)
		}
	}
}

// The file holds a day and is written again as it grows.
func TestFileOfPurgesIsBounded(t *testing.T) {
	path := filepath.Join(t.TempDir(), "purges.jsonl")
	if err := os.WriteFile(path, []byte(`{"at":"2020-01-02T03:04:05Z","by":{"Epoch":1,"Seq":1},"prefixes":["v1/ab/old/"]}`+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	f, p := process(t, path)
	if p.Covered("v1/ab/old/x", cache.Generation{}) {
		t.Error("a purge of 2020 is known")
	}
	keep(t, f, p, "v1/"+strings.Repeat("x", 1<<20)+"/")
	text, err := os.ReadFile(path)
	if err != nil || strings.Contains(string(text), "/old/") {
		t.Errorf("the old purge is in the file yet (%v)", err)
	}
}

// A disk that does not take the purge is told, and what it takes later is kept.
func TestPurgeThatIsNotKept(t *testing.T) {
	dir := t.TempDir()
	blocked := filepath.Join(dir, "queue")
	if err := os.WriteFile(blocked, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(blocked, "purges.jsonl")
	p := cache.NewPurges(cache.Generation{Epoch: 1})
	f, err := purge.OpenFile(t.Context(), path, p)
	if err == nil {
		t.Error("a file below a file can be read")
	}
	if err := f.Keep(t.Context(), p.Next(), []string{"v1/"}); !errors.Is(err, purge.ErrNotKept) {
		t.Errorf("Keep = %v, want ErrNotKept", err)
	}
	if err := os.Remove(blocked); err != nil {
		t.Fatal(err)
	}
	keep(t, f, p, "v1/ab/one/")
	if _, p = process(t, path); !p.Covered("v1/ab/one/x", cache.Generation{}) {
		t.Error("the purge is forgotten")
	}
}
