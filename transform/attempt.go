package transform

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/goldcrest/goldcrest/fault"
	"github.com/goldcrest/goldcrest/variant"
)

// task is one call of Transform.
type task struct {
	original variant.Original
	specs    []variant.Spec
	stage    variant.Stage
	open     []int // specs that were not emitted yet
	emit     func(i int, img variant.Image, err error)
	release  func() // releases the admitted memory
	cpu      time.Duration
	need     int64 // upper bound of the bytes for decoding
	home     queue
	crashes  int    // of workers
	suspect  []byte // what a crash is blamed on: the original, or a hash of all pictures together
	left     bool   // the caller has left, the work continues and cleans up by itself
}

// Transform decodes original once and makes a variant for each spec, at the requested stage. It calls emit at most once
// per spec, from the calling goroutine, as each is ready. A non-nil error applies to every spec that was not emitted.
// original.Body is not read after Transform returns. If ctx ends before a worker was found, nothing is done. If it ends
// later, Transform returns at once while the worker finishes the picture, since killing the worker would cost more.
func (p *Pool) Transform(ctx context.Context, original variant.Original, specs []variant.Spec, stage variant.Stage, emit func(i int, img variant.Image, err error)) error {
	return p.run(ctx, &task{original: original, specs: specs, stage: stage, emit: emit, home: queue{from: p.ready}})
}

// run performs a task and reports the result to the observer.
func (p *Pool) run(ctx context.Context, t *task) error {
	begin := time.Now()
	err := p.transform(ctx, t)
	p.obs.Transformed(fault.KindOf(err), time.Since(begin), t.cpu)
	return err
}

func (p *Pool) transform(ctx context.Context, t *task) error {
	if !p.enter() {
		return shuttingDown()
	}
	defer func() {
		if !t.left {
			p.calls.Done()
		}
	}()
	if err := p.screen(t); err != nil || len(t.open) == 0 {
		return err
	}
	if err := p.poison.check(t.suspect); err != nil {
		return err
	}
	p.pulse.enter()
	defer p.pulse.leave()
	release, waited, err := p.memory.admit(ctx, t.need)
	if err != nil {
		return err
	}
	p.obs.Admitted(waited)
	t.release = release
	defer func() {
		if !t.left {
			release()
		}
	}()
	return p.attempts(ctx, t)
}

// screen refuses what the header alone forbids: the whole original by its error, single specs by emit.
func (p *Pool) screen(t *task) error {
	info, err := examine(t.original, p.cfg)
	if err != nil {
		return err
	}
	t.original.Info = info
	marks := marks{cfg: p.cfg, given: t.original.Marks, needed: map[string][]byte{}}
	for i, spec := range t.specs {
		frames, err := admissible(t.original, info, spec, p.cfg.limits())
		if err == nil {
			err = marks.need(spec.Watermark)
		}
		if err != nil {
			t.emit(i, variant.Image{}, err)
			continue
		}
		t.open = append(t.open, i)
		t.need = max(t.need, info.DecodedBytes(frames))
	}
	t.original.Marks, t.need = marks.needed, t.need+marks.memory
	t.suspect = suspectOf(t.original)
	return nil
}

// attempts works on the open specs until they are made or refused, or have crashed a worker twice.
func (p *Pool) attempts(ctx context.Context, t *task) error {
	for at := t.home; ; {
		c, err := p.borrow(ctx, at)
		if err != nil {
			return err
		}
		at = t.home
		if err := p.poison.check(t.suspect); err != nil { // others may have tried it while this call waited
			p.giveBack(c, handback{})
			return err
		}
		end, begun, err := p.attempt(ctx, c, t)
		if err != nil {
			return err
		}
		t.cpu += end.cpu
		if p.life.Err() != nil && end.cause != causeNone {
			p.giveBack(c, handback{cause: causeClose})
			return shuttingDown()
		}
		if !begun { // The worker died before it read the request: the picture is not to blame, and this was no try.
			p.giveBack(c, handback{cause: causeIdle, detail: end.detail})
			continue
		}
		if !p.again(t, end) {
			p.giveBack(c, handback{cause: end.cause, detail: end.detail})
			return p.conclude(t, end)
		}
		again := make(chan *child)
		p.giveBack(c, handback{cause: end.cause, detail: end.detail, again: again, gone: ctx.Done()})
		at = queue{from: again}
	}
}

// again counts a crash, and reports whether what is open is tried in another worker.
func (p *Pool) again(t *task, end ending) bool {
	if end.cause != causeCrash && end.cause != causeLie {
		return false
	}
	t.crashes++
	poisoned := p.poison.crash(t.suspect) || t.crashes >= poisonTries
	return !poisoned && len(t.open) > 0
}

// conclude returns the error of the last attempt.
func (p *Pool) conclude(t *task, end ending) error {
	if end.cause == causeNone {
		p.poison.forgive(t.suspect)
	}
	if len(t.open) == 0 {
		return nil
	}
	const op = "transform.Transform"
	switch {
	case end.cause == causeTimeout:
		return fault.New(fault.TransformTimeout, op, "the picture took too long to make", end.detail)
	case end.cause == causeCPU:
		return fault.New(fault.TooCostly, op, "the picture takes too much computing time", end.detail)
	case end.cause == causeCrash, end.cause == causeLie:
		return poisonFault(end.detail)
	case end.err != nil:
		return end.err
	}
	return fault.New(fault.Internal, op, "an internal error", fmt.Errorf("the codec left out %d specs", len(t.open)))
}

// queue is where callers wait for a worker.
type queue struct {
	from <-chan *child
	wake chan<- struct{} // wakes one of its slots, if one sleeps; nil = they never sleep
}

// borrow waits for a worker, in the order of the calls.
func (p *Pool) borrow(ctx context.Context, q queue) (*child, error) {
	if ctx.Err() != nil {
		return nil, contextFault(ctx)
	}
	if q.wake != nil {
		p.asking.Add(1)
		defer p.asking.Add(-1)
	}
	for {
		select {
		case c := <-q.from:
			p.busy.Add(1)
			return c, nil
		case q.wake <- struct{}{}:
			q.wake = nil
		case <-ctx.Done():
			return nil, contextFault(ctx)
		case <-p.life.Done():
			return nil, shuttingDown()
		}
	}
}

func (p *Pool) giveBack(c *child, h handback) {
	p.busy.Add(-1)
	c.back <- h
}

// attempt has c work on the open specs and emits the results. begun is false if the worker never read the request. An
// error means that the caller has left, or that no request could be made; the worker is then already handled.
func (p *Pool) attempt(ctx context.Context, c *child, t *task) (_ ending, begun bool, _ error) {
	o := order{original: t.original, specs: t.specs, stage: t.stage, todo: slices.Clone(t.open), limits: p.limits(), timeout: p.cfg.Timeout, cpu: p.cfg.CPU}
	o.limits.Memory = t.need
	packet, err := c.prepare(o)
	if err != nil {
		p.giveBack(c, handback{})
		return ending{}, false, fault.New(fault.Internal, "transform.Transform", "an internal error", err)
	}
	if err := c.begin(packet, o.timeout); err != nil {
		return ending{cause: causeIdle, detail: err}, false, nil
	}
	events := make(chan event, len(o.todo)) // has room for all: the exchange never waits for its caller
	var end ending                          // set before events is closed
	go func() {
		defer close(events)
		end = c.exchange(o, func(e event) {
			p.pulse.beat()
			events <- e
		})
		if end.cause == causeNone {
			p.pulse.beat()
		}
	}()
	ended := false
	defer func() {
		if !ended { // The caller has left, or its emit panicked: the work ends by itself and cleans up.
			t.left = true
			go p.outlive(c, t, events, &end)
		}
	}()
	for {
		select {
		case e, more := <-events:
			if !more {
				ended = true
				return end, true, nil
			}
			t.open = slices.DeleteFunc(t.open, func(i int) bool { return i == e.i })
			t.emit(e.i, e.img, e.err)
		case <-ctx.Done():
			return ending{}, true, contextFault(ctx)
		}
	}
}

// outlive waits for the end of work without a caller. A crash does not count against the original, whose memory may
// have been released by now.
func (p *Pool) outlive(c *child, t *task, events <-chan event, end *ending) {
	defer p.calls.Done()
	defer t.release()
	for range events {
	}
	p.giveBack(c, handback{cause: end.cause, detail: end.detail})
}

func shuttingDown() error {
	return fault.New(fault.ShuttingDown, "transform.Transform", "the server is shutting down", errors.New("the pool is closed"))
}
