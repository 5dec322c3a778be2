package transform

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/goldcrest/goldcrest/fault"
)

func TestAdmissionIsInOrderOfArrival(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAdmission(100)
		first, _, err := a.admit(t.Context(), 60)
		if err != nil {
			t.Fatal(err)
		}
		var mu sync.Mutex
		var order []int64
		for _, n := range []int64{80, 30} { // the small one would fit beside the first, but waits behind the large one
			go func() {
				release, _, err := a.admit(context.Background(), n)
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				order = append(order, n)
				mu.Unlock()
				release()
			}()
			synctest.Wait()
		}
		if len(order) != 0 {
			t.Errorf("%v overtook", order)
		}
		if used := a.used.Load(); used != 60 {
			t.Errorf("%d bytes are in use, want 60", used)
		}
		first()
		synctest.Wait()
		if used := a.used.Load(); used != 0 {
			t.Errorf("%d bytes are in use after all have ended", used)
		}
		if len(order) != 2 || order[0] != 80 {
			t.Errorf("got order %v, want [80 30]", order)
		}
	})
}

func TestAdmissionEndsWithItsCaller(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAdmission(100)
		if _, _, err := a.admit(t.Context(), 100); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, waited, err := a.admit(ctx, 1)
		wantKind(t, err, fault.TransformTimeout)
		if waited != time.Second {
			t.Errorf("waited %v, want 1s", waited)
		}
	})
}

func TestAdmissionRefusesWhatIsLargerThanTheBudget(t *testing.T) {
	_, _, err := newAdmission(100).admit(t.Context(), 101)
	wantKind(t, err, fault.TooManyPixels)
}

func TestPoisonIsBoundedAndExpires(t *testing.T) {
	now := time.Unix(1e9, 0)
	p := newPoison(func() time.Time { return now })
	original := func(n int) []byte { return []byte{byte(n), byte(n >> 8), 0} }
	for n := range poisonMax + 10 {
		now = now.Add(time.Millisecond)
		if p.crash(original(n)) {
			t.Fatalf("original %d is poison after one crash", n)
		}
		if !p.crash(original(n)) {
			t.Fatalf("original %d is none after two crashes", n)
		}
	}
	if len(p.crashes) != poisonMax || p.sizes[3] != poisonMax {
		t.Errorf("%d remembered, %d by size, want %d", len(p.crashes), p.sizes[3], poisonMax)
	}
	if p.check(original(9)) != nil {
		t.Error("the oldest is still there")
	}
	wantKind(t, p.check(original(10)), fault.Poison)
	p.forgive(original(10))
	wantKind(t, p.check(original(10)), fault.Poison) // two crashes are not forgiven
	now = now.Add(poisonKeep)
	if p.check(original(10)) != nil {
		t.Error("it does not expire")
	}
	if p.crash(original(11)) {
		t.Error("an expired crash counts")
	}
	p.crash(original(5000))
	p.crash(original(5001))
	if len(p.crashes) != 3 || p.sizes[3] != 3 {
		t.Errorf("%d remembered, %d by size; want the expired ones gone", len(p.crashes), p.sizes[3])
	}
}

func TestMeter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &meter{pid: -1, timeout: time.Minute, cpu: time.Second}
		m.restart()
		if err := m.spent(); err != nil {
			t.Error(err)
		}
		time.Sleep(time.Minute) // virtual
		if err := m.spent(); err != errTimeout {
			t.Errorf("got %v, want the wall time to be used up", err)
		}
		m.restart()
		if err := m.spent(); err != nil {
			t.Errorf("after a variant: %v", err)
		}
	})
}

func TestLogLinesOfAWorkerAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out, said strings.Builder
		w := &words{log: slog.New(slog.NewTextHandler(&out, nil))}
		for n := range 3 * wordsKnown {
			fmt.Fprintf(&said, "warning %d\n%s", n, strings.Repeat("the same\n", 1000))
		}
		w.drain(strings.NewReader(strings.Repeat("x", 10_000) + "\n" + said.String() + "last \x1b[31mwords"))
		if got := strings.Count(out.String(), "\n"); got != wordsLines {
			t.Errorf("%d lines were logged, want %d", got, wordsLines)
		}
		if got := strings.Count(out.String(), "the same"); got != 1 {
			t.Errorf("what was said again and again was logged %d times, want once", got)
		}
		if got := w.String(); got != "the same | the same | the same | last  [31mwords" {
			t.Errorf("the last words are %q", got)
		}
	})
}

func TestConfigValidate(t *testing.T) {
	if err := Default().Validate(); err != nil {
		t.Errorf("the default is refused: %v", err)
	}
	for want, change := range map[string]func(*Config){
		"transform.engine":            func(c *Config) { c.Engine = "magick" },
		"transform.workers":           func(c *Config) { c.Workers = -1 },
		"transform.timeout":           func(c *Config) { c.Timeout = 0 },
		"transform.cpu":               func(c *Config) { c.CPU = -1 },
		"transform.max_pixels":        func(c *Config) { c.MaxPixels = 0 },
		"transform.max_result_pixels": func(c *Config) { c.MaxResultPixels = 0 },
		"transform.avif_max_pixels":   func(c *Config) { c.AVIFMaxPixels = -1 },
		"transform.max_frames":        func(c *Config) { c.MaxFrames = 0 },
		"transform.image_memory":      func(c *Config) { c.ImageMemory = 1 },
		"transform.recycle":           func(c *Config) { c.Recycle = -1 },
		"transform.command":           func(c *Config) { c.Command = []string{""} },
	} {
		cfg := Default()
		change(&cfg)
		if err := cfg.Validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %s in it", err, want)
		}
	}
}
