package dirstore

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime/pprof"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/goldcrest/goldcrest/cache/cachetest"
	"github.com/goldcrest/goldcrest/stall"
)

// hang mounts a file system that answers nothing at dir, until heal is called: a FUSE file system whose server does not
// read.
func hang(t *testing.T, dir string) (heal func()) {
	t.Helper()
	dev, err := os.OpenFile("/dev/fuse", os.O_RDWR, 0)
	if err != nil {
		t.Skip("there is no FUSE here: ", err)
	}
	if err := syscall.Mount("hung", dir, "fuse", 0, fmt.Sprintf("fd=%d,rootmode=40000,user_id=0,group_id=0", dev.Fd())); err != nil {
		t.Skip("a FUSE file system cannot be mounted here: ", err, dev.Close())
	}
	heal = sync.OnceFunc(func() {
		if err := errors.Join(syscall.Unmount(dir, syscall.MNT_DETACH), dev.Close()); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(heal)
	return heal
}

// threads is how many threads the process has made. The Go runtime ends none of them.
func threads() int { return pprof.Lookup("threadcreate").Count() }

// TestFault50HungDisk: callers leave in time, threads stay few, and the store is used again when the disk answers.
func TestFault50HungDisk(t *testing.T) {
	s, obs := open(t, Config{})
	want := cachetest.Entry("one", 5000)
	put(t, s, "v1/a", want)
	heal := hang(t, filepath.Join(s.cfg.Dir, "v1"))
	before, began := threads(), time.Now()
	var asking sync.WaitGroup
	for n := range 10_000 {
		asking.Go(func() {
			ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
			defer cancel()
			var err error
			switch key := fmt.Sprintf("v1/%d", n); n % 10 {
			case 0:
				err = s.Put(ctx, key, want)
			case 1:
				_, err = s.Stat(ctx, key)
			default:
				_, err = s.Get(ctx, key)
			}
			if !errors.Is(err, stall.ErrStalled) && !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("call %d: %v, want that it was left", n, err)
			}
		})
	}
	asking.Wait()
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("10,000 calls took %v", took)
	}
	if more := threads() - before; more > maxReads+maxWrites+16 {
		t.Errorf("%d threads more, want no more than calls may hang", more)
	}
	// Each that hangs is observed; of the others, those that came too late to be begun are not.
	if seen := obs.count("get hung") + obs.count("stat hung") + obs.count("put hung"); s.Hung() != maxReads+maxWrites || seen < s.Hung() {
		t.Errorf("%d calls hang, want %d; %d were seen to", s.Hung(), maxReads+maxWrites, seen)
	}
	heal()
	deadline := time.Now().Add(10 * time.Second)
	for s.Hung() > 0 && time.Now().Before(deadline) {
		_, _ = os.Stat(s.cfg.Dir) // the hung calls return by themselves
	}
	got, err := s.Get(t.Context(), "v1/a")
	if err != nil || cachetest.Diff(got, want) != "" {
		t.Errorf("afterwards: %v, %s", err, cachetest.Diff(got, want))
	}
	if got, err := filepath.Glob(filepath.Join(s.cfg.Dir, "v1", "*")); len(got) != 1 {
		t.Errorf("there are %q, %v; want no entry of a call that was left", got, err)
	}
}

// TestFault50OpenOfHungDisk: a start ends with an error that names the directory, and does not keep it once the disk
// answers.
func TestFault50OpenOfHungDisk(t *testing.T) {
	dir := t.TempDir()
	heal := hang(t, dir)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if s, err := Open(ctx, Config{Dir: dir}, nil); !errors.Is(err, stall.ErrStalled) || !strings.Contains(err.Error(), dir) {
		t.Fatalf("Open = %v, %v; want that it gave up", s, err)
	}
	heal()
	for deadline := time.Now().Add(10 * time.Second); goleak.Find() != nil; { // the call that was left still runs
		if time.Now().After(deadline) {
			t.Fatal("the call that was left does not end")
		}
	}
	s, err := Open(t.Context(), Config{Dir: dir}, nil)
	if err != nil {
		t.Fatal("afterwards: ", err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

// TestDirectoryOpenedTooLateIsUnlocked: a directory that was opened too late is given free.
func TestDirectoryOpenedTooLateIsUnlocked(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	dir := t.TempDir()
	if _, err := hold(ctx, dir); !errors.Is(err, context.Canceled) {
		t.Fatalf("hold = %v, want that its caller left", err)
	}
	d, err := hold(t.Context(), dir)
	if err != nil {
		t.Fatal("afterwards: ", err)
	}
	if err := d.close(); err != nil {
		t.Error(err)
	}
}

// TestFault50CloseOfHungDisk: a stop does not wait for a disk that hangs.
func TestFault50CloseOfHungDisk(t *testing.T) {
	obs := newCounter()
	s, err := Open(t.Context(), Config{Dir: filepath.Join(memoryDir(t), "store")}, obs)
	if err != nil {
		t.Fatal(err)
	}
	obs.wait(t, "sweep ok")
	entered, heal := make(chan struct{}), make(chan struct{})
	s.open = func(string, int, os.FileMode) (*os.File, error) {
		close(entered)
		<-heal
		return nil, os.ErrNotExist
	}
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-entered; cancel() }()
	if _, err := s.Get(ctx, "v1/a"); !errors.Is(err, context.Canceled) {
		t.Errorf("Get = %v, want that its caller left", err)
	}
	began := time.Now()
	if err := s.Close(); !errors.Is(err, stall.ErrStalled) || time.Since(began) > closePatience+time.Second {
		t.Errorf("Close = %v after %v, want that it gave up", err, time.Since(began))
	}
	close(heal)
	<-s.done
	if err := s.Close(); err != nil { // it waits for what the first one began
		t.Errorf("Close = %v after the disk has answered", err)
	}
}

// TestFault50LeftPutDoesNotLand proves the schedule: 1. a Put hangs on the disk and its caller leaves; 2. a Delete of
// its key ends; 3. the disk answers. The entry must not come back.
func TestFault50LeftPutDoesNotLand(t *testing.T) {
	s, _ := open(t, Config{})
	real := s.write
	entered, heal := make(chan struct{}), make(chan struct{})
	var once sync.Once
	s.write = func(f *os.File, b []byte) error {
		once.Do(func() { close(entered); <-heal })
		return real(f, b)
	}
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-entered; cancel() }()
	if err := s.Put(ctx, "v1/a", cachetest.Entry("old", 5000)); !errors.Is(err, context.Canceled) { // 1.
		t.Errorf("Put = %v, want that its caller left", err)
	}
	if _, err := s.Delete(t.Context(), "v1/"); err != nil { // 2.
		t.Error(err)
	}
	close(heal) // 3.
	func() {    // the call that was left ends
		s.ops.Lock()
		defer s.ops.Unlock()
	}()
	if has(t, s, "v1/a") {
		t.Error("the entry came back after the Delete")
	}
}
