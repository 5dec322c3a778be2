package prewarm

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/goldcrest/goldcrest/fault"
	"github.com/goldcrest/goldcrest/pipeline"
	"github.com/goldcrest/goldcrest/reach"
	"github.com/goldcrest/goldcrest/variant"
)

// hiccup is when a ticket comes again after the ledger did not answer.
const hiccup = 5 * time.Second

// How long verdicts may take to be written; when the process is stopping, how long past the drain.
const (
	writeTimeout = 10 * time.Second
	lastWords    = time.Second
)

// draining is a context that ends d after ctx does, or when its cancel is called.
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

// work is the Handler of tickets: it works on one task. The ticket is done with only when every verdict is on disk.
func (s *Service) work(ctx context.Context, t Ticket) (again time.Duration) {
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
	case fault.KindOf(err) == fault.NoSuchJob, errors.Is(err, ErrNoRecord):
		return 0 // Its time is over.
	case ctx.Err() != nil:
		return time.Millisecond // Whoever is there next goes on.
	}
	s.deps.Log.Warn("a prewarm task could not be worked on; trying again", "job", words[0], "task", n, "error", err)
	return hiccup
}

// attempt is one go at a task.
type attempt struct {
	s    *Service
	job  *jobRecord
	n    int
	task *task
	plan *plan
	// basis is what was in force when the go began.
	basis string
	late  bool // the task was begun before, and not ended: what is stored since may be our own work

	view *view

	mu     sync.Mutex
	begun  bool                 // something of the task was tried
	broken map[string]badSource // now, by the source's hash
	known  map[string]bool      // sources that something is known against, by hash
	judged map[judgement]int    // variants
}

// judgement is what verdicts are counted by.
type judgement struct {
	state State
	kind  fault.Kind
}

func (s *Service) workTask(ctx context.Context, id string, n int) (again time.Duration, err error) {
	v, err := s.view(ctx, id)
	if err != nil {
		return 0, err
	}
	r, err := s.deps.Ledger.Read(ctx, taskKey(id, n))
	if err != nil {
		return 0, err
	}
	t, err := readTask(r)
	if err != nil {
		return 0, err
	}
	a := &attempt{
		s: s, job: v.record(), view: v, n: n, task: t, late: t.Running, basis: s.basis(),
		broken: map[string]badSource{}, known: map[string]bool{}, judged: map[judgement]int{},
	}
	if t.ended() {
		return 0, s.finishIfDone(ctx, id)
	}
	if t.Plan >= len(a.job.Plans) {
		return 0, fault.New(fault.Internal, "prewarm.work", "an internal error", errors.New("a task names a plan that its job has not"))
	}
	a.plan = a.job.Plans[t.Plan]
	now := s.deps.Now().UTC()
	switch {
	case a.job.Cancel:
		return 0, a.end(ctx, Cancelled, now)
	case a.expired(now):
		return 0, a.end(ctx, Expired, now)
	}
	if wait := a.wait(now); wait > 0 {
		return wait, nil
	}
	if err := ctx.Err(); err != nil {
		return 0, err // A worker that stops begins nothing.
	}
	began := t.Started
	if err := a.begin(ctx, now); err != nil {
		return 0, err
	}
	if err := a.traced(ctx, began); err != nil {
		return 0, err
	}
	if t.ended() {
		return 0, s.finishIfDone(ctx, id)
	}
	return max(a.wait(s.deps.Now()), time.Millisecond), nil
}

// record is the job's record as last read.
func (v *view) record() *jobRecord {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.job
}

func (a *attempt) expired(now time.Time) bool {
	return !a.job.Deadline.IsZero() && !now.Before(a.job.Deadline)
}

// longestPause bounds the wait for an image: more is due to a clock that was set back.
const longestPause = 2 * time.Hour

// due reports how long an image still has to wait; 0 = it may be tried.
func (w *work) due(now time.Time) time.Duration {
	if d := w.Next.Sub(now); d > 0 && d <= longestPause {
		return d
	}
	return 0
}

// wait is how long nothing of the task may be tried; the deadline ends all waiting.
func (a *attempt) wait(now time.Time) time.Duration {
	wait := longestPause
	for _, w := range a.task.Works {
		if w.pending() {
			wait = min(wait, w.due(now))
		}
	}
	if d := a.job.Deadline; !d.IsZero() {
		wait = min(wait, max(0, d.Sub(now)))
	}
	return wait
}

// begin writes down that the task is being worked on, so that Cancel leaves it alone, and since when.
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

// end settles everything that is pending without working on it.
func (a *attempt) end(ctx context.Context, s State, now time.Time) error {
	a.task.close(s, now)
	if err := a.write(ctx); err != nil {
		return err
	}
	return a.s.finishIfDone(ctx, a.job.ID)
}

// write writes the task. Where another was faster, its verdicts count, and the rest is written again.
func (a *attempt) write(ctx context.Context) error {
	for {
		r, err := a.task.record(a.job.ID, a.n)
		if err != nil {
			return err
		}
		err = a.s.deps.Ledger.Write(ctx, r)
		if err == nil {
			a.task.revision = r.Revision
			a.s.tallied(a.job.ID, a.n, r.Revision, a.task.tally())
			return nil
		}
		if !errors.Is(err, ErrConflict) {
			return err
		}
		r2, err := a.s.deps.Ledger.Read(ctx, taskKey(a.job.ID, a.n))
		if err != nil {
			return err
		}
		other, err := readTask(r2)
		if err != nil {
			return err
		}
		if len(other.Works) != len(a.task.Works) {
			return fault.New(fault.Internal, "prewarm.write", "an internal error", errors.New("a task has become another"))
		}
		a.task.merge(other)
	}
}

// tallied takes over what this instance has written itself, without waiting for the ledger to tell.
func (s *Service) tallied(job string, n int, revision uint64, t tally) {
	s.mu.Lock()
	v := s.views[job]
	s.mu.Unlock()
	if v != nil {
		v.apply(n, revision, t, s.deps.Now())
	}
}

// judge turns what was made into verdicts. It returns what failed, if anything: first what may pass.
func (a *attempt) judge(ctx context.Context, w *work, at []int, all []pipeline.Warmed) error {
	now := a.s.deps.Now().UTC()
	var worst *fault.Error // of the failures that may pass
	var failed error
	for i, m := range all {
		o := w.Verdicts[at[i]]
		f := fault.Of(m.Err)
		switch {
		case f == nil:
			w.store(at[i], m, a.made(m), now)
			a.count(w, w.Verdicts[at[i]])
		case f.Kind == fault.ShuttingDown || ctx.Err() != nil && f.Kind == fault.Canceled:
			return context.Canceled // Not its fault: it is tried again, and not counted.
		case !f.Kind.Retryable():
			*o = outcome{State: Broken, Reason: f.Kind, At: now, ours: true}
			if errors.Is(m.Err, reach.ErrBeyond) { // That is about this job, and not about the source.
				a.count(w, o)
			} else {
				a.note(w, o, m.Ref)
			}
			failed = f
		default:
			worst = f
			o.Reason = f.Kind
		}
	}
	if worst == nil {
		return failed
	}
	if w.Tries++; w.Tries <= len(a.s.cfg.Retry) {
		pause := max(a.s.cfg.Retry[w.Tries-1], worst.RetryAfter)
		w.Next = now.Add(min(pause+rand.N(pause/5+1), longestPause))
		return worst
	}
	for _, o := range w.Verdicts {
		if o.State != Pending {
			continue
		}
		*o = outcome{State: Failed, Reason: o.Reason, At: now, ours: true}
		if o.Reason == fault.SourceForbidden || o.Reason == fault.DNSFailed {
			o.State = Broken // After so many tries it will not pass.
		}
		a.note(w, o, variant.Ref{})
	}
	return worst
}

// made tells whether a stored variant is this job's work: also where an earlier go at the task made it and could not
// say so.
func (a *attempt) made(m pipeline.Warmed) State {
	if m.Present && !(a.late && !m.Meta.Created.Before(a.task.Started.Truncate(time.Second))) {
		return Present
	}
	return Made
}

// note counts a verdict, and remembers a source that is broken, or which variant of it.
func (a *attempt) note(w *work, o *outcome, ref variant.Ref) {
	a.count(w, o)
	if o.State != Broken {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	f := a.broken[w.Hash]
	if f.whole {
		return
	}
	f.BrokenSource, f.basis = BrokenSource{Source: w.told(), Reason: o.Reason, At: o.At}, a.basis
	f.listed = f.listed || w.isBroken(o)
	if f.whole = isWhole(o.Reason, ref.Spec); !f.whole {
		if f.variants == nil {
			f.variants = map[string]brokenVariant{}
		}
		f.variants[variantID(ref.Key())] = brokenVariant{o.Reason, o.At}
	}
	a.broken[w.Hash] = f
}

// isBroken reports whether an outcome is told as broken in any place of the image.
func (w *work) isBroken(o *outcome) bool {
	return slices.ContainsFunc(w.Spots, func(at spot) bool { return o.state(at) == Broken })
}

// count counts a verdict, once for each place.
func (a *attempt) count(w *work, o *outcome) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, at := range w.Spots {
		a.judged[judgement{o.state(at), o.Reason}]++
	}
}

// record writes the verdicts down, also those of a task that was stopped in the middle. A task of which nothing was
// begun is written as it was before; began is since when it had been worked on.
func (a *attempt) record(ctx context.Context, began time.Time) error {
	ctx, stop := draining(ctx, a.s.cfg.Drain+lastWords)
	defer stop()
	ctx, cancel := context.WithTimeout(ctx, writeTimeout)
	defer cancel()
	for hash, f := range a.broken {
		err := a.s.keepKnown(ctx, hash, f)
		if err == nil && f.listed {
			err = a.s.remember(ctx, hash, a.job.Owner, f)
		}
		if err != nil {
			return err
		}
	}
	// Still running where something is due now: what goes on with it must know that some may be made already.
	a.task.Running = !a.task.ended() && a.wait(a.s.deps.Now()) == 0
	if !a.begun {
		a.task.Running, a.task.Started = a.late, began
	}
	// The feed first: 1. the task is written, and was the job's last; 2. its owner hears that the job has ended; 3. and
	// finds in the feed what was mended; 4. which is only now taken off.
	forgiven, err := a.forgive(ctx)
	if err == nil {
		err = a.write(ctx)
	}
	if err != nil {
		return err
	}
	a.s.heard(a.job, a.task.Works)
	a.s.accounts.add(a.job.Owner, a.task.usage())
	for j, n := range a.judged {
		a.s.deps.Observer.Judged(string(j.state), string(j.kind), n)
	}
	return a.restore(ctx, forgiven)
}

// forgive takes sources that somebody mended off the feed of broken ones.
func (a *attempt) forgive(ctx context.Context) (forgiven []*work, err error) {
	for _, w := range a.task.Works {
		if !a.known[w.Hash] && a.job.Round == 0 || w.Hash == "" || slices.ContainsFunc(w.Verdicts, func(o *outcome) bool { return o.State == Pending || o.State == Broken }) {
			continue
		}
		if err := errors.Join(a.s.erase(ctx, "known."+w.Hash), a.s.erase(ctx, "broken."+w.Hash)); err != nil {
			return nil, err
		}
		forgiven = append(forgiven, w)
	}
	return forgiven, nil
}

// restore puts back what another go at the task, whose verdicts count, found broken meanwhile.
func (a *attempt) restore(ctx context.Context, forgiven []*work) error {
	for _, w := range forgiven {
		at := slices.IndexFunc(w.Verdicts, w.isBroken)
		if at < 0 {
			continue
		}
		o := w.Verdicts[at]
		found := badSource{BrokenSource: BrokenSource{Source: w.told(), Reason: o.Reason, At: o.At}, basis: a.basis}
		if err := a.s.remember(ctx, w.Hash, a.job.Owner, found); err != nil {
			return err
		}
	}
	return nil
}
