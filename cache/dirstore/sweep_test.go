package dirstore

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/goldcrest/goldcrest/cache"
	"github.com/goldcrest/goldcrest/cache/cachetest"
)

// age makes an entry look last read that long ago.
func age(t *testing.T, s *Store, key string, d time.Duration) {
	t.Helper()
	then := time.Now().Add(-d)
	if err := os.Chtimes(filepath.Join(s.root.Name(), key), then, then); err != nil {
		t.Fatal(err)
	}
}

func modified(t *testing.T, s *Store, key string) time.Duration {
	t.Helper()
	info, err := os.Stat(filepath.Join(s.root.Name(), key))
	if err != nil {
		t.Fatal(err)
	}
	return time.Since(info.ModTime())
}

func TestSweepTakesTheLongestUnread(t *testing.T) {
	const size = 8000 // two blocks with the header
	s, _ := open(t, Config{MaxBytes: 100 * 8192})
	for i := range 93 {
		key := fmt.Sprintf("v1/ab/%d/w480", i)
		put(t, s, key, cachetest.Entry("x", size-500))
		age(t, s, key, time.Duration(200-i)*time.Hour)
	}
	if !has(t, s, "v1/ab/0/w480") { // the oldest becomes the newest
		t.Fatal("the first entry is missing")
	}
	dir := s.root.Name()
	if err := s.Close(); err != nil { // the read is recorded
		t.Fatal(err)
	}
	var obs *counter
	s, obs = open(t, Config{Dir: dir, MaxBytes: 100 * 8192})
	put(t, s, "v1/ab/last/w480", cachetest.Entry("x", size-500)) // passes 15/16
	obs.wait(t, "sweep ok")
	used, bound := s.Usage()
	if used > bound/8*7 || used < bound/8*6 {
		t.Errorf("%d of %d bytes in use after a sweep, want 7/8", used, bound)
	}
	for i, want := range map[int]bool{0: true, 1: false, 2: false, 3: false, 20: true, 92: true} {
		if got := has(t, s, fmt.Sprintf("v1/ab/%d/w480", i)); got != want {
			t.Errorf("entry %d is there: %v, want %v", i, got, want)
		}
	}
	if _, err := os.Stat(filepath.Join(s.root.Name(), "v1/ab/1")); err == nil {
		t.Error("the directory of a swept entry is left")
	}
}

// What cannot be made again outlives variants that were read much later, but not for ever.
func TestSweepLeavesWhatLasts(t *testing.T) {
	s, _ := open(t, Config{})
	dir := s.root.Name()
	for i := range 20 {
		put(t, s, fmt.Sprintf("v1/%d", i), cachetest.Entry("x", 3000))
		age(t, s, fmt.Sprintf("v1/%d", i), time.Duration(24+i)*time.Hour)
	}
	for name, days := range map[string]int{"young": 29, "old": 60} {
		put(t, s, cache.LastingPrefix+name, cachetest.Entry("x", 3000))
		age(t, s, cache.LastingPrefix+name, time.Duration(days)*24*time.Hour)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s, _ = open(t, Config{Dir: dir, MaxBytes: 16 * 4096})
	if used, _ := s.Usage(); used != 14*4096 || !has(t, s, "links/young") || has(t, s, "links/old") {
		t.Errorf("%d blocks in use; young: %v, old: %v", used/4096, has(t, s, "links/young"), has(t, s, "links/old"))
	}
}

func TestSweepAtStart(t *testing.T) {
	s, _ := open(t, Config{})
	dir := s.root.Name()
	for i := range 20 {
		put(t, s, fmt.Sprintf("v1/%d", i), cachetest.Entry("x", 3000))
		age(t, s, fmt.Sprintf("v1/%d", i), time.Duration(900-i)*24*time.Hour) // all in the last slot but a few
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s, _ = open(t, Config{Dir: dir, MaxBytes: 16 * 4096})
	if used, _ := s.Usage(); used != 14*4096 {
		t.Errorf("%d blocks in use, want 14 of 16", used/4096)
	}
	if n, err := s.Delete(t.Context(), ""); n != 14 || err != nil {
		t.Errorf("%d entries left, %v, want 14", n, err)
	}
}

// TestPutIsRefusedWhenSweepIsTooSlow fills a store faster than it can sweep: Put refuses rather than pass the bound.
func TestPutIsRefusedWhenSweepIsTooSlow(t *testing.T) {
	s, _ := open(t, Config{MaxBytes: 50 * 4096})
	var wg sync.WaitGroup
	for w := range 2 {
		wg.Go(func() {
			for i := range 150 {
				err := s.Put(t.Context(), fmt.Sprintf("v1/%d/%d", w, i), cachetest.Entry("x", 3000))
				if err != nil && !errors.Is(err, ErrFull) {
					t.Errorf("Put = %v", err)
				}
				if used, bound := s.Usage(); used > bound+2*4096 { // one racing Put each
					t.Errorf("%d bytes of %d", used, bound)
				}
			}
		})
	}
	wg.Wait()
	if err := s.Put(t.Context(), "v1/huge", cachetest.Entry("x", 60*4096)); !errors.Is(err, ErrFull) {
		t.Errorf("Put of more than the bound = %v, want ErrFull", err)
	}
}

func TestMinFreeIsKept(t *testing.T) {
	dir := memoryDir(t)
	s, _ := open(t, Config{Dir: dir})
	put(t, s, "v1/a", cachetest.Entry("x", 3000))
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s, obs := open(t, Config{Dir: dir, MinFree: 1 << 60})
	if err := s.Put(t.Context(), "v1/b", cachetest.Entry("x", 3000)); !errors.Is(err, ErrFull) {
		t.Errorf("Put = %v, want ErrFull", err)
	}
	obs.wait(t, "sweep ok") // everything goes, as the disk is needed by others
	if has(t, s, "v1/a") {
		t.Error("an entry holds room that is to be left free")
	}
}

func TestReadsAreRecordedOnceAnHour(t *testing.T) {
	dir := memoryDir(t)
	s, _ := open(t, Config{Dir: dir})
	put(t, s, "v1/a", cachetest.Entry("x", 10))
	for _, tt := range []struct {
		age, want time.Duration
	}{{30 * time.Minute, 30 * time.Minute}, {2 * time.Hour, 0}, {-3 * time.Hour, 0}} {
		age(t, s, "v1/a", tt.age)
		if !has(t, s, "v1/a") {
			t.Fatal("the entry is missing")
		}
		if err := s.Close(); err != nil { // which records what is pending
			t.Fatal(err)
		}
		if got := modified(t, s, "v1/a"); (got - tt.want).Abs() > time.Minute {
			t.Errorf("last read %v ago, after a read it is %v, want %v", tt.age, got, tt.want)
		}
		s, _ = open(t, Config{Dir: dir})
	}
}

func TestExcessBytesOverBoundAndMinFree(t *testing.T) {
	for _, tt := range []struct {
		name                       string
		used, bound, free, minFree int64
		want                       int64
	}{
		{"empty", 0, 1600, 1 << 30, 1 << 20, 0},
		{"below the start", 1500, 1600, 1 << 30, 1 << 20, 0},
		{"past it", 1501, 1600, 1 << 30, 1 << 20, 101},
		{"no bound yet", 1 << 40, 0, 1 << 30, 1 << 20, 0},
		{"disk nearly full", 10, 1600, 1600, 1600, 200},
		{"both", 1600, 1600, 1500, 1600, 300},
		{"nothing to keep free", 10, 1600, 0, 0, 0},
	} {
		if got := excess(tt.used, tt.bound, tt.free, tt.minFree); got != tt.want {
			t.Errorf("%s: %d, want %d", tt.name, got, tt.want)
		}
	}
}

// TestFault15WriteFails: an error anywhere in a write leaves the old entry, no temporary file, and reads that go on.
func TestFault15WriteFails(t *testing.T) {
	s, _ := open(t, Config{})
	old := cachetest.Entry("old", 5000)
	put(t, s, "v1/a", old)
	real := s.write
	for failing := range 2 { // the head, the body
		n := 0
		s.write = func(f *os.File, b []byte) error {
			if n++; n > failing {
				_ = real(f, b[:len(b)/2])
				return syscall.ENOSPC
			}
			return real(f, b)
		}
		for _, key := range []string{"v1/a", "v1/new/b"} {
			if err := s.Put(t.Context(), key, cachetest.Entry("new", 6000)); !errors.Is(err, syscall.ENOSPC) {
				t.Errorf("Put = %v, want ENOSPC", err)
			}
		}
	}
	s.write = real
	got, err := s.Get(t.Context(), "v1/a")
	if err != nil || cachetest.Diff(got, old) != "" {
		t.Errorf("the old entry: %v, %s", err, cachetest.Diff(got, old))
	}
	if has(t, s, "v1/new/b") {
		t.Error("an entry that was never written is there")
	}
	if left, err := os.ReadDir(filepath.Join(s.root.Name(), tempName)); len(left) != 0 || err != nil {
		t.Errorf("%d temporary files are left, %v", len(left), err)
	}
	put(t, s, "v1/a", cachetest.Entry("new", 6000))
}

// TestFault15DiskFull fills a real small disk and then makes it read-only.
func TestFault15DiskFull(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=1m,nr_inodes=30"); err != nil {
		t.Skipf("this test needs the right to mount a small disk: %v", err)
	}
	defer func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Errorf("unmount: %v", err)
		}
	}()
	s, err := Open(t.Context(), Config{Dir: dir, MaxBytes: 1 << 40}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	stored := 0
	for i := range 40 {
		err := s.Put(t.Context(), fmt.Sprintf("v1/%d", i), cachetest.Entry("x", 50_000))
		if err == nil {
			stored++
		} else if !errors.Is(err, ErrFull) {
			t.Errorf("Put = %v", err)
		}
	}
	if stored == 0 || stored == 40 {
		t.Fatalf("%d stored: the disk did not fill up", stored)
	}
	for i := range 20 { // there is room for small ones, but not for so many names
		if err = s.Put(t.Context(), fmt.Sprintf("small/%d", i), cachetest.Entry("x", 10)); err != nil {
			break
		}
	}
	if !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("Put = %v, want ENOSPC", err)
	}
	read := func(when string) {
		t.Helper()
		for i := range stored {
			if got, err := s.Get(t.Context(), fmt.Sprintf("v1/%d", i)); err != nil || cachetest.Diff(got, cachetest.Entry("x", 50_000)) != "" {
				t.Errorf("%s: Get = %v", when, err)
			}
		}
	}
	read("full")
	lock, err := os.Open(filepath.Join(dir, lockName)) // A disk on which a file is open for writing turns read-only only by failing.
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Close()
	if err := syscall.Dup3(int(lock.Fd()), int(s.lock.Fd()), syscall.O_CLOEXEC); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount("tmpfs", dir, "tmpfs", syscall.MS_REMOUNT|syscall.MS_RDONLY, ""); err != nil {
		t.Fatal(err)
	}
	if err := s.Put(t.Context(), "v1/0", cache.Entry{Body: []byte("x")}); !errors.Is(err, syscall.EROFS) {
		t.Errorf("Put on a read-only disk = %v, want EROFS", err)
	}
	read("read-only")
	if err := syscall.Mount("tmpfs", dir, "tmpfs", syscall.MS_REMOUNT, ""); err != nil {
		t.Fatal(err)
	}
	if n, err := s.Delete(t.Context(), "v1/"); n != stored || err != nil {
		t.Errorf("Delete = %d, %v, want %d", n, err, stored)
	}
	put(t, s, "v1/0", cachetest.Entry("x", 50_000))
}
