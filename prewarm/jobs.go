package prewarm

import (
	"context"
	"errors"
	"slices"

	"github.com/goldcrest/goldcrest/prewarm/ledger"
	"github.com/goldcrest/goldcrest/prewarm/usage"
)

// Cancel cancels the parts of a job that have not been started.
func (s *Service) Cancel(ctx context.Context, id string) (ledger.Job, error) {
	err := s.ChangeJob(ctx, id, (*ledger.JobRecord).Abort)
	if err == nil {
		err = s.closeAll(ctx, id, ledger.Cancelled)
	}
	if err != nil {
		return ledger.Job{}, err
	}
	return s.Job(ctx, id, 0)
}

// Retry repeats what failed or was broken in a job. It counts towards the quota of the job's owner: quota_exceeded.
func (s *Service) Retry(ctx context.Context, id string) (ledger.Job, error) {
	j, err := s.ReadJob(ctx, id)
	if err != nil {
		return ledger.Job{}, err
	}
	images, err := s.retriable(ctx, id)
	if err != nil {
		return ledger.Job{}, err
	}
	c, err := s.accounts.Charge(ctx, j.Owner, map[string]int{id: j.Counts.DataUnits}, usage.Usage{Images: images})
	if err != nil {
		return ledger.Job{}, err
	}
	opened, err := s.retry(ctx, id, j)
	if opened {
		c.Accepted()
	} else {
		c.Refund()
	}
	if err != nil {
		return ledger.Job{}, err
	}
	return s.Job(ctx, id, 0)
}

// retriable counts the images that a retry would repeat, once for each place.
func (s *Service) retriable(ctx context.Context, id string) (images int64, err error) {
	err = s.EachTask(ctx, id, func(_ int, t *ledger.Task) error {
		for _, w := range t.Images {
			if slices.ContainsFunc(w.Verdicts, w.MayOpen) {
				images += int64(len(w.Spots))
			}
		}
		return nil
	})
	return images, err
}

// retry reopens what failed or was broken, and reports whether there was anything.
func (s *Service) retry(ctx context.Context, id string, j *ledger.JobRecord) (opened bool, err error) {
	// The job is made active first: if this process dies in the middle, tend continues.
	if err := s.Activate(ctx, id); err != nil {
		return false, err
	}
	err = s.EachTask(ctx, id, func(n int, t *ledger.Task) error {
		opened = opened || j.Ended && !t.Ended() // by a Retry that was interrupted
		for t.Open() {
			r, err := t.Record(id, n)
			if err != nil {
				return err
			}
			if err = s.deps.Ledger.Write(ctx, r); err == nil {
				s.Tallied(id, n, r.Revision, t.Tally())
				opened = true
				return nil
			}
			if !errors.Is(err, ledger.ErrConflict) {
				return err
			}
			if t, err = ledger.TaskAt(ctx, s.deps.Ledger, id, n); err != nil {
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

// reopen makes a job run again after its tasks were reopened, and puts tickets for them.
func (s *Service) reopen(ctx context.Context, id string) error {
	now := s.deps.Now()
	err := s.ChangeJob(ctx, id, func(j *ledger.JobRecord) bool {
		j.Reopen(now)
		return true
	})
	if err != nil {
		return err
	}
	if err := s.Activate(ctx, id); err != nil { // the instance that ended the job may have deleted that record
		return err
	}
	v, err := s.View(ctx, id)
	if err != nil {
		return err
	}
	return s.ticketAll(ctx, v)
}
