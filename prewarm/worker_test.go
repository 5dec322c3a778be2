package prewarm

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/goldcrest/goldcrest/fault"
	"github.com/goldcrest/goldcrest/pipeline"
	"github.com/goldcrest/goldcrest/prewarm/ledger"
	"github.com/goldcrest/goldcrest/variant"
)

// Retryable failures are tried again after the pauses; each kind ends with its state.
func TestRetryPauses(t *testing.T) {
	for _, tt := range []struct {
		kind   fault.Kind
		passes int // the try that works; 0 = none
		want   ledger.State
		tries  int
	}{
		{fault.SourceTimeout, 3, ledger.Made, 3},
		{fault.SourceTimeout, 0, ledger.Failed, 5},
		{fault.SourceForbidden, 0, ledger.Broken, 5},
		{fault.DNSFailed, 0, ledger.Broken, 5},
		{fault.Internal, 5, ledger.Made, 5},
		{fault.SourceNotFound, 2, ledger.Broken, 1},
	} {
		t.Run(string(tt.kind), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := newDoor(t, nil)
				d.warm = func(ref variant.Ref, try int) pipeline.Warmed {
					if try == tt.passes {
						return stored(ref, 100)
					}
					return refused(ref, tt.kind)
				}
				defer d.run(t)()
				a, err := d.Accept(t.Context(), "b", "", [32]byte{}, oneCall("https://c.example/a.jpg"))
				if err != nil {
					t.Fatal(err)
				}
				j, err := d.Job(t.Context(), a.Job.ID, time.Hour)
				if err != nil || *j.Counts.Of(tt.want) != 1 || len(d.tries) != tt.tries {
					t.Errorf("got %+v after %d tries, %v; want %s after %d", j.Counts, len(d.tries), err, tt.want,
						tt.tries)
				}
				for i, least := range d.cfg.Retry[:len(d.tries)-1] {
					if got := d.tries[i+1].Sub(d.tries[i]); got < least || got > least*13/10+time.Second {
						t.Errorf("pause %d was %v, want %v and up to a fifth more", i, got, least)
					}
				}
			})
		})
	}
}

// Only missing variants are made again: a variant that was made is not requested in the next try.
func TestRetryOfTheMissing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDoor(t, func(c *Config, _ *Deps) { c.Presets = []string{"lite"} })
		var asked [][]variant.Format
		d.warm = func(ref variant.Ref, try int) pipeline.Warmed {
			if len(asked) < try {
				asked = append(asked, nil)
			}
			asked[try-1] = append(asked[try-1], ref.Spec.Format)
			if try == 1 && ref.Spec.Format == variant.AVIF {
				return refused(ref, fault.TransformTimeout)
			}
			return stored(ref, 100)
		}
		defer d.run(t)()
		a, err := d.Accept(t.Context(), "b", "", [32]byte{}, oneCall("https://c.example/a.jpg"))
		if err != nil {
			t.Fatal(err)
		}
		if j, err := d.Job(t.Context(), a.Job.ID, time.Hour); err != nil || j.Counts.Made != 3 {
			t.Errorf("got %+v %v", j.Counts, err)
		}
		if len(asked) != 2 || len(asked[0]) != 3 || !slices.Equal(asked[1], []variant.Format{variant.AVIF}) {
			t.Errorf("got %v", asked)
		}
	})
}

// A deadline ends the wait for another try.
func TestDeadlineEndsRetries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDoor(t, nil)
		d.warm = func(ref variant.Ref, _ int) pipeline.Warmed { return refused(ref, fault.ConnectFailed) }
		defer d.run(t)()
		c := oneCall("https://c.example/a.jpg")
		c.Deadline = time.Now().Add(20 * time.Second)
		a, err := d.Accept(t.Context(), "b", "", [32]byte{}, c)
		if err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		j, err := d.Job(t.Context(), a.Job.ID, time.Hour)
		if err != nil || j.State != ledger.Expired || j.Counts.Expired != 1 || time.Since(start) > 31*time.Second {
			t.Errorf("got %+v %v after %v", j, err, time.Since(start))
		}
	})
}

// A panic while an image is looked up or made ends neither the process nor the job. The image is tried again, and its
// slots at the host and among the workers are released.
func TestPanicsEndNoJob(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDoor(t, func(c *Config, deps *Deps) {
			c.Workers = 1
			deps.Known = func(context.Context, []variant.Ref) []pipeline.Warmed { panic("boom") }
		})
		d.warm = func(ref variant.Ref, try int) pipeline.Warmed {
			if try <= 2 || ref.Source == "https://c.example/b.jpg" {
				panic("boom")
			}
			return stored(ref, 100)
		}
		a, err := d.Accept(t.Context(), "b", "", [32]byte{}, oneCall("https://c.example/a.jpg",
			"https://c.example/b.jpg"))
		if err != nil {
			t.Fatal(err)
		}
		defer d.run(t)()
		j, err := d.Job(t.Context(), a.Job.ID, 2*time.Hour)
		if err != nil || j.State != ledger.Partial || j.Counts.Made != 1 || j.Counts.Failed != 1 {
			t.Errorf("got %+v %v, want one image made and one failed", j, err)
		}
		if n := d.slots.working(); n != 0 {
			t.Errorf("%d workers are busy, want none", n)
		}
	})
}

// A fault of our own while an image is made is a line of the log, without what may be secret in its text.
func TestInternalFaultsAreLogged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var text bytes.Buffer
		d := newDoor(t, func(_ *Config, deps *Deps) { deps.Log = slog.New(slog.NewTextHandler(&text, nil)) })
		d.warm = func(ref variant.Ref, try int) pipeline.Warmed {
			w := stored(ref, 100)
			if try == 1 {
				w.Err = fault.New(fault.Internal, "x.Y", "an internal error",
					errors.New("panic: https://c.example/a?sig=hush"))
			}
			return w
		}
		a, err := d.Accept(t.Context(), "b", "", [32]byte{}, oneCall("https://c.example/a.jpg"))
		if err != nil {
			t.Fatal(err)
		}
		stop := d.run(t)
		if j, err := d.Job(t.Context(), a.Job.ID, 2*time.Hour); err != nil || j.State != ledger.Done {
			t.Errorf("got %+v %v", j, err)
		}
		stop()
		got := text.String()
		if strings.Count(got, "an image met an internal error") != 1 || !strings.Contains(got, "kind=internal") ||
			strings.Contains(got, "hush") {
			t.Errorf("the log has\n%s", got)
		}
	})
}

// A ledger that fails in the middle loses no verdict: the task is found undone, and its stored variants are found.
func TestLedgerFailsInTheMiddle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDoor(t, nil)
		made := map[string]bool{}
		d.warm = func(ref variant.Ref, _ int) pipeline.Warmed {
			w := stored(ref, 100)
			w.Present = made[ref.Key()]
			made[ref.Key()] = true
			return w
		}
		failures := 0
		a, err := d.Accept(t.Context(), "b", "", [32]byte{}, oneCall("https://c.example/a.jpg",
			"https://c.example/b.jpg"))
		if err != nil {
			t.Fatal(err)
		}
		d.memory.OnWrite(func(r *ledger.Record) error {
			if r.Key[:4] == "task" && len(d.tries) > 0 && failures < 3 {
				failures++
				return fault.New(fault.Overloaded, "test", "for a test", nil)
			}
			return nil
		})
		defer d.run(t)()
		j, err := d.Job(t.Context(), a.Job.ID, time.Hour)
		// The second try found it stored. It still counts as made by this job: it was not there when the task began.
		if err != nil || j.State != ledger.Done || j.Counts.Made != 2 || failures != 3 {
			t.Errorf("got %+v %v after %d failures", j, err, failures)
		}
	})
}

// A clock that is set back by years does not delay anything for years.
func TestClockSetBack(t *testing.T) {
	now := time.Now()
	for _, tt := range []struct{ next, want time.Duration }{
		{0, 0}, {-time.Hour, 0}, {time.Minute, time.Minute}, {time.Hour, time.Hour}, {10 * 365 * 24 * time.Hour, 0},
	} {
		if got := (&ledger.Image{Next: now.Add(tt.next)}).Due(now); got != tt.want {
			t.Errorf("next in %v: due in %v, want %v", tt.next, got, tt.want)
		}
	}
}

// Earlier lanes get slots first, and a failing host gets fewer concurrent requests.
func TestSlotsAndHosts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSlots(1)
		if err := s.acquire(t.Context(), ledger.LaneLow); err != nil {
			t.Fatal(err)
		}
		var order []string
		var waiting sync.WaitGroup
		for _, lane := range []string{ledger.LaneLow, ledger.LaneNormal, ledger.LaneHigh} {
			waiting.Go(func() {
				if err := s.acquire(t.Context(), lane); err != nil {
					t.Error(err)
				}
				order = append(order, lane)
				s.release()
			})
			synctest.Wait()
		}
		s.release()
		waiting.Wait()
		if !slices.Equal(order, []string{ledger.LaneHigh, ledger.LaneNormal, ledger.LaneLow}) || s.working() != 0 {
			t.Errorf("got %v with %d at work", order, s.working())
		}
		h := newHosts(4)
		for range 4 {
			if err := h.acquire(t.Context(), "c.example"); err != nil {
				t.Fatal(err)
			}
		}
		for range 4 {
			h.release("c.example", fault.New(fault.SourceTimeout, "test", "for a test", nil))
		}
		if got := h.all["c.example"].limit; got != 1 {
			t.Errorf("the host may be asked by %d at a time, want 1", got)
		}
		for range 3 {
			if err := h.acquire(t.Context(), "c.example"); err != nil {
				t.Fatal(err)
			}
			h.release("c.example", nil)
		}
		if len(h.all) != 0 {
			t.Errorf("a host that behaves is still remembered: %+v", h.all)
		}
	})
}

// A host that responds, but has bad files, keeps its number of concurrent images.
func TestBadFilesDoNotSlowTheirHost(t *testing.T) {
	for _, tt := range []struct {
		kind  fault.Kind
		cause error
		limit int
	}{
		{fault.SourceError, fault.ErrThisFile, 8},
		{fault.SourceError, fmt.Errorf("%w: bad gzip", fault.ErrThisFile), 8},
		{fault.SourceNotFound, nil, 8},
		{fault.SourceError, nil, 4},
		{fault.SourceTimeout, nil, 4},
	} {
		synctest.Test(t, func(t *testing.T) {
			d := newDoor(t, func(cfg *Config, _ *Deps) { cfg.Workers = 8 })
			d.warm = func(ref variant.Ref, _ int) pipeline.Warmed {
				w := refused(ref, tt.kind)
				w.Err = fault.New(tt.kind, "test", "for a test", tt.cause)
				return w
			}
			defer d.run(t)()
			if _, err := d.Accept(t.Context(), "b", "", [32]byte{}, oneCall("https://c.example/a.jpg",
				"https://other.example/a.jpg")); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			limit := 8
			if x := d.hosts.all["c.example"]; x != nil {
				limit = x.limit
			}
			if len(d.tries) != 2 || limit != tt.limit {
				t.Errorf("%s, %v: the host may be asked by %d at a time after %d tries, want %d", tt.kind, tt.cause,
					limit, len(d.tries), tt.limit)
			}
		})
	}
}

// A bounded number of failed hosts is remembered, namely the most recently used.
func TestHostsThatFailedAreForgotten(t *testing.T) {
	h := newHosts(4)
	for n := range 10 * maxIdleHosts {
		name := strconv.Itoa(n)
		if err := h.acquire(t.Context(), name); err != nil {
			t.Fatal(err)
		}
		h.release(name, fault.New(fault.SourceError, "test", "for a test", nil))
	}
	if got := len(h.all); got != maxIdleHosts || h.idle.Len() != got {
		t.Errorf("%d hosts are known, %d of them idle; want %d", got, h.idle.Len(), maxIdleHosts)
	}
	last := strconv.Itoa(10*maxIdleHosts - 1)
	if x := h.all[last]; x == nil || x.limit != 2 {
		t.Errorf("of the host used last is known %+v, want its limit of 2", x)
	}
	for range 2 { // it recovers, and is forgotten
		if err := h.acquire(t.Context(), last); err != nil {
			t.Fatal(err)
		}
		h.release(last, nil)
	}
	if h.all[last] != nil || len(h.all) != h.idle.Len() {
		t.Errorf("a host that recovered is still known; %d hosts, %d idle", len(h.all), h.idle.Len())
	}
}
