package prewarm

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/goldcrest/goldcrest/fault"
	"github.com/goldcrest/goldcrest/pipeline"
	"github.com/goldcrest/goldcrest/prewarm/ledger"
	"github.com/goldcrest/goldcrest/prewarm/ledger/ledgertest"
	"github.com/goldcrest/goldcrest/prewarm/unit"
	"github.com/goldcrest/goldcrest/prewarm/webhook"
	"github.com/goldcrest/goldcrest/variant"
)

// told records the events that backends receive.
type told struct {
	mu     sync.Mutex
	events []webhook.Event
}

func (l *told) Tell(_ context.Context, e webhook.Event) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.events = append(l.events, e)
	return nil
}

// sources counts the different events for each source, and the events of each type.
func (l *told) sources() (by map[string]int, broken, done int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	by = map[string]int{}
	known := map[string]bool{}
	for _, e := range l.events {
		if known[e.ID] {
			continue
		}
		known[e.ID] = true
		if e.Type == webhook.JobDone {
			done++
			continue
		}
		broken++
		for _, b := range e.Broken {
			by[b.Source]++
		}
	}
	return by, broken, done
}

// tellingDoor is a door whose sources are broken, except those with "slow" in their names, which take an hour.
func tellingDoor(t *testing.T, l *told, ledger *ledgertest.Memory) *door {
	d := newDoor(t, func(c *Config, deps *Deps) {
		c.Workers = 8
		deps.Tell, deps.CheckCallback = l, func(unit.Callback) error { return nil }
		if ledger != nil {
			deps.Ledger, deps.Queue = ledger, ledger
		}
		deps.Warm = func(ctx context.Context, refs []variant.Ref) (out []pipeline.Warmed) {
			wait, kind := time.Duration(0), fault.SourceNotFound
			if strings.Contains(refs[0].Source, "slow") {
				wait, kind = time.Hour, ""
			}
			select {
			case <-time.After(wait):
			case <-ctx.Done():
				kind = fault.Canceled
			}
			for _, ref := range refs {
				if kind == "" {
					out = append(out, stored(ref, 100))
				} else {
					out = append(out, refused(ref, kind))
				}
			}
			return out
		}
	})
	if ledger != nil {
		d.memory = ledger
	}
	return d
}

// brokenCall has n broken sources, then a slow one, which is alone in its task if n fills whole tasks. It has a
// callback.
func brokenCall(n int) unit.Call {
	var sources []string
	for i := range n {
		sources = append(sources, fmt.Sprintf("https://c.example/%d.jpg", i))
	}
	c := oneCall(append(sources, "https://c.example/slow.jpg")...)
	c.Callback, c.Request = &unit.Callback{URL: "https://b.example/hook"}, "req-1"
	return c
}

// Broken sources are reported while the job runs, in batches, each in one event. The end of the job reports the rest.
func TestBrokenIsToldDuringTheJob(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &told{}
		d := tellingDoor(t, l, nil)
		defer d.run(t)()
		a, err := d.Accept(t.Context(), "b", "", [32]byte{}, brokenCall(15*ledger.TaskImages))
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(20 * time.Second)
		by, events, done := l.sources()
		if len(by) != 15*ledger.TaskImages || events < 3 || done != 0 {
			t.Errorf("while the job runs: %d sources in %d events, %d ends; want 240 in at least 3, none", len(by), events, done)
		}
		for _, e := range l.events {
			for _, b := range e.Broken {
				if len(b.Units) != 1 || b.Units[0] == "" {
					t.Errorf("%s is told of the units %q", b.Source, b.Units)
				}
			}
			if len(e.Broken) > 100 || e.Job.State != ledger.Running || e.Job.ID != a.Job.ID || e.Job.Callback == nil || e.Job.Request != "req-1" {
				t.Errorf("the event %s has %d sources of the job %+v", e.ID, len(e.Broken), e.Job)
			}
		}
		if _, err := d.Job(t.Context(), a.Job.ID, 2*time.Hour); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		by, again, done := l.sources()
		for source, n := range by {
			if n != 1 {
				t.Errorf("%s stands in %d events", source, n)
			}
		}
		deliveries := 0
		for _, e := range l.events {
			if e.Type == webhook.ImageBroken {
				deliveries++
			}
		}
		if again != events || done != 1 || deliveries != events {
			t.Errorf("at the end: %d events of broken sources in %d deliveries, %d of the end; want %d, each once, and 1", again, deliveries, done, events)
		}
		if _, err := d.Retry(t.Context(), a.Job.ID); err != nil { // what is still broken is reported again
			t.Fatal(err)
		}
		if _, err := d.Job(t.Context(), a.Job.ID, time.Hour); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		by, _, done = l.sources()
		for source, n := range by {
			if n != 2 {
				t.Errorf("after a retry %s stands in %d events, want 2", source, n)
			}
		}
		if done != 2 {
			t.Errorf("after a retry: %d ends, want 2", done)
		}
	})
}

// At whichever write a process dies, no source is lost, and none is in two different events.
func TestBrokenIsToldAfterARestart(t *testing.T) {
	for _, dies := range []string{"told", "event", "after told", "after event"} {
		t.Run(dies, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := &told{}
				d := tellingDoor(t, l, nil)
				dead := errors.New("the process is dead")
				prefix, after := strings.CutPrefix(dies, "after ")
				seen := false
				d.memory.OnWrite(func(r *ledger.Record) error {
					if seen && (after || !strings.HasPrefix(r.Key, "task.")) {
						return dead
					}
					if strings.HasPrefix(r.Key, prefix+".") {
						if seen = true; !after {
							return dead
						}
					}
					return nil
				})
				stop := d.run(t)
				if _, err := d.Accept(t.Context(), "b", "", [32]byte{}, brokenCall(9*ledger.TaskImages)); err != nil {
					t.Fatal(err)
				}
				time.Sleep(20 * time.Second)
				stop()
				if d.memory.OnWrite(nil); !seen {
					t.Fatal("nothing was to be told")
				}
				d = tellingDoor(t, l, d.memory)
				defer d.run(t)()
				time.Sleep(2 * time.Minute)
				by, _, done := l.sources()
				if len(by) != 9*ledger.TaskImages || done != 0 {
					t.Errorf("after the restart %d sources were told and %d ends, want 144 and none", len(by), done)
				}
				for source, n := range by {
					if n != 1 {
						t.Errorf("%s stands in %d events", source, n)
					}
				}
			})
		})
	}
}
