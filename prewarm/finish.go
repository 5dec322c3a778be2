package prewarm

import (
	"context"
	"errors"
	"time"

	"github.com/goldcrest/goldcrest/fault"
	"github.com/goldcrest/goldcrest/prewarm/ledger"
)

// finishIfDone ends the job if this instance sees nothing left to do.
func (s *Service) finishIfDone(ctx context.Context, id string) error {
	v, err := s.View(ctx, id)
	if err != nil {
		return err
	}
	if open, _ := v.Open(s.deps.Now()); open && !v.Record().Ended {
		return nil
	}
	return s.finish(ctx, id)
}

// mayHaveEnded asks tend to check a job. If there are too many requests they are dropped: the next sweep finds the job.
func (s *Service) mayHaveEnded(id string) {
	select {
	case s.ends <- id:
	default:
	}
}

// finish records the end of a job once, by the first instance that gets there. Before that it records the events for
// the job's backend.
//
// It reads everything again although the view says that all is done, because of a concurrent Retry. Retry reopens tasks
// first and writes the job's record after them. finish reads the record before the tasks. So either the record is the
// one from before Retry, and the write below fails, or finish sees the open tasks. For the same reason it deletes the
// active record that it read first: Retry writes a new one.
func (s *Service) finish(ctx context.Context, id string) error {
	for {
		active, err := s.deps.Ledger.Read(ctx, "active."+id)
		if err != nil && !errors.Is(err, ledger.ErrNoRecord) {
			return err
		}
		v, err := s.Fresh(ctx, id)
		if err != nil {
			return err
		}
		j, now := *v.Record(), s.deps.Now().UTC()
		if j.Ended {
			s.Finished(id) // the view of this instance may have missed it
			return nil
		}
		if open, _ := v.Open(now); open {
			return nil
		}
		j.End(v.Describe(now), now)
		if err := s.events.Announce(ctx, v, &j); err != nil {
			return err
		}
		if err := s.WriteJob(ctx, &j); errors.Is(err, ledger.ErrConflict) {
			continue
		} else if err != nil {
			return err
		}
		s.accounts.Ended(ledger.OwnerMark(j.Owner), id)
		s.Finished(id)
		if active.Revision == 0 {
			return nil
		}
		return s.deps.Ledger.Write(ctx, &ledger.Record{Key: active.Key, Revision: active.Revision})
	}
}

// tend looks after jobs until ctx ends: it ends jobs that are done, and repairs jobs that do not progress.
func (s *Service) tend(ctx context.Context) {
	sweep := time.NewTimer(0)
	defer sweep.Stop()
	for {
		var err error
		select {
		case <-ctx.Done():
			return
		case id := <-s.ends:
			err = s.finishIfDone(ctx, id)
		case <-sweep.C:
			err = s.sweep(ctx)
			sweep.Reset(s.times.sweep)
		}
		if err != nil && ctx.Err() == nil && fault.KindOf(err) != fault.NoSuchJob {
			s.deps.Log.Warn("the maintenance of prewarm jobs failed; trying again", "error", err)
		}
	}
}

// sweep checks every active job. It repairs what is left by processes that died between two writes, and by tickets lost
// with a disk.
func (s *Service) sweep(ctx context.Context) error {
	var active []ledger.Record
	err := s.deps.Ledger.List(ctx, ledger.Scan{Prefix: "active"}, func(r ledger.Record) bool {
		active = append(active, r)
		return true
	})
	var errs []error
	seen := map[string]bool{}
	for _, r := range active {
		id := r.Key[len("active."):]
		seen[id] = s.seen[id]
		if err := s.sweepJob(ctx, id, r, seen); err != nil {
			errs = append(errs, err)
		}
	}
	if err == nil {
		s.seen = seen
	}
	return errors.Join(append(errs, err)...)
}

func (s *Service) sweepJob(ctx context.Context, id string, active ledger.Record, seen map[string]bool) error {
	old := s.deps.Now().Sub(active.At) > 2*s.times.adopt
	v, err := s.View(ctx, id)
	if fault.KindOf(err) == fault.NoSuchJob && old { // its call was never accepted, or it has expired
		return s.deps.Ledger.Write(ctx, &ledger.Record{Key: active.Key, Revision: active.Revision})
	}
	if err != nil {
		return err
	}
	j := v.Record()
	if j.Ended {
		if old {
			return s.reopenOrErase(ctx, j, active)
		}
		return nil
	}
	now := s.deps.Now()
	open, idle := v.Open(now)
	if !open {
		return s.finish(ctx, id)
	}
	if state := v.Closing(now); state != "" {
		err = s.closeAll(ctx, id, state)
	}
	if err == nil {
		err = s.events.TellBrokenOf(ctx, id) // what a process that died had not reported
	}
	if err != nil || seen[id] && idle < s.times.stuck {
		return err
	}
	seen[id] = true
	v.Touch(now)
	return s.ticketAll(ctx, v)
}

// reopenOrErase completes what a process that died within Retry or finish has begun.
func (s *Service) reopenOrErase(ctx context.Context, j *ledger.JobRecord, active ledger.Record) error {
	open := false
	err := s.deps.Ledger.List(ctx, ledger.Scan{Prefix: "task." + j.ID}, func(r ledger.Record) bool {
		t, err := ledger.ReadTally(r.Mark)
		open = err == nil && t.Pending > 0
		return !open
	})
	if err != nil {
		return err
	}
	if !open {
		return s.deps.Ledger.Write(ctx, &ledger.Record{Key: active.Key, Revision: active.Revision})
	}
	return s.reopen(ctx, j.ID)
}

// ticketAll puts a ticket for every task that has not ended. Tickets that are already queued stay there once.
func (s *Service) ticketAll(ctx context.Context, v *ledger.View) error {
	j := v.Record()
	var tickets []ledger.Ticket
	tasks, _ := v.Left()
	for _, n := range tasks {
		tickets = append(tickets, ledger.Ticket{Lane: j.Lane, ID: ticketID(j.ID, n, j.Round)})
	}
	return s.deps.Queue.Put(ctx, tickets...)
}

// closeAll closes the tasks that no worker has in progress. A task in progress is left to its worker.
func (s *Service) closeAll(ctx context.Context, id string, state ledger.State) error {
	now := s.deps.Now().UTC()
	err := s.EachTask(ctx, id, func(n int, t *ledger.Task) error {
		if t.Ended() || t.Running && now.Sub(t.At) < s.times.stuck {
			return nil
		}
		t.Close(state, now)
		r, err := t.Record(id, n)
		if err == nil {
			err = s.deps.Ledger.Write(ctx, r)
		}
		if errors.Is(err, ledger.ErrConflict) {
			return nil // a worker has just changed it
		}
		if err == nil {
			s.Tallied(id, n, r.Revision, t.Tally())
		}
		return err
	})
	if err != nil {
		return err
	}
	return s.finishIfDone(ctx, id)
}
