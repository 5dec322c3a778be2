package prewarm

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/goldcrest/goldcrest/fault"
	"github.com/goldcrest/goldcrest/pipeline"
	"github.com/goldcrest/goldcrest/prewarm/ledger"
	"github.com/goldcrest/goldcrest/reach"
	"github.com/goldcrest/goldcrest/variant"
)

// judge converts the results of Warm to verdicts. It returns a failure, if any, retryable ones first.
func (a *attempt) judge(ctx context.Context, w *ledger.Image, at []int, all []pipeline.Warmed) error {
	now := a.s.deps.Now().UTC()
	var worst *fault.Error // of the retryable failures
	var failed error
	for i, m := range all {
		o := w.Verdicts[at[i]]
		f := fault.Of(m.Err)
		switch {
		case f == nil:
			w.Store(at[i], m.Meta, a.made(m), now)
			a.count(w, w.Verdicts[at[i]])
		case f.Kind == fault.ShuttingDown || ctx.Err() != nil && f.Kind == fault.Canceled:
			return context.Canceled // not the image's failure: it is tried again, and the try is not counted
		case !f.Kind.Retryable():
			*o = ledger.Outcome{State: ledger.Broken, Reason: f.Kind, At: now, Ours: true}
			if errors.Is(m.Err, reach.ErrBeyond) { // this depends on the job, not on the source
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
		w.Next = now.Add(min(pause+rand.N(pause/5+1), ledger.LongestPause))
		return worst
	}
	a.giveUp(w, now)
	return worst
}

// giveUp decides what is pending after the last try.
func (a *attempt) giveUp(w *ledger.Image, now time.Time) {
	for _, o := range w.Verdicts {
		if o.State != ledger.Pending {
			continue
		}
		*o = ledger.Outcome{State: ledger.Failed, Reason: o.Reason, At: now, Ours: true}
		if o.Reason == fault.SourceForbidden || o.Reason == fault.DNSFailed {
			o.State = ledger.Broken // after so many tries it is not temporary
		}
		a.note(w, o, variant.Ref{})
	}
}

// made decides whether a stored variant counts as made by this job: also if an earlier try of the task made it and
// could not record that.
func (a *attempt) made(m pipeline.Warmed) ledger.State {
	if m.Present && !(a.late && !m.Meta.Created.Before(a.task.Started.Truncate(time.Second))) {
		return ledger.Present
	}
	return ledger.Made
}

// note counts a verdict, and remembers a broken source or its broken variant.
func (a *attempt) note(w *ledger.Image, o *ledger.Outcome, ref variant.Ref) {
	a.count(w, o)
	if o.State != ledger.Broken {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	f := a.broken[w.Hash]
	if f.Whole {
		return
	}
	f.BrokenSource, f.Basis = ledger.BrokenSource{Source: w.Told(), Reason: o.Reason, At: o.At}, a.basis
	f.Listed = f.Listed || w.IsBroken(o)
	f.Failed(ref)
	a.broken[w.Hash] = f
}

// count counts a verdict, once for each place.
func (a *attempt) count(w *ledger.Image, o *ledger.Outcome) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, at := range w.Spots {
		a.judged[judgement{o.In(at), o.Reason}]++
	}
}
