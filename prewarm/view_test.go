package prewarm

import (
	"context"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/goldcrest/goldcrest/fault"
	"github.com/goldcrest/goldcrest/prewarm/ledger"
	"github.com/goldcrest/goldcrest/prewarm/unit"
)

// afterWrite is a Store that calls after when a record was written.
type afterWrite struct {
	ledger.Store
	after func(*ledger.Record)
}

func (l afterWrite) Write(ctx context.Context, records ...*ledger.Record) error {
	err := l.Store.Write(ctx, records...)
	for _, r := range records {
		l.after(r)
	}
	return err
}

// An instance that accepts a call learns the result of its job, even if another instance is faster:
//
//  1. A writes the job's record.
//  2. B finds the job, works on it and ends it; A receives the reports of all that.
//  3. A continues with the call, and waits until the job has ended.
func TestJobEndsBeforeItsCallIsAnswered(t *testing.T) {
	for name, dies := range map[string]bool{"ended": false, "B dies before it writes the end": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newDoor(t, nil)
				stop := b.Close
				after := func(*ledger.Record) {}
				a := newDoor(t, func(_ *Config, deps *Deps) {
					deps.Queue = b.memory
					deps.Ledger = afterWrite{b.memory, func(r *ledger.Record) { after(r) }}
				})
				if dies {
					b.memory.OnWrite(func(r *ledger.Record) error {
						if strings.HasPrefix(r.Key, "job.") && r.Revision > 0 {
							return context.DeadlineExceeded
						}
						return nil
					})
				}
				synctest.Wait()                  // both follow the ledger
				after = func(r *ledger.Record) { // 1.
					if !strings.HasPrefix(r.Key, "job.") {
						return
					}
					after = func(*ledger.Record) {}
					stop = b.run(t) // 2.
					synctest.Wait()
					if dies {
						stop()
						stop = func() {}
						b.memory.OnWrite(nil)
					}
				}
				c, err := a.Accept(t.Context(), "b", "", [32]byte{}, oneCall("https://c.example/a.jpg")) // 3.
				if err != nil {
					t.Fatal(err)
				}
				defer a.run(t)()
				if j, err := a.Job(t.Context(), c.Job.ID, 20*time.Minute); err != nil || j.State != ledger.Done || j.Counts.Made != 1 {
					t.Errorf("got %+v %v, want it done", j, err)
				}
				stop()
			})
		})
	}
}

// behind is a Store whose server lags: after hold, its next reads of that record return it, whatever was written since.
type behind struct {
	ledger.Store
	mu   sync.Mutex
	old  ledger.Record
	left int // number of such reads
}

// hold makes the next reads of a record return what it is now.
func (b *behind) hold(t *testing.T, key string, reads int) {
	t.Helper()
	r, err := b.Store.Read(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.old, b.left = r, reads
}

func (b *behind) Read(ctx context.Context, key string) (ledger.Record, error) {
	r, err := b.Store.Read(ctx, key)
	b.mu.Lock()
	defer b.mu.Unlock()
	if err != nil || key != b.old.Key || r.Revision == b.old.Revision || b.left == 0 {
		return r, err
	}
	b.left--
	return b.old, nil
}

func jobKey(t *testing.T, id string) string {
	t.Helper()
	key, ok := ledger.JobKey(id)
	if !ok {
		t.Fatal("no job has the id", id)
	}
	return key
}

// twoDoors returns two instances. The server that a reads from may lag.
func twoDoors(t *testing.T) (a, b *door, server *behind) {
	b = newDoor(t, nil)
	server = &behind{Store: b.memory}
	a = newDoor(t, func(_ *Config, deps *Deps) { deps.Ledger, deps.Queue = server, b.memory })
	synctest.Wait() // both follow the ledger
	return a, b, server
}

// An instance learns that a job has ended, even if the server that it reads from learns it later than its follower:
//
//  1. B writes that the job has ended.
//  2. A's follower reports that record.
//  3. A reads the job's record, and gets the one from before 1.
//  4. The server that A reads from has the record of 1. Nothing is reported any more.
func TestReadThatLagsBehindItsReport(t *testing.T) {
	for name, waits := range map[string]bool{"A waits for the end": true, "A has no view of the job before 3": false} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a, b, server := twoDoors(t)
				c, err := b.Accept(t.Context(), "b", "", [32]byte{}, oneCall("https://c.example/a.jpg"))
				if err != nil {
					t.Fatal(err)
				}
				start := time.Now()
				var got ledger.Job
				var failed error
				var waiting sync.WaitGroup
				wait := func() { got, failed = a.Job(t.Context(), c.Job.ID, time.Hour) }
				if waits {
					waiting.Go(wait)
					synctest.Wait()
				}
				server.hold(t, jobKey(t, c.Job.ID), 2)
				stop := b.run(t)
				synctest.Wait() // 1. and 2.
				if !waits {
					wait()
				}
				waiting.Wait()
				took := time.Since(start)
				if failed != nil || got.State != ledger.Done || took > time.Minute {
					t.Errorf("got %+v %v after %s, want it done at once", got, failed, took)
				}
				stop()
				a.Close()
			})
		})
	}
}

// A job that was cancelled stays so while the server still has the record from before.
func TestReadThatLagsBehindACancel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b, server := twoDoors(t)
		c, err := b.Accept(t.Context(), "b", "", [32]byte{}, oneCall("https://c.example/a.jpg"))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := a.View(t.Context(), c.Job.ID); err != nil {
			t.Fatal(err)
		}
		server.hold(t, jobKey(t, c.Job.ID), 1)
		if err := b.ChangeJob(t.Context(), c.Job.ID, (*ledger.JobRecord).Abort); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		v, err := a.View(t.Context(), c.Job.ID)
		if err != nil || v.Closing(time.Now()) != ledger.Cancelled || !v.Record().Cancel {
			t.Errorf("the job is %+v %v, want it cancelled", v.Record(), err)
		}
		a.Close()
		b.Close()
	})
}

// A server that never gets to what was reported makes calls fail, but not for good: the stream may have been made
// again.
func TestReadThatNeverGetsToItsReport(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b, server := twoDoors(t)
		c, err := b.Accept(t.Context(), "b", "", [32]byte{}, oneCall("https://c.example/a.jpg"))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := a.View(t.Context(), c.Job.ID); err != nil {
			t.Fatal(err)
		}
		server.hold(t, jobKey(t, c.Job.ID), -1)
		if err := b.ChangeJob(t.Context(), c.Job.ID, (*ledger.JobRecord).Abort); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		start := time.Now()
		_, err = a.Job(t.Context(), c.Job.ID, 0)
		if took := time.Since(start); fault.KindOf(err) != fault.Overloaded || took > 5*time.Second {
			t.Errorf("got %v after %s, want overloaded", err, took)
		}
		start = time.Now()
		if j, err := a.Job(t.Context(), c.Job.ID, 0); err != nil || time.Since(start) > 0 {
			t.Errorf("got %+v %v after %s, want what the server has", j, err, time.Since(start))
		}
		a.Close()
		b.Close()
	})
}

// The broken sources of a job's last task are told of, even if the server still has the task from before:
//
//  1. A worker writes the task, and its follower reports that nothing of the job is pending.
//  2. The end of the job lists the tasks, and reads those with broken sources. It gets the one from before 1.
func TestTaskThatLagsBehindItsListing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, server := &told{}, &behind{}
		d := newDoor(t, func(_ *Config, deps *Deps) {
			server.Store, deps.Ledger = deps.Ledger, server
			deps.Tell, deps.CheckCallback = l, func(unit.Callback) error { return nil }
		})
		call := oneCall("https://c.example/a.jpg")
		call.Callback = &unit.Callback{URL: "https://b.example/hook"}
		a, err := d.Accept(t.Context(), "b", "", [32]byte{}, call)
		if err != nil {
			t.Fatal(err)
		}
		key := ledger.TaskKey(a.Job.ID, 0)
		server.hold(t, key, 1)
		k := &ledger.Task{}
		r, err := d.memory.Read(t.Context(), key)
		if err == nil {
			k, err = ledger.ReadTask(r)
		}
		if err != nil {
			t.Fatal(err)
		}
		k.Images[0].Close(ledger.Broken, fault.SourceNotFound, time.Now())
		written, err := k.Record(a.Job.ID, 0)
		if err == nil {
			err = d.memory.Write(t.Context(), written) // 1.
		}
		synctest.Wait()
		if err == nil {
			err = d.finishIfDone(t.Context(), a.Job.ID) // 2.
		}
		if err != nil {
			t.Fatal(err)
		}
		defer d.run(t)()
		synctest.Wait()
		j, err := d.Job(t.Context(), a.Job.ID, 0)
		if by, _, done := l.sources(); err != nil || len(by) != 1 || done != 1 {
			t.Errorf("told of %v and %d ends, want its source and its end: %+v %v", by, done, j, err)
		}
	})
}

// muted is a Store whose followers hear nothing of jobs.
type muted struct{ ledger.Store }

func (m muted) Follow(ctx context.Context, prefixes []string, started func(), each func(ledger.Record)) error {
	return m.Store.Follow(ctx, prefixes, started, func(r ledger.Record) {
		if !strings.HasPrefix(r.Key, "job.") {
			each(r)
		}
	})
}

// A view that missed the end of its job is discarded by the sweep, as long as the job is among the active ones.
func TestSweepDiscardsViewThatMissedTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newDoor(t, nil)
		a := newDoor(t, func(_ *Config, deps *Deps) { deps.Ledger, deps.Queue = muted{b.memory}, b.memory })
		synctest.Wait()
		c, err := b.Accept(t.Context(), "b", "", [32]byte{}, oneCall("https://c.example/a.jpg"))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := a.View(t.Context(), c.Job.ID); err != nil {
			t.Fatal(err)
		}
		b.memory.OnWrite(func(r *ledger.Record) error {
			if strings.HasPrefix(r.Key, "active.") {
				return fault.New(fault.Overloaded, "test", "for a test", nil)
			}
			return nil
		})
		stop := b.run(t)
		synctest.Wait()
		stop() // it dies between the end and the deletion of the active record
		defer a.run(t)()
		if j, err := a.Job(t.Context(), c.Job.ID, 20*time.Minute); err != nil || j.State != ledger.Done {
			t.Errorf("got %+v %v, want it done", j, err)
		}
	})
}
