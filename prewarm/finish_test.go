package prewarm

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/goldcrest/goldcrest/fault"
	"github.com/goldcrest/goldcrest/prewarm/ledger"
	"github.com/goldcrest/goldcrest/prewarm/unit"
)

// A job continues after its process died, or lost its disk, between any two of its writes.
func TestSweepMendsJobs(t *testing.T) {
	for name, hurt := range map[string]func(t *testing.T, d *door, job string){
		"nothing happened": func(*testing.T, *door, string) {},
		"its tickets are lost": func(_ *testing.T, d *door, _ string) {
			d.memory.LoseTickets()
		},
		"all is settled, and its end not written": func(t *testing.T, d *door, job string) {
			r, err := d.memory.Read(t.Context(), ledger.TaskKey(job, 0))
			if err != nil {
				t.Fatal(err)
			}
			k, err := ledger.ReadTask(r)
			if err != nil {
				t.Fatal(err)
			}
			k.Close(ledger.Made, time.Now())
			written, err := k.Record(job, 0)
			if err == nil {
				err = d.memory.Write(t.Context(), written)
			}
			if err != nil {
				t.Fatal(err)
			}
			d.memory.LoseTickets()
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := newDoor(t, nil)
				call := oneCall("https://c.example/a.jpg")
				a, err := d.Accept(t.Context(), "b", "", [32]byte{}, call)
				if err != nil {
					t.Fatal(err)
				}
				hurt(t, d, a.Job.ID)
				defer d.run(t)()
				j, err := d.Job(t.Context(), a.Job.ID, time.Hour)
				if err != nil || j.State != ledger.Done || j.Counts.Made != 1 {
					t.Errorf("got %+v %v", j, err)
				}
				now, err := d.Refresh(t.Context(), a, call)
				if err != nil || units(now)[0].Images[0].State != ledger.Made || now.Job.State != ledger.Done {
					t.Errorf("the answer is now %+v %v", now, err)
				}
				time.Sleep(3 * time.Minute)
				if _, err := d.memory.Read(t.Context(), "active."+a.Job.ID); err == nil {
					t.Error("the job is still among the active ones")
				}
			})
		})
	}
}

// lagging is a Store whose lists come from a server that has no tasks yet.
type lagging struct{ ledger.Store }

func (l lagging) List(ctx context.Context, s ledger.Scan, yield func(ledger.Record) bool) error {
	return l.Store.List(ctx, s, func(r ledger.Record) bool { return strings.HasPrefix(r.Key, "task.") || yield(r) })
}

// Tasks missing in a list do not count as lost: a job ends with the verdicts that its results show.
func TestListingThatLagsLosesNoTask(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDoor(t, func(_ *Config, deps *Deps) { deps.Ledger = lagging{deps.Ledger} })
		a, err := d.Accept(t.Context(), "b", "", [32]byte{}, oneCall("https://c.example/a.jpg"))
		if err != nil {
			t.Fatal(err)
		}
		defer d.run(t)()
		if j, err := d.Job(t.Context(), a.Job.ID, time.Hour); err != nil || j.State != ledger.Done || j.Counts.Made != 1 || j.Counts.Failed != 0 {
			t.Errorf("got %+v %v", j, err)
		}
	})
}

// A Retry that was interrupted after it reopened the tasks is completed.
func TestSweepCarriesOnRetry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDoor(t, nil)
		forgotten := false
		d.deps.Forget = func(string) { forgotten = true }
		a, err := d.Accept(t.Context(), "b", "", [32]byte{}, oneCall("https://c.example/a.jpg"))
		if err != nil {
			t.Fatal(err)
		}
		r, err := d.memory.Read(t.Context(), ledger.TaskKey(a.Job.ID, 0))
		if err != nil {
			t.Fatal(err)
		}
		k, err := ledger.ReadTask(r)
		if err != nil {
			t.Fatal(err)
		}
		k.Images[0].Close(ledger.Broken, fault.SourceNotFound, time.Now())
		written, err := k.Record(a.Job.ID, 0)
		if err == nil {
			err = d.memory.Write(t.Context(), written)
		}
		if err != nil {
			t.Fatal(err)
		}
		d.memory.LoseTickets()
		synctest.Wait()
		if err := d.finishIfDone(t.Context(), a.Job.ID); err != nil {
			t.Fatal(err)
		}
		if j, err := d.Job(t.Context(), a.Job.ID, 0); err != nil || j.State != ledger.Failed {
			t.Fatalf("got %+v %v, want a failed job", j, err)
		}
		d.memory.OnWrite(func(r *ledger.Record) error { // only the write of the job's record fails
			if r.Key[:3] == "job" {
				return fault.New(fault.Overloaded, "test", "for a test", nil)
			}
			return nil
		})
		if _, err := d.Retry(t.Context(), a.Job.ID); fault.KindOf(err) != fault.Overloaded {
			t.Fatalf("got %v", err)
		}
		d.memory.OnWrite(nil)
		defer d.run(t)()
		time.Sleep(5 * time.Minute)
		j, err := d.Job(t.Context(), a.Job.ID, time.Hour)
		if err != nil || j.State != ledger.Done || j.Counts.Made != 1 || !forgotten {
			t.Errorf("got %+v %v; its source was asked anew: %v", j, err, forgotten)
		}
	})
}

// A backend is told only once of an end that is recorded later than it was told, and that is retried until then.
func TestAnEndIsToldOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &told{}
		d := newDoor(t, func(_ *Config, deps *Deps) {
			deps.Tell, deps.CheckCallback = l, func(unit.Callback) error { return nil }
		})
		written := time.Now().Add(2 * time.Minute)
		d.memory.OnWrite(func(r *ledger.Record) error {
			if strings.HasPrefix(r.Key, "job.") && r.Revision > 0 && time.Now().Before(written) {
				return fault.New(fault.Overloaded, "test", "for a test", nil)
			}
			return nil
		})
		defer d.run(t)()
		call := oneCall("https://c.example/a.jpg")
		call.Callback = &unit.Callback{URL: "https://b.example/hook"}
		a, err := d.Accept(t.Context(), "b", "", [32]byte{}, call)
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		if _, _, done := l.sources(); done != 1 {
			t.Errorf("%d ends were told before it was written down, want 1", done)
		}
		j, err := d.Job(t.Context(), a.Job.ID, time.Hour)
		if err != nil || j.State != ledger.Done || time.Now().Before(written) {
			t.Errorf("got %+v %v", j, err)
		}
		time.Sleep(time.Minute)
		if len(l.events) != 1 {
			t.Errorf("the backend was told %d times", len(l.events))
		}
	})
}
