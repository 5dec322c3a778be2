package prewarm

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/goldcrest/goldcrest/fault"
)

// final reports whether a job in this state has ended.
func (s State) final() bool {
	switch s {
	case Done, Partial, Failed, Cancelled, Expired:
		return true
	}
	return false
}

// ending is the state of a job that has nothing left to do.
func ending(c Counts, cancelled bool) State {
	bad := c.Broken + c.Failed
	switch {
	case cancelled && c.Cancelled > 0:
		return Cancelled
	case c.Expired > 0:
		return Expired
	case bad == 0:
		return Done
	case c.Made+c.Present == 0:
		return Failed
	}
	return Partial
}

// finishIfDone ends the job if this instance sees nothing left to do.
func (s *Service) finishIfDone(ctx context.Context, id string) error {
	v, err := s.view(ctx, id)
	if err != nil {
		return err
	}
	v.mu.Lock()
	open := !v.job.Ended && v.pending() > 0
	v.mu.Unlock()
	if open {
		return nil
	}
	return s.finish(ctx, id)
}

// mayHaveEnded asks tend to look at a job. A request too many is dropped: the next sweep finds the job.
func (s *Service) mayHaveEnded(id string) {
	select {
	case s.ends <- id:
	default:
	}
}

// finish writes the end of a job down, once, by whichever instance comes first, and before that what its backend is to
// be told.
//
// Why it reads everything again although the view says that all is done: Retry opens tasks first and the job's record
// after them. Here the record is read before the tasks. So either the record is the one from before Retry, and the
// write below fails; or the open tasks are seen. For the same reason the active record taken away is the one from
// before: Retry writes another.
func (s *Service) finish(ctx context.Context, id string) error {
	for {
		active, err := s.deps.Ledger.Read(ctx, "active."+id)
		if err != nil && !errors.Is(err, ErrNoRecord) {
			return err
		}
		v := newView()
		if err := s.load(ctx, id, v); err != nil {
			return err
		}
		if v.job.Ended || v.pending() > 0 {
			return nil
		}
		j := *v.job
		now := s.deps.Now().UTC()
		j.Job = v.describe(now)
		j.State, j.Ended, j.FinishedAt, j.ETA = ending(j.Counts, j.Cancel), true, now, 0
		if err := s.announce(ctx, v, &j); err != nil {
			return err
		}
		if err := s.writeJob(ctx, &j); errors.Is(err, ErrConflict) {
			continue
		} else if err != nil {
			return err
		}
		s.accounts.ended(ownerMark(j.Owner), id)
		s.mu.Lock()
		old := s.views[id]
		s.mu.Unlock()
		if old != nil {
			s.drop(id, old)
		}
		if active.Revision == 0 {
			return nil
		}
		return s.deps.Ledger.Write(ctx, &Record{Key: active.Key, Revision: active.Revision})
	}
}

// activate makes a job active, under a new revision.
func (s *Service) activate(ctx context.Context, id string) error {
	for {
		r := &Record{Key: "active." + id}
		now, err := s.deps.Ledger.Read(ctx, r.Key)
		if err != nil && !errors.Is(err, ErrNoRecord) {
			return err
		}
		// A mark of its own, so that the ledger does not take it for the record that is there.
		r.Revision, r.Mark = now.Revision, fmt.Sprintf("active again after %d", now.Revision)
		if err := s.deps.Ledger.Write(ctx, r); !errors.Is(err, ErrConflict) {
			return err
		}
	}
}

// erase deletes a record as it is now; one that is written again meanwhile stays.
func (s *Service) erase(ctx context.Context, key string) error {
	r, err := s.deps.Ledger.Read(ctx, key)
	if errors.Is(err, ErrNoRecord) {
		return nil
	}
	if err != nil {
		return err
	}
	return s.deps.Ledger.Write(ctx, &Record{Key: key, Revision: r.Revision})
}

// tend looks after jobs until ctx ends: it ends those that are done, and helps those that nobody moves.
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
			s.deps.Log.Warn("the prewarm jobs could not be looked after; trying again", "error", err)
		}
	}
}

// sweep looks at every active job. What it mends comes of processes that died between two writes, or of tickets lost
// with a disk.
func (s *Service) sweep(ctx context.Context) error {
	var active []Record
	err := s.deps.Ledger.List(ctx, Scan{Prefix: "active"}, func(r Record) bool {
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

func (s *Service) sweepJob(ctx context.Context, id string, active Record, seen map[string]bool) error {
	old := s.deps.Now().Sub(active.At) > 2*s.times.adopt
	v, err := s.view(ctx, id)
	if fault.KindOf(err) == fault.NoSuchJob && old { // Its call was never accepted, or its time is over.
		return s.deps.Ledger.Write(ctx, &Record{Key: active.Key, Revision: active.Revision})
	}
	if err != nil {
		return err
	}
	j := v.record()
	if j.Ended {
		if old {
			return s.reopenOrErase(ctx, j, active)
		}
		return nil
	}
	now := s.deps.Now()
	v.mu.Lock()
	open, idle := v.pending() > 0, now.Sub(v.moved)
	v.mu.Unlock()
	switch {
	case !open:
		return s.finish(ctx, id)
	case j.Cancel:
		err = s.closeAll(ctx, id, Cancelled)
	case !j.Deadline.IsZero() && !now.Before(j.Deadline):
		err = s.closeAll(ctx, id, Expired)
	}
	if err == nil {
		err = s.tellBrokenOf(ctx, id) // What a process that died had not told.
	}
	if err != nil || seen[id] && idle < s.times.stuck {
		return err
	}
	seen[id] = true
	v.mu.Lock()
	v.moved = now
	v.mu.Unlock()
	return s.ticketAll(ctx, v)
}

// reopenOrErase ends what a process that died within Retry or finish has begun.
func (s *Service) reopenOrErase(ctx context.Context, j *jobRecord, active Record) error {
	open := false
	err := s.deps.Ledger.List(ctx, Scan{Prefix: "task." + j.ID}, func(r Record) bool {
		t, err := readTally(r.Mark)
		open = err == nil && t.Pending > 0
		return !open
	})
	if err != nil {
		return err
	}
	if !open {
		return s.deps.Ledger.Write(ctx, &Record{Key: active.Key, Revision: active.Revision})
	}
	return s.reopen(ctx, j.ID)
}

// ticketAll puts a ticket for every task that has not ended; those that are in the queue stay there once.
func (s *Service) ticketAll(ctx context.Context, v *view) error {
	var tickets []Ticket
	v.mu.Lock()
	for n, t := range v.tasks {
		if t.tally.Pending > 0 {
			tickets = append(tickets, Ticket{Lane: v.job.Lane, ID: ticketID(v.job.ID, n, v.job.Round)})
		}
	}
	v.mu.Unlock()
	return s.deps.Queue.Put(ctx, tickets...)
}

// closeAll ends what nobody works on. A task that is being worked on is left to its worker, who knows.
func (s *Service) closeAll(ctx context.Context, id string, state State) error {
	now := s.deps.Now().UTC()
	err := s.eachTask(ctx, id, func(n int, t *task) error {
		if t.ended() || t.Running && now.Sub(t.at) < s.times.stuck {
			return nil
		}
		t.close(state, now)
		r, err := t.record(id, n)
		if err == nil {
			err = s.deps.Ledger.Write(ctx, r)
		}
		if errors.Is(err, ErrConflict) {
			return nil // Somebody works on it just now.
		}
		if err == nil {
			s.tallied(id, n, r.Revision, t.tally())
		}
		return err
	})
	if err != nil {
		return err
	}
	return s.finishIfDone(ctx, id)
}

// eachTask reads the tasks of a job one after the other.
func (s *Service) eachTask(ctx context.Context, id string, each func(n int, t *task) error) error {
	var bad error
	err := s.deps.Ledger.List(ctx, Scan{Prefix: "task." + id, Bodies: true}, func(r Record) bool {
		var t *task
		_, n, ok := parseTaskKey(r.Key)
		if t, bad = readTask(r); bad == nil && ok {
			bad = each(n, t)
		}
		return bad == nil
	})
	if bad != nil {
		return bad
	}
	return err
}
