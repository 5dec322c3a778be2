package dirstore

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/goldcrest/goldcrest/cache"
	"github.com/goldcrest/goldcrest/cache/cachetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// counter counts observations as "op outcome" and tells of each.
type counter struct {
	mu   sync.Mutex
	n    map[string]int
	seen chan string
}

func newCounter() *counter { return &counter{n: map[string]int{}, seen: make(chan string, 20_000)} }

func (c *counter) Observe(_, op, outcome string, _ time.Duration, _ int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.n[op+" "+outcome]++
	c.seen <- op + " " + outcome
}

// wait returns when what was observed once more.
func (c *counter) wait(t *testing.T, what string) {
	t.Helper()
	for {
		select {
		case got := <-c.seen:
			if got == what {
				return
			}
		case <-time.After(10 * time.Second):
			t.Fatalf("%q was not observed", what)
		}
	}
}

func (c *counter) count(what string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.n[what]
}

func open(t *testing.T, cfg Config) (*Store, *counter) {
	t.Helper()
	if cfg.Dir == "" {
		cfg.Dir = filepath.Join(memoryDir(t), "store")
	}
	obs := newCounter()
	s, err := Open(t.Context(), cfg, obs)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("Close = %v", err)
		}
	})
	obs.wait(t, "sweep ok") // the first count is done
	return s, obs
}

// memoryDir is a temporary directory in memory where there is one: syncing a busy disk takes most of the time of these
// tests.
func memoryDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "dirstore-test-")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

func put(t *testing.T, s *Store, key string, e cache.Entry) {
	t.Helper()
	if err := s.Put(t.Context(), key, e); err != nil {
		t.Fatalf("Put(%q) = %v", key, err)
	}
}

func has(t *testing.T, s *Store, key string) bool {
	t.Helper()
	_, err := s.Get(t.Context(), key)
	if err != nil && !errors.Is(err, cache.ErrMiss) {
		t.Errorf("Get(%q) = %v", key, err)
	}
	return err == nil
}

func TestStore(t *testing.T) {
	cachetest.Run(t, func(t *testing.T) cache.Store {
		s, _ := open(t, Config{Dir: t.TempDir()}) // a real disk, if tests have one
		return s
	})
}

func TestStoreKeepsTheLawOfSeals(t *testing.T) {
	dir := filepath.Join(memoryDir(t), "store")
	var last *Store
	cachetest.RunSeals(t, func(t *testing.T, seal cache.Seal) cache.Store {
		if last != nil {
			if err := last.Close(); err != nil {
				t.Fatal(err)
			}
		}
		last, _ = open(t, Config{Dir: dir, Seal: seal})
		return last
	})
}

// An entry that was made before a purge never comes back, whenever its write lands.
func TestStoreKeepsTheLawOfPurges(t *testing.T) {
	cachetest.RunPurges(t, func(t *testing.T) cache.Store {
		s, _ := open(t, Config{Dir: t.TempDir()})
		return s
	})
}

func TestEntriesSurviveARestart(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "store")
	want := cachetest.Entry("one", 10_000)
	s, _ := open(t, Config{Dir: dir})
	put(t, s, "v1/ab/hash/w480.webp", want)
	used, _ := s.Usage()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Get(t.Context(), "v1/ab/hash/w480.webp"); !errors.Is(err, fs.ErrClosed) {
		t.Errorf("Get after Close = %v", err)
	}
	if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the directory is %v, %v, want mode 0700", info.Mode(), err)
	}
	left := filepath.Join(dir, tempName, "7")
	if err := os.WriteFile(left, []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}

	s, _ = open(t, Config{Dir: dir})
	got, err := s.Get(t.Context(), "v1/ab/hash/w480.webp")
	if err != nil || cachetest.Diff(got, want) != "" {
		t.Errorf("Get = %v, %s", err, cachetest.Diff(got, want))
	}
	if again, bound := s.Usage(); again != used || used < 10_000 || bound <= used {
		t.Errorf("Usage = %d of %d, want %d as before", again, bound, used)
	}
	if _, err := os.Stat(left); !errors.Is(err, fs.ErrNotExist) {
		t.Error("a half-written file was not removed at start")
	}
}

func TestOneDirectoryHasOneOwner(t *testing.T) {
	dir := t.TempDir()
	s, _ := open(t, Config{Dir: dir})
	_, err := Open(t.Context(), Config{Dir: dir}, nil)
	if err == nil || !strings.Contains(err.Error(), "in use by another server") {
		t.Errorf("Open = %v, want a sentence that says who has it", err)
	}
	put(t, s, "v1/a", cachetest.Entry("a", 10)) // the refused one has not touched our files
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	open(t, Config{Dir: dir})
}

func TestOpenRefuses(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, cfg := range []Config{{}, {Dir: file}, {Dir: "x", MaxBytes: -1}, {Dir: "x", MinFree: -1}} {
		if s, err := Open(t.Context(), cfg, nil); err == nil {
			t.Errorf("Open(%+v) passes", cfg)
			s.Close()
		}
	}
	if err := Default().Validate(); err != nil {
		t.Error(err)
	}
}

// TestFault14DamagedFiles flips a bit at places all over a file, cuts it, and puts other files in its place: each is a
// miss, counted, gone from disk, and repaired by the next Put.
func TestFault14DamagedFiles(t *testing.T) {
	s, obs := open(t, Config{})
	const key = "v1/ab/hash/w480.webp"
	want := cachetest.Entry("one", 3000)
	put(t, s, key, want)
	put(t, s, "v1/ab/hash/other", cachetest.Entry("two", 3000))
	file := filepath.Join(s.root.Name(), key)
	whole, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	other, err := os.ReadFile(filepath.Join(s.root.Name(), "v1/ab/hash/other"))
	if err != nil {
		t.Fatal(err)
	}
	damaged := [][]byte{{}, whole[:3], whole[:headLen], whole[:len(whole)-1], append(whole[:len(whole):len(whole)], 0), other}
	for at := 0; at < len(whole); at += 37 {
		b := append([]byte{}, whole...)
		b[at] ^= 0x10
		damaged = append(damaged, b)
	}
	for i, b := range damaged {
		if err := os.WriteFile(file, b, 0o600); err != nil {
			t.Fatal(err)
		}
		if e, err := s.Get(t.Context(), key); !errors.Is(err, cache.ErrMiss) {
			t.Errorf("damage %d: Get = %d bytes, %v, want ErrMiss", i, len(e.Body), err)
		}
		if n := obs.count("checksum error"); n != i+1 {
			t.Errorf("damage %d: %d counted", i, n)
		}
		if _, err := os.Stat(file); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("damage %d: the file is still there", i)
		}
		put(t, s, key, want)
		if got, err := s.Get(t.Context(), key); err != nil || cachetest.Diff(got, want) != "" {
			t.Errorf("damage %d: not repaired: %v", i, err)
		}
	}
	for _, b := range [][]byte{whole[:len(whole)-1], whole[:headLen+10], other, {}} {
		if err := os.WriteFile(file, b, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Stat(t.Context(), key); !errors.Is(err, cache.ErrMiss) {
			t.Errorf("Stat = %v, want ErrMiss", err)
		}
	}
}

func TestForeignFilesAreNoEntries(t *testing.T) {
	s, _ := open(t, Config{})
	outside := filepath.Join(t.TempDir(), "secret")
	if err := os.MkdirAll(filepath.Join(outside, "h"), 0o700); err != nil {
		t.Fatal(err)
	}
	inside := filepath.Join(s.root.Name(), "v1")
	put(t, s, "v1/h/entry", cachetest.Entry("x", 10))
	data, err := os.ReadFile(filepath.Join(inside, "h", "entry"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(outside, "h", "entry"), data, 0o600); err != nil {
		t.Fatal(err)
	}
	err = errors.Join(
		os.Rename(filepath.Join(inside, "h"), filepath.Join(inside, "g")),
		os.Symlink(filepath.Join(outside, "h"), filepath.Join(inside, "h")), // key v1/h/entry now leads outside
		os.Symlink(filepath.Join(outside, "h", "entry"), filepath.Join(inside, "link")),
		syscall.Mkfifo(filepath.Join(inside, "pipe"), 0o600),
	)
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"v1/h/entry", "v1/link", "v1/pipe"} {
		if _, err := s.Get(t.Context(), key); err == nil {
			t.Errorf("Get(%q) reads a file that is none of the store's", key)
		}
	}
	if err := s.Put(t.Context(), "v1/h/entry", cachetest.Entry("x", 10)); err == nil {
		t.Error("Put writes outside the directory")
	}
	put(t, s, "v1/link", cachetest.Entry("x", 10)) // replaces the link itself
	if _, err := s.Delete(t.Context(), ""); err != nil {
		t.Errorf("Delete = %v", err)
	}
	if _, err := os.Stat(filepath.Join(outside, "h", "entry")); err != nil {
		t.Errorf("Delete followed a link: %v", err)
	}
	for _, key := range []string{lockName, tempName, tempName + "/1"} {
		if err := s.Put(t.Context(), key, cachetest.Entry("x", 1)); !errors.Is(err, cache.ErrBadKey) {
			t.Errorf("Put(%q) = %v, want ErrBadKey", key, err)
		}
	}
}

func TestDeleteLeavesNoDirectories(t *testing.T) {
	s, _ := open(t, Config{})
	for i := range 300 {
		put(t, s, fmt.Sprintf("v1/%02x/hash/w%d", i%7, i), cachetest.Entry("x", 10))
	}
	if n, err := s.Delete(t.Context(), "v1/"); n != 300 || err != nil {
		t.Errorf("Delete = %d, %v, want 300", n, err)
	}
	if _, err := os.Stat(filepath.Join(s.root.Name(), "v1")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("empty directories are left: %v", err)
	}
	if used, _ := s.Usage(); used != 0 {
		t.Errorf("%d bytes counted in an empty store", used)
	}
}

// TestPutWhileDeleting: Delete removes empty directories, and must not take one away between its making and the rename
// into it.
func TestPutWhileDeleting(t *testing.T) {
	s, _ := open(t, Config{})
	var wg sync.WaitGroup
	for w := range 3 {
		wg.Go(func() {
			for i := range 200 {
				if err := s.Put(t.Context(), fmt.Sprintf("v1/ab/%d/w%d", i%2, w), cachetest.Entry("x", 10)); err != nil {
					t.Errorf("Put = %v", err)
				}
			}
		})
	}
	wg.Go(func() {
		for range 200 {
			if _, err := s.Delete(t.Context(), "v1/ab/"); err != nil {
				t.Errorf("Delete = %v", err)
			}
		}
	})
	wg.Wait()
}

func FuzzFile(f *testing.F) {
	e := cachetest.Entry("one", 30)
	f.Add(append(encodeHead((cache.Seal{}).MarshalMeta("k", e)), e.Body...))
	f.Add([]byte("GCE1\xff\xff\xff\xff"))
	f.Add([]byte("GCE1\x00\x00\x00\x00"))
	f.Fuzz(func(t *testing.T, b []byte) {
		meta, body, err := splitHead(b)
		if err != nil {
			return
		}
		if headLen+len(meta)+len(body) != len(b) {
			t.Errorf("%d bytes split into %d and %d", len(b), len(meta), len(body))
		}
		if e, err := (cache.Seal{}).Unmarshal("k", meta, body); err == nil {
			if again := append(encodeHead((cache.Seal{}).MarshalMeta("k", e)), e.Body...); string(again) != string(b) {
				t.Errorf("%q is read, but %q is written for it", b, again)
			}
		}
	})
}
