package prewarm

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/goldcrest/goldcrest/fault"
	"github.com/goldcrest/goldcrest/pause"
)

// Job describes a job. With wait it returns when the job has ended, and after wait at the latest. One that is not known
// is no_such_job.
func (s *Service) Job(ctx context.Context, id string, wait time.Duration) (Job, error) {
	late := time.NewTimer(wait)
	defer late.Stop()
	for {
		j, changed, err := s.look(ctx, id)
		if err != nil || wait <= 0 || j.State.final() {
			return j, err
		}
		select {
		case <-changed:
		case <-late.C:
			wait = 0
		case <-ctx.Done():
			return j, ctx.Err()
		}
	}
}

// look describes a job, and gives a channel that is closed when it has changed.
func (s *Service) look(ctx context.Context, id string) (Job, <-chan struct{}, error) {
	for {
		v, err := s.view(ctx, id)
		if err != nil {
			return Job{}, nil, err
		}
		v.mu.Lock()
		changed, stale := v.changed, v.stale
		v.mu.Unlock()
		s.mu.Lock()
		current := s.views[id] == v
		s.mu.Unlock()
		// A view that was forgotten before its channel was taken will never tell, nor one tell again that it had grown
		// old by then.
		if j := v.describe(s.deps.Now()); current && !stale || j.State.final() {
			return j, changed, nil
		}
	}
}

// Watch gives a job whenever it has changed, at most a few times a second, and closes the channel after its end or
// ctx's.
func (s *Service) Watch(ctx context.Context, id string) (<-chan Job, error) {
	j, changed, err := s.look(ctx, id)
	if err != nil {
		return nil, err
	}
	out := make(chan Job)
	go func() {
		defer close(out)
		for {
			select {
			case out <- j:
			case <-ctx.Done():
				return
			}
			if j.State.final() {
				return
			}
			_ = pause.For(ctx, s.times.moment)
			select {
			case <-changed:
			case <-ctx.Done():
				return
			}
			if j, changed, err = s.look(ctx, id); err != nil {
				return
			}
		}
	}()
	return out, nil
}

// maxPage bounds a page of a listing.
const maxPage = 1000

// Jobs lists the jobs that who may see, the latest first, and gives the cursor of the next page ("" = none).
func (s *Service) Jobs(ctx context.Context, who Caller, limit int, cursor string) ([]Job, string, error) {
	limit = min(max(limit, 1), maxPage)
	var ids []string
	var unmarked []string // Their records alone say whose they are.
	for day := s.deps.Now().Add(time.Hour); day.After(s.deps.Now().Add(-s.cfg.Keep - 48*time.Hour)); day = day.Add(-24 * time.Hour) {
		from := len(ids)
		err := s.deps.Ledger.List(ctx, Scan{Prefix: "job." + dayOf(day)}, func(r Record) bool {
			id := r.Key[strings.LastIndexByte(r.Key, '.')+1:]
			if owner, known := ownerOf(r.Mark); (cursor == "" || id < cursor) && (who.All || !known || owner == ownerMark(who.Name)) {
				ids = append(ids, id)
				if !known {
					unmarked = append(unmarked, id)
				}
			}
			return true
		})
		if err == nil && !who.All {
			ids, err = s.withoutOthers(ctx, who, ids, from, unmarked)
		}
		unmarked = nil
		if err != nil {
			return nil, "", err
		}
		slices.Sort(ids[from:])
		slices.Reverse(ids[from:])
		if len(ids) > limit {
			break
		}
	}
	next := ""
	if len(ids) > limit {
		ids, next = ids[:limit], ids[limit-1]
	}
	jobs := make([]Job, 0, len(ids))
	for _, id := range ids {
		j, err := s.Job(ctx, id, 0)
		if fault.KindOf(err) == fault.NoSuchJob {
			continue // Its time was over just now.
		}
		if err != nil {
			return nil, "", err
		}
		jobs = append(jobs, j)
	}
	return jobs, next, nil
}

// withoutOthers takes the jobs of others out of ids, of those from a place on whose marks do not tell.
func (s *Service) withoutOthers(ctx context.Context, who Caller, ids []string, from int, unmarked []string) ([]string, error) {
	others := map[string]bool{}
	for _, id := range unmarked {
		j, err := s.Job(ctx, id, 0)
		if fault.KindOf(err) == fault.NoSuchJob {
			continue // Its time was over just now.
		}
		if err != nil {
			return nil, err
		}
		others[id] = !who.Owns(j.Token)
	}
	return append(ids[:from], slices.DeleteFunc(ids[from:], func(id string) bool { return others[id] })...), nil
}

// Cancel ends what of a job has not been started.
func (s *Service) Cancel(ctx context.Context, id string) (Job, error) {
	err := s.changeJob(ctx, id, func(j *jobRecord) bool {
		if j.Ended || j.Cancel {
			return false
		}
		j.Cancel = true
		return true
	})
	if err == nil {
		err = s.closeAll(ctx, id, Cancelled)
	}
	if err != nil {
		return Job{}, err
	}
	return s.Job(ctx, id, 0)
}

// changeJob changes a job's record; change reports whether there is anything to write.
func (s *Service) changeJob(ctx context.Context, id string, change func(*jobRecord) bool) error {
	for {
		j, err := s.readJob(ctx, id)
		if err != nil || !change(j) {
			return err
		}
		if err = s.writeJob(ctx, j); err == nil {
			s.rejudge(j)
			return nil
		}
		if !errors.Is(err, ErrConflict) {
			return err
		}
	}
}

// rejudge takes over a job's record that this instance has written itself.
func (s *Service) rejudge(j *jobRecord) {
	s.mu.Lock()
	v := s.views[j.ID]
	s.mu.Unlock()
	if v == nil {
		return
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	v.stale, v.cancel = true, j.Cancel
	v.wake()
}

// Retry works once more on what failed or was broken in a job. It counts for the quota of the job's owner:
// quota_exceeded.
func (s *Service) Retry(ctx context.Context, id string) (Job, error) {
	j, err := s.readJob(ctx, id)
	if err != nil {
		return Job{}, err
	}
	images, err := s.retriable(ctx, id)
	if err != nil {
		return Job{}, err
	}
	c, err := s.accounts.charge(ctx, j.Owner, map[string]int{id: j.Counts.DataUnits}, Usage{Images: images})
	if err != nil {
		return Job{}, err
	}
	opened, err := s.retry(ctx, id, j)
	if opened {
		c.accepted()
	} else {
		c.refund()
	}
	if err != nil {
		return Job{}, err
	}
	return s.Job(ctx, id, 0)
}

// retriable counts the images that a retry would work on, in all their places.
func (s *Service) retriable(ctx context.Context, id string) (images int64, err error) {
	err = s.eachTask(ctx, id, func(_ int, t *task) error {
		for _, w := range t.Works {
			if slices.ContainsFunc(w.Verdicts, w.mayOpen) {
				images += int64(len(w.Spots))
			}
		}
		return nil
	})
	return images, err
}

// retry opens what failed or was broken, and reports whether there was anything.
func (s *Service) retry(ctx context.Context, id string, j *jobRecord) (opened bool, err error) {
	// First the job is made active: should this process die in the middle, tend goes on.
	if err := s.activate(ctx, id); err != nil {
		return false, err
	}
	err = s.eachTask(ctx, id, func(n int, t *task) error {
		opened = opened || j.Ended && !t.ended() // By a Retry that was cut off.
		for t.open() {
			r, err := t.record(id, n)
			if err != nil {
				return err
			}
			if err = s.deps.Ledger.Write(ctx, r); err == nil {
				s.tallied(id, n, r.Revision, t.tally())
				opened = true
				return nil
			}
			if !errors.Is(err, ErrConflict) {
				return err
			}
			now, err := s.deps.Ledger.Read(ctx, taskKey(id, n))
			if err != nil {
				return err
			}
			if t, err = readTask(now); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil || !opened {
		return opened, err
	}
	return true, s.reopen(ctx, id)
}

// mayOpen reports whether an outcome is one that a retry works on. What is no source will never be one.
func (w *work) mayOpen(o *outcome) bool {
	return w.Hash != "" && slices.ContainsFunc(w.Spots, func(at spot) bool { return o.state(at) == Broken || o.state(at) == Failed })
}

// open makes what failed or was broken pending again, and reports whether there was anything.
func (t *task) open() (any bool) {
	for _, w := range t.Works {
		for _, o := range w.Verdicts {
			if w.mayOpen(o) {
				*o = outcome{State: Pending}
				w.Tries, w.Next, any = 0, time.Time{}, true
			}
		}
	}
	if any {
		t.Running = false
	}
	return any
}

// reopen makes a job run again whose tasks were opened, and puts tickets for them.
func (s *Service) reopen(ctx context.Context, id string) error {
	now := s.deps.Now()
	err := s.changeJob(ctx, id, func(j *jobRecord) bool {
		j.Round++
		j.Ended, j.Cancel, j.State, j.FinishedAt = false, false, Running, time.Time{}
		if !now.Before(j.Deadline) {
			j.Deadline = time.Time{} // It was missed once; whoever asks again wants the pictures still.
		}
		return true
	})
	if err != nil {
		return err
	}
	if err := s.activate(ctx, id); err != nil { // Who ended it before may have taken that away.
		return err
	}
	v, err := s.view(ctx, id)
	if err != nil {
		return err
	}
	return s.ticketAll(ctx, v)
}
