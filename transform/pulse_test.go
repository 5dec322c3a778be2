package transform

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/goldcrest/goldcrest/fault"
)

func TestPulseCountsOnlyTimeWithCallersWaiting(t *testing.T) {
	now := time.Unix(0, 0)
	p := pulse{now: func() time.Time { return now }}
	for i, step := range []struct {
		do    func()
		after time.Duration
		want  time.Duration
	}{
		{func() {}, time.Hour, 0},
		{p.enter, 3 * time.Second, 3 * time.Second},
		{p.enter, 2 * time.Second, 5 * time.Second},
		{p.leave, time.Second, 6 * time.Second}, // a call still waits
		{p.leave, time.Hour, 6 * time.Second},   // no call waits
		{p.enter, time.Second, 7 * time.Second}, // nothing was made since
		{p.beat, time.Second, time.Second},
		{p.leave, time.Hour, time.Second},
		{p.beat, time.Hour, 0}, // the work of a caller that left
	} {
		step.do()
		now = now.Add(step.after)
		if got := p.quiet(); got != step.want {
			t.Errorf("step %d: quiet for %v, want %v", i, got, step.want)
		}
	}
}

// alive asks as /healthz does, with a short timeout.
func alive(t *testing.T, p *Pool) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	return p.Alive(ctx)
}

// A pool whose every worker is busy, with a queue of callers, is not stuck.
func TestBusyPoolIsAlive(t *testing.T) {
	p, w := open(t, testConfig())
	var callers sync.WaitGroup
	fifos := make([]string, 6)
	for i := range fifos {
		fifos[i] = makeFIFO(t)
		callers.Go(func() {
			if _, err := run(t.Context(), p, picture(t, 4, 4, 0), script("wait:"+fifos[i])); err != nil {
				t.Error(err)
			}
		})
	}
	for p.Stats().Busy < 2 {
		time.Sleep(time.Millisecond)
	}
	for range 5 {
		if err := alive(t, p); err != nil {
			t.Errorf("got %v of a pool that is only busy", err)
		}
	}
	for _, fifo := range fifos {
		callers.Go(func() { openFIFO(t, fifo) })
	}
	callers.Wait()
	if got := p.Stats(); got.Killed != 0 || got.Spawned != 2 || len(w.ended) != 0 {
		t.Errorf("got %+v: a check cost a worker", got)
	}
}

// A pool whose workers hang, and whose replacements hang too, is reported after two deadlines. It recovers as soon as a
// worker does.
func TestFault18StuckPoolIsReported(t *testing.T) {
	cfg := testConfig()
	cfg.Timeout = 300 * time.Millisecond
	p, _ := open(t, cfg)
	p.startGrace = 400 * time.Millisecond
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for {
			p.crewMu.Lock()
			for pid := range p.crew {
				_ = unix.Kill(pid, unix.SIGSTOP)
			}
			p.crewMu.Unlock()
			select {
			case <-stop:
				return
			case <-time.After(time.Millisecond):
			}
		}
	}()
	begin := time.Now()
	err := alive(t, p)
	for ; err == nil && time.Since(begin) < 20*time.Second; err = alive(t, p) {
	}
	if took := time.Since(begin); fault.KindOf(err) != fault.Overloaded || took < time.Second {
		t.Errorf("got %v after %v, want a report once a second has passed", err, took)
	}
	close(stop)
	<-stopped
	for range 200 { // hanging workers are killed at their deadlines
		if err = alive(t, p); err == nil {
			break
		}
	}
	if err != nil {
		t.Errorf("got %v with workers that work", err)
	}
}

// stopWorker stops all threads of a worker. Sending the signal does not wait for that, and a running thread may still
// make a picture.
func stopWorker(t *testing.T, pid int) {
	t.Helper()
	if err := unix.Kill(pid, unix.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(10 * time.Second); ; {
		running := 0
		files, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", pid))
		for _, f := range files {
			stat, _ := os.ReadFile(f)
			if _, after, ok := strings.Cut(string(stat), ") "); ok && !strings.HasPrefix(after, "T") {
				running++
			}
		}
		if running == 0 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d threads of worker %d do not stop", running, pid)
		}
		runtime.Gosched()
	}
}

// The pool itself replaces workers that are stopped once. That is no reason to restart the server.
func TestFault18HungOnceIsNotStuck(t *testing.T) {
	cfg := testConfig()
	cfg.Timeout = 300 * time.Millisecond
	p, w := open(t, cfg)
	p.crewMu.Lock()
	for pid := range p.crew {
		stopWorker(t, pid)
	}
	p.crewMu.Unlock()
	var kinds [3]fault.Kind
	var callers sync.WaitGroup
	for i := range kinds {
		callers.Go(func() {
			_, err := run(t.Context(), p, picture(t, 4, 4, 0), script(""))
			kinds[i] = fault.KindOf(err)
		})
	}
	w.ready(t, 2)
	callers.Wait()
	slices.Sort(kinds[:])
	if kinds[0] != "" || kinds[1] != fault.TransformTimeout || kinds[2] != fault.TransformTimeout {
		t.Errorf("got %q, want two hung and the third made by a fresh worker", kinds)
	}
	for range 5 {
		if err := alive(t, p); err != nil {
			t.Errorf("got %v of a pool that has mended itself", err)
		}
	}
}

// Workers that fail every picture are reported at once. Each check is a new picture, so it is not refused as poison.
func TestSpoilingWorkersAreReported(t *testing.T) {
	p, w := open(t, liar(t, "no picture"))
	for range 3 {
		wantKind(t, p.Alive(t.Context()), fault.Poison)
		for range 2 {
			receiveWithin(t, w.ended, "the liar's end")
		}
	}
}
