package transform

import (
	"context"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/goldcrest/goldcrest/fault"
	"github.com/goldcrest/goldcrest/variant"
)

// Each way in which a codec can die affects only the request that caused it.
func TestFault18WorkerFaults(t *testing.T) {
	for name, test := range map[string]struct {
		op      string
		want    fault.Kind
		reason  string
		crashes int64
		killed  int64
	}{
		"segmentation fault": {"signal:11", fault.Poison, "crash", 2, 0},
		"abort":              {"signal:6", fault.Poison, "crash", 2, 0},
		"killed by kernel":   {"signal:9", fault.Poison, "crash", 2, 0},
		"exit":               {"exit", fault.Poison, "crash", 2, 0},
		"out of memory":      {"exhaust", fault.Poison, "crash", 2, 0},
		"panic":              {"panic", fault.Internal, "panic", 1, 0},
		"stopped":            {"signal:19", fault.TransformTimeout, "timeout", 0, 1},
		"endless loop":       {"spin", fault.TooCostly, "cpu", 0, 1},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := testConfig()
			cfg.Workers, cfg.Timeout, cfg.CPU = 3, time.Minute, 300*time.Millisecond // takes seconds on a busy machine
			if test.want == fault.TransformTimeout {
				cfg.Timeout = 3 * time.Second
			}
			cfg.ImageMemory, cfg.Recycle = 16<<20, 0 // little memory for the script that exhausts it
			p, w := open(t, cfg)
			stop := others(t, p)
			m, err := run(t.Context(), p, picture(t, 4, 4, 0), script(""), script(test.op), script(""))
			stop()
			wantKind(t, err, test.want)
			if len(m.images) != 1 || len(m.errs) != 0 {
				t.Errorf("got %d variants and %d faults; the one before the fault is to be kept", len(m.images), len(m.errs))
			}
			for range test.crashes + test.killed {
				if got := receiveWithin(t, w.ended, "a worker's end"); got != test.reason {
					t.Errorf("got reason %q, want %q", got, test.reason)
				}
				w.ready(t, 1)
			}
			want := Stats{Workers: 3, Spawned: 3 + test.crashes + test.killed, Crashes: test.crashes, Killed: test.killed}
			if got := p.Stats(); got != want {
				t.Errorf("got %+v, want %+v", got, want)
			}
		})
	}
}

// others keeps one more worker busy with healthy pictures until stop is called.
func others(t *testing.T, p *Pool) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	healthy := picture(t, 4, 4, 77)
	wg.Go(func() {
		for ctx.Err() == nil {
			if _, err := run(context.Background(), p, healthy, script("")); err != nil {
				t.Errorf("a bystander got %v", err)
			}
		}
	})
	return func() { cancel(); wg.Wait() }
}

// A crash that does not repeat is invisible to the caller, and variants emitted before it are not made again.
func TestFault18OneCrashIsRetried(t *testing.T) {
	p, w := open(t, testConfig())
	count, once := t.TempDir(), filepath.Join(t.TempDir(), "crashed")
	original := picture(t, 4, 4, 0)
	m, err := run(t.Context(), p, original, script("count:"+count), script("once:"+once), script("count:"+count))
	if err != nil || len(m.images) != 3 {
		t.Fatalf("got %d variants, error %v", len(m.images), err)
	}
	if got, _ := os.ReadDir(count); len(got) != 2 {
		t.Errorf("two specs were made %d times", len(got))
	}
	if got := receiveWithin(t, w.ended, "the crash"); got != "crash" {
		t.Errorf("got reason %q", got)
	}
	if got := p.Stats(); got.Spawned != 3 || got.Crashes != 1 {
		t.Errorf("got %+v, want one crash and one worker more", got)
	}
	if p.poison.suspect(original) {
		t.Error("an original that was made is still suspect")
	}
}

// A worker that dies without work is replaced, and the next caller does not notice.
func TestFault18IdleWorkerDies(t *testing.T) {
	cfg := testConfig()
	cfg.Workers = 1
	p, w := open(t, cfg)
	c := receiveWithin(t, p.ready, "the worker")
	if err := unix.Kill(c.pid, unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	receiveWithin(t, c.exited, "its end")
	c.back <- handback{}
	if _, err := run(t.Context(), p, picture(t, 4, 4, 0), script("")); err != nil {
		t.Error(err)
	}
	if got := receiveWithin(t, w.ended, "its end"); got != "idle" {
		t.Errorf("got reason %q, want idle", got)
	}
}

// The same, one step later: the worker dies between borrow and request. It never read the picture.
func TestFault18WorkerDiesBeforeTheRequest(t *testing.T) {
	cfg := testConfig()
	cfg.Workers = 1
	p, w := open(t, cfg)
	c := receiveWithin(t, p.ready, "the worker")
	_ = unix.Kill(c.pid, unix.SIGKILL)
	receiveWithin(t, c.exited, "its end")
	original := picture(t, 4, 4, 0)
	task := &task{original: variant.Original{Body: original}, specs: []variant.Spec{script("")}, open: []int{0}, emit: func(int, variant.Image, error) {}}
	_, begun, err := p.attempt(t.Context(), c, task)
	if begun || err != nil {
		t.Errorf("begun %v, error %v", begun, err)
	}
	c.back <- handback{cause: causeIdle}
	w.ready(t, 1)
	if p.poison.suspect(original) {
		t.Error("the original was blamed")
	}
}

func TestFault19PoisonIsRefused(t *testing.T) {
	p, w := open(t, testConfig())
	now := time.Now()
	p.poison.now = func() time.Time { return now }
	original := picture(t, 4, 4, 0)
	for n := range 20 {
		_, err := run(t.Context(), p, original, script("signal:11"))
		wantKind(t, err, fault.Poison)
		if n == 0 {
			w.ready(t, 2)
		}
	}
	if got := p.Stats(); got.Crashes != 2 || got.Spawned != 4 {
		t.Errorf("20 requests: got %+v, want 2 crashes", got)
	}
	_, err := run(t.Context(), p, original, script("")) // other specs of the same bytes
	wantKind(t, err, fault.Poison)
	if _, err := run(t.Context(), p, picture(t, 4, 5, 0), script("")); err != nil {
		t.Errorf("another original got %v", err)
	}
	now = now.Add(poisonKeep)
	if _, err := run(t.Context(), p, original, script("")); err != nil {
		t.Errorf("after its time the original still gets %v", err)
	}
}

func TestFault19ForgetTriesAgain(t *testing.T) {
	p, _ := open(t, testConfig())
	original := picture(t, 4, 4, 0)
	_, err := run(t.Context(), p, original, script("signal:11"))
	wantKind(t, err, fault.Poison)
	p.Forget()
	if _, err := run(t.Context(), p, original, script("")); err != nil {
		t.Error(err)
	}
}

// Several callers with one bad original together crash two workers at most, plus those that were in work already.
func TestFault19PoisonUnderConcurrency(t *testing.T) {
	p, _ := open(t, testConfig())
	original := picture(t, 4, 4, 0)
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			_, err := run(context.Background(), p, original, script("signal:11"))
			wantKind(t, err, fault.Poison)
		})
	}
	wg.Wait()
	if got := p.Stats().Crashes; got > 3 {
		t.Errorf("%d crashes of one original on two workers", got)
	}
}

// A worker that prints without end is not slowed by its pipe and cannot fill the log.
func TestNoisyWorker(t *testing.T) {
	cfg := testConfig()
	cfg.Workers = 1
	p, _ := open(t, cfg)
	if _, err := run(t.Context(), p, picture(t, 4, 4, 0), script("noise")); err != nil {
		t.Error(err)
	}
}
