package prewarm

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/goldcrest/goldcrest/fault"
	"github.com/goldcrest/goldcrest/prewarm/ledger"
	"github.com/goldcrest/goldcrest/prewarm/usage"
)

// retryTicket is the pause before a ticket is delivered again when the ledger did not respond.
const retryTicket = 5 * time.Second

// Time limits for writing verdicts; lastWords is the time after the drain when the process is stopping.
const (
	writeTimeout = 10 * time.Second
	lastWords    = time.Second
)

// draining returns a context that ends d after ctx, or when its cancel is called.
func draining(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	out, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() {
		late := time.NewTimer(d)
		defer late.Stop()
		select {
		case <-late.C:
			cancel()
		case <-out.Done():
		}
	})
	return out, func() { stop(); cancel() }
}

// work is the Handler of tickets: it works on one task. A ticket is done only when every verdict is on disk.
func (s *Service) work(ctx context.Context, t ledger.Ticket) (again time.Duration) {
	words := strings.Split(t.ID, ".")
	if len(words) != 3 {
		return 0
	}
	n, err := strconv.Atoi(words[1])
	if err != nil {
		return 0
	}
	again, err = s.workTask(ctx, words[0], n)
	switch {
	case err == nil:
		return again
	case fault.KindOf(err) == fault.NoSuchJob, errors.Is(err, ledger.ErrNoRecord):
		return 0 // the job has expired
	case ctx.Err() != nil:
		return time.Millisecond // the next process continues
	}
	s.deps.Log.Warn("a prewarm task could not be worked on; trying again", "job", words[0], "task", n, "error", err)
	return retryTicket
}

// attempt is one try of a task.
type attempt struct {
	s    *Service
	job  *ledger.JobRecord
	n    int
	task *ledger.Task
	// basis is Deps.Basis when the try began.
	basis string
	late  bool // an earlier try began the task and did not end: variants stored since may be its work

	view *ledger.View

	mu     sync.Mutex
	begun  bool                  // some image of the task was tried
	broken map[string]ledger.Bad // in this try, by the source's hash
	known  map[string]bool       // sources of which something is known to be broken, by hash
	judged map[judgement]int     // number of variants
}

// judgement is the key by which verdicts are counted.
type judgement struct {
	state ledger.State
	kind  fault.Kind
}

func (s *Service) workTask(ctx context.Context, id string, n int) (again time.Duration, err error) {
	v, err := s.View(ctx, id)
	if err != nil {
		return 0, err
	}
	t, err := ledger.TaskAt(ctx, s.deps.Ledger, id, n)
	if err != nil {
		return 0, err
	}
	a := &attempt{
		s: s, job: v.Record(), view: v, n: n, task: t, late: t.Running, basis: s.deps.Basis(),
		broken: map[string]ledger.Bad{}, known: map[string]bool{}, judged: map[judgement]int{},
	}
	if t.Ended() {
		return 0, s.finishIfDone(ctx, id)
	}
	if t.Plan >= len(a.job.Plans) {
		return 0, fault.New(fault.Internal, "prewarm.work", "an internal error", errors.New("a task names a plan that its job does not have"))
	}
	now := s.deps.Now().UTC()
	if state := v.Closing(now); state != "" {
		return 0, a.end(ctx, state, now)
	}
	if wait := a.wait(now); wait > 0 {
		return wait, nil
	}
	if err := ctx.Err(); err != nil {
		return 0, err // a worker that stops starts nothing
	}
	began := t.Started
	if err := a.begin(ctx, now); err != nil {
		return 0, err
	}
	if err := a.traced(ctx, began); err != nil {
		return 0, err
	}
	if t.Ended() {
		return 0, s.finishIfDone(ctx, id)
	}
	return max(a.wait(s.deps.Now()), time.Millisecond), nil
}

// wait is the time until an image of the task may be tried, at most until the deadline.
func (a *attempt) wait(now time.Time) time.Duration {
	wait := ledger.LongestPause
	for _, w := range a.task.Images {
		if w.Pending() {
			wait = min(wait, w.Due(now))
		}
	}
	if d := a.job.Deadline; !d.IsZero() {
		wait = min(wait, max(0, d.Sub(now)))
	}
	return wait
}

// begin records that the task is in progress, so that Cancel leaves it alone, and since when.
func (a *attempt) begin(ctx context.Context, now time.Time) error {
	if a.task.Running {
		return nil
	}
	a.task.Running = true
	if a.task.Started.IsZero() {
		a.task.Started = now
	}
	return a.write(ctx)
}

// end closes everything pending without working on it.
func (a *attempt) end(ctx context.Context, s ledger.State, now time.Time) error {
	a.task.Close(s, now)
	if err := a.write(ctx); err != nil {
		return err
	}
	return a.s.finishIfDone(ctx, a.job.ID)
}

// write writes the task. If another instance was faster, its verdicts count, and the rest is written again.
func (a *attempt) write(ctx context.Context) error {
	for {
		r, err := a.task.Record(a.job.ID, a.n)
		if err != nil {
			return err
		}
		err = a.s.deps.Ledger.Write(ctx, r)
		if err == nil {
			a.task.Revision = r.Revision
			a.s.Tallied(a.job.ID, a.n, r.Revision, a.task.Tally())
			return nil
		}
		if !errors.Is(err, ledger.ErrConflict) {
			return err
		}
		other, err := ledger.TaskAt(ctx, a.s.deps.Ledger, a.job.ID, a.n)
		if err != nil {
			return err
		}
		if len(other.Images) != len(a.task.Images) {
			return fault.New(fault.Internal, "prewarm.write", "an internal error", errors.New("a task's record belongs to another task"))
		}
		a.task.Merge(other)
	}
}

// record writes the verdicts, also those of a task that was interrupted. If no image was tried, the task is written as
// it was before; began is the time when work on it had first begun.
func (a *attempt) record(ctx context.Context, began time.Time) error {
	ctx, stop := draining(ctx, a.s.cfg.Drain+lastWords)
	defer stop()
	ctx, cancel := context.WithTimeout(ctx, writeTimeout)
	defer cancel()
	for hash, f := range a.broken {
		err := a.s.KeepKnown(ctx, hash, f)
		if err == nil && f.Listed {
			err = a.s.Remember(ctx, hash, a.job.Owner, f)
		}
		if err != nil {
			return err
		}
	}
	// It is still running if an image is due now: the next try must know that some variants may be made already.
	a.task.Running = !a.task.Ended() && a.wait(a.s.deps.Now()) == 0
	if !a.begun {
		a.task.Running, a.task.Started = a.late, began
	}
	// The feed must be updated before the task. Otherwise:
	//  1. The task is written, and was the job's last.
	//  2. Its owner learns that the job has ended.
	//  3. The owner still finds repaired sources in the feed.
	//  4. Only then are they removed from it.
	forgiven, err := a.forgive(ctx)
	if err == nil {
		err = a.write(ctx)
	}
	if err != nil {
		return err
	}
	a.s.events.Heard(a.job, a.task.Images)
	a.s.accounts.Add(a.job.Owner, usage.Of(a.task))
	for j, n := range a.judged {
		a.s.deps.Observer.Judged(string(j.state), string(j.kind), n)
	}
	return a.restore(ctx, forgiven)
}

// forgive removes repaired sources from the feed of broken ones.
func (a *attempt) forgive(ctx context.Context) (forgiven []*ledger.Image, err error) {
	for _, w := range a.task.Images {
		if !a.known[w.Hash] && a.job.Round == 0 || w.Hash == "" || slices.ContainsFunc(w.Verdicts, func(o *ledger.Outcome) bool { return o.State == ledger.Pending || o.State == ledger.Broken }) {
			continue
		}
		if err := errors.Join(a.s.Erase(ctx, "known."+w.Hash), a.s.Erase(ctx, "broken."+w.Hash)); err != nil {
			return nil, err
		}
		forgiven = append(forgiven, w)
	}
	return forgiven, nil
}

// restore puts sources back into the feed that a concurrent try, whose verdicts count, found broken meanwhile.
func (a *attempt) restore(ctx context.Context, forgiven []*ledger.Image) error {
	for _, w := range forgiven {
		at := slices.IndexFunc(w.Verdicts, w.IsBroken)
		if at < 0 {
			continue
		}
		o := w.Verdicts[at]
		found := ledger.Bad{BrokenSource: ledger.BrokenSource{Source: w.Told(), Reason: o.Reason, At: o.At}, Basis: a.basis}
		if err := a.s.Remember(ctx, w.Hash, a.job.Owner, found); err != nil {
			return err
		}
	}
	return nil
}
