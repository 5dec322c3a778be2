package ledger

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/goldcrest/goldcrest/fault"
	"github.com/goldcrest/goldcrest/pause"
)

// moment is the minimum time between two messages of Watch.
const moment = 250 * time.Millisecond

// Job describes a job. If wait is positive it returns when the job has ended, or after wait. An unknown job is
// no_such_job.
func (s *Views) Job(ctx context.Context, id string, wait time.Duration) (Job, error) {
	late := time.NewTimer(wait)
	defer late.Stop()
	for {
		j, changed, err := s.look(ctx, id)
		if err != nil || wait <= 0 || j.State.Final() {
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

// look describes a job, and returns a channel that is closed when the job changes.
func (s *Views) look(ctx context.Context, id string) (Job, <-chan struct{}, error) {
	for {
		v, err := s.View(ctx, id)
		if err != nil {
			return Job{}, nil, err
		}
		v.mu.Lock()
		changed, stale := v.changed, v.noticed > v.job.Revision
		v.mu.Unlock()
		current := s.known(id) == v
		// A view that was discarded before its channel was taken is never notified. A view that was stale by then is
		// not notified a second time.
		if j := v.Describe(s.Now()); current && !stale || j.State.Final() {
			return j, changed, nil
		}
	}
}

// Watch sends a job when it has changed, at most four times a second. It closes the channel after the job or ctx has
// ended.
func (s *Views) Watch(ctx context.Context, id string) (<-chan Job, error) {
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
			if j.State.Final() {
				return
			}
			_ = pause.For(ctx, moment)
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

// maxPage bounds a page of a list.
const maxPage = 1000

// Jobs lists the jobs that the caller may see, latest first, and returns the cursor of the next page ("" = none).
func (s *Views) Jobs(ctx context.Context, who Caller, limit int, cursor string) ([]Job, string, error) {
	limit = min(max(limit, 1), maxPage)
	var ids []string
	first := s.Now().Add(-s.Keep - 48*time.Hour)
	for day := s.Now().Add(time.Hour); len(ids) <= limit && day.After(first); day = day.Add(-24 * time.Hour) {
		those, err := s.idsOf(ctx, who, day, cursor)
		if err != nil {
			return nil, "", err
		}
		ids = append(ids, those...)
	}
	next := ""
	if len(ids) > limit {
		ids, next = ids[:limit], ids[limit-1]
	}
	jobs := make([]Job, 0, len(ids))
	for _, id := range ids {
		j, err := s.Job(ctx, id, 0)
		if fault.KindOf(err) == fault.NoSuchJob {
			continue // it has just been deleted
		}
		if err != nil {
			return nil, "", err
		}
		jobs = append(jobs, j)
	}
	return jobs, next, nil
}

// idsOf lists the jobs of a day that the caller may see and that come after the cursor, latest first.
func (s *Views) idsOf(ctx context.Context, who Caller, day time.Time, cursor string) (ids []string, err error) {
	var unmarked []string // jobs of older versions and cancelled ones: only their records name the owner
	err = s.Store.List(ctx, Scan{Prefix: "job." + DayOf(day)}, func(r Record) bool {
		id := r.Key[strings.LastIndexByte(r.Key, '.')+1:]
		_, owner, known := strings.Cut(r.Mark, " ")
		switch {
		case cursor != "" && id >= cursor:
		case who.All || known && owner == OwnerMark(who.Name):
			ids = append(ids, id)
		case !known:
			unmarked = append(unmarked, id)
		}
		return true
	})
	if err != nil {
		return nil, err
	}
	for _, id := range unmarked {
		j, err := s.Job(ctx, id, 0)
		switch {
		case fault.KindOf(err) == fault.NoSuchJob: // it has just been deleted
		case err != nil:
			return nil, err
		case who.Owns(j.Token):
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	slices.Reverse(ids)
	return ids, nil
}
