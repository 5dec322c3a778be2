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

// judge turns what was made into verdicts. It returns what failed, if anything: first what may pass.
func (a *attempt) judge(ctx context.Context, w *ledger.Image, at []int, all []pipeline.Warmed) error {
	now := a.s.deps.Now().UTC()
	var worst *fault.Error // of the failures that may pass
	var failed error
	for i, m := range all {
		o := w.Verdicts[at[i]]
		f := fault.Of(m.Err)
		switch {
		case f == nil:
			w.Store(at[i], m.Meta, a.made(m), now)
			a.count(w, w.Verdicts[at[i]])
		case f.Kind == fault.ShuttingDown || ctx.Err() != nil && f.Kind == fault.Canceled:
			return context.Canceled // Not its fault: it is tried again, and not counted.
		case !f.Kind.Retryable():
			*o = ledger.Outcome{State: ledger.Broken, Reason: f.Kind, At: now, Ours: true}
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
		w.Next = now.Add(min(pause+rand.N(pause/5+1), ledger.LongestPause))
		return worst
	}
	for _, o := range w.Verdicts {
		if o.State != ledger.Pending {
			continue
		}
		*o = ledger.Outcome{State: ledger.Failed, Reason: o.Reason, At: now, Ours: true}
		if o.Reason == fault.SourceForbidden || o.Reason == fault.DNSFailed {
			o.State = ledger.Broken // After so many tries it will not pass.
		}
		a.note(w, o, variant.Ref{})
	}
	return worst
}

// made tells whether a stored variant is this job's work: also where an earlier go at the task made it and could not
// say so.
func (a *attempt) made(m pipeline.Warmed) ledger.State {
	if m.Present && !(a.late && !m.Meta.Created.Before(a.task.Started.Truncate(time.Second))) {
		return ledger.Present
	}
	return ledger.Made
}

// note counts a verdict, and remembers a source that is broken, or which variant of it.
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
