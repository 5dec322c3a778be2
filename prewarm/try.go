package prewarm

import (
	"context"
	"runtime/debug"
	"strconv"
	"sync"
	"time"

	"github.com/goldcrest/goldcrest/fault"
	"github.com/goldcrest/goldcrest/pipeline"
	"github.com/goldcrest/goldcrest/prewarm/ledger"
	"github.com/goldcrest/goldcrest/trace"
	"github.com/goldcrest/goldcrest/variant"
)

// traced is run and record, as a span of the call's trace if it has one.
func (a *attempt) traced(ctx context.Context, began time.Time) (err error) {
	ctx, span := trace.Resume(ctx, a.s.deps.Tracer, "task", a.job.Trace)
	span.Set("job", a.job.ID)
	span.Set("task", strconv.Itoa(a.n))
	span.Set("id", a.job.Request)
	defer func() { span.End(string(fault.KindOf(err))) }()
	a.run(ctx)
	return a.record(ctx, began)
}

// run tries every image that is due, concurrently as far as slots allow.
func (a *attempt) run(ctx context.Context) {
	var trying sync.WaitGroup
	for _, w := range a.task.Images {
		if w.Pending() && w.Due(a.s.deps.Now()) == 0 {
			trying.Go(func() {
				ctx, span := trace.Start(ctx, "image")
				span.Set("unit", strconv.Itoa(w.Spots[0].Unit))
				span.Set("source_host", hostOf(w.Told()))
				span.Set("source", w.Hash)
				kind := fault.KindOf(a.try(ctx, w))
				if kind == fault.Canceled { // nothing was tried, or not completely
					kind = ""
				}
				span.End(string(kind))
			})
		}
	}
	trying.Wait()
}

// try makes the missing variants of one image. It returns the failure, if any, and context.Canceled if nothing was
// tried. When ctx ends, work in progress has the drain time to finish, and nothing more is started.
func (a *attempt) try(ctx context.Context, w *ledger.Image) (failed error) {
	host := hostOf(w.Told())
	failed = context.Canceled
	leave, err := a.enter(ctx, host)
	if err != nil {
		return failed
	}
	defer func() { leave(failed) }()
	if ctx.Err() != nil { // the slot may have been granted during the shutdown
		return failed
	}
	a.mu.Lock()
	a.begun = true
	a.mu.Unlock()
	now := a.s.deps.Now().UTC()
	if state := a.view.Closing(now); state != "" {
		w.Close(state, "", now)
		return failed
	}
	refs, err := a.job.Plans[a.task.Plan].Refs(a.s.deps.Parser(), w.Source, w.Share, a.job.Within)
	if err != nil {
		w.Close(ledger.Broken, fault.KindOf(err), now)
		return failed
	}
	var at []int // the targets still pending
	for i, o := range w.Verdicts {
		if o.State == ledger.Pending {
			at = append(at, i)
		}
	}
	if at = a.answerKnown(ctx, w, refs, at); len(at) == 0 {
		return failed
	}
	for n, i := range at {
		refs[n] = refs[i]
	}
	if a.job.Round > 0 && w.Tries == 0 && a.s.deps.Forget != nil {
		a.s.deps.Forget(w.Source) // the retry says that it was repaired: ask the origin again
	}
	warm, done := draining(ctx, a.s.cfg.Drain)
	defer done()
	return a.judge(ctx, w, at, a.warm(warm, refs[:len(at)]))
}

// warm makes the variants of an image.
func (a *attempt) warm(ctx context.Context, refs []variant.Ref) (out []pipeline.Warmed) {
	if err := a.s.caught("making an image", func() { out = a.s.deps.Warm(ctx, refs) }); err != nil {
		out = make([]pipeline.Warmed, len(refs))
		for i, ref := range refs {
			out[i] = pipeline.Warmed{Ref: ref, Key: ref.Key(), Err: err}
		}
		return out
	}
	for _, m := range out {
		if m.Err != nil && fault.KindOf(m.Err) == fault.Internal { // a bug; no request line tells of it
			a.s.deps.Log.Error("an image met an internal error", "job", a.job.ID, "kind", string(fault.Internal),
				"error", fault.Redact(m.Err.Error()))
			break
		}
	}
	return out
}

// caught runs work and logs a panic in it. It is used in goroutines of this package, in which a panic would end the
// process.
func (s *Service) caught(what string, work func()) (err error) {
	defer func() {
		if r := recover(); r != nil {
			s.deps.Log.Error("a panic while "+what, "panic", r, "stack", string(debug.Stack()))
			err = fault.New(fault.Internal, "prewarm.caught", "an internal error", nil)
		}
	}()
	work()
	return nil
}

// enter waits for a slot of the image's host, and for one of the workers' slots. leave releases both.
func (a *attempt) enter(ctx context.Context, host string) (leave func(failed error), err error) {
	ctx, span := trace.Start(ctx, "queue")
	defer func() { span.End(string(fault.KindOf(err))) }()
	if err := a.s.hosts.acquire(ctx, host); err != nil {
		return nil, err
	}
	if err := a.s.slots.acquire(ctx, a.job.Lane); err != nil {
		a.s.hosts.release(host, err)
		return nil, err
	}
	return func(failed error) {
		a.s.slots.release()
		a.s.hosts.release(host, failed)
	}, nil
}

// answerKnown decides the targets at that are known to be broken, and returns the others. In a retry nothing counts as
// known.
func (a *attempt) answerKnown(ctx context.Context, w *ledger.Image, refs []variant.Ref, at []int) (left []int) {
	if a.job.Round > 0 {
		return at
	}
	k, r, err := a.s.ReadKnown(ctx, w.Hash)
	if err != nil || r.Revision == 0 {
		return at // asking the origin costs more, and is never wrong
	}
	a.mu.Lock()
	a.known[w.Hash] = true
	a.mu.Unlock()
	now := a.s.deps.Now().UTC()
	for _, i := range at {
		reason := k.Against(refs[i].Key(), now)
		if reason == "" || reason == fault.SourceForbidden && w.Shown != "" { // the source has a new link by now
			left = append(left, i)
			continue
		}
		*w.Verdicts[i] = ledger.Outcome{State: ledger.Broken, Reason: reason, At: now, Ours: true}
		a.count(w, w.Verdicts[i])
		if err := a.s.ShareFeed(ctx, w.Hash, a.job.Owner); err != nil {
			a.s.deps.Log.Warn("a broken source could not be shown to the owner of another job", "job", a.job.ID, "error", err)
		}
	}
	return left
}
