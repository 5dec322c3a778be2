package prewarm

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/goldcrest/goldcrest/prewarm/ledger"
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
