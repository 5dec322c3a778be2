package pipeline

import (
	"context"
	"errors"

	"github.com/goldcrest/goldcrest/fault"
	"github.com/goldcrest/goldcrest/trace"
	"github.com/goldcrest/goldcrest/variant"
)

// jointKey tells which viewers' batches of one download may be made in one call to a worker: at the same stage, and as heavy, so that
// nobody waits for a picture that takes many times as long.
type jointKey struct {
	stage variant.Stage
	heavy bool
}

// rider is a batch whose variants are made in the call of another one, which decodes their original anyway. That one, the carrier, waits
// for its worker as it would alone; whoever comes meanwhile rides along. What may happen, under the table's lock:
//  1. B finds A waiting: it rides, and wants A's batch as a viewer would, so that A is not dropped when A's own viewers leave.
//  2. A gets its slot: pass closes the ride, and calls nobody off any more. Who comes later waits for a worker as a carrier of its own.
//  3. B's viewers leave before that: B gets off and quits A, which is dropped with its last rider if A's own viewers have left too.
//  4. They leave after it: the worker has begun, and B's variant is made and stored like any other that has been begun.
//  5. A is refused, or its time is up: its riders get off and wait for themselves.
//  6. The call fails as a whole: that may be one spec's fault, so all that was not made is made again by each batch alone.
type rider struct {
	run     *run
	todo    []*fill
	carrier *batch
	begun   bool          // the call began with it; guarded by the table's mutex
	off     chan struct{} // closed when the call begins
	done    chan struct{} // closed when the call ended, or the rider must get off
}

// board has r ride with a batch of its download that waits for a worker; nil = there is none, and r may carry others until it passes.
func (t *fills) board(r *run, k jointKey, todo []*fill) *rider {
	t.mu.Lock()
	defer t.mu.Unlock()
	if c := r.download.carriers[k]; c != nil {
		x := &rider{run: r, todo: todo, carrier: c, off: make(chan struct{}), done: make(chan struct{})}
		c.riders = append(c.riders, x)
		c.wanted++
		return x
	}
	if r.download.carriers == nil {
		r.download.carriers = map[jointKey]*batch{}
	}
	r.download.carriers[k] = r.b
	r.b.endRide = func() { delete(r.download.carriers, k) }
	return nil
}

// getOff takes a rider out of a call that has not begun. It is false where the call has.
func (t *fills) getOff(x *rider) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if x.begun {
		return false
	}
	c := x.carrier
	for i, other := range c.riders {
		if other == x {
			c.riders = append(c.riders[:i:i], c.riders[i+1:]...)
			if c.wanted--; c.wanted == 0 && c.callOff != nil {
				t.drop(c)
			}
			break
		}
	}
	return true
}

// strand has the riders of a call that will not be made get off.
func (t *fills) strand(b *batch) {
	t.mu.Lock()
	defer t.mu.Unlock()
	b.closeRide()
	for _, x := range b.riders {
		if !x.begun {
			close(x.done)
		}
	}
	b.riders = nil
}

// closeRide lets nobody board any more. The lock is held.
func (b *batch) closeRide() {
	if b.endRide != nil {
		b.endRide()
		b.endRide = nil
	}
}

// make waits for a worker and makes the variants, in the call of another batch where one waits already.
func (r *run) make(ctx, wanted context.Context, callOff context.CancelFunc, todo []*fill) {
	p := r.p
	r.waitFrom = p.parts.Now()
	seat := r.weighed(todo)
	if r.b.urgency.present() == viewing && r.first == nil {
		if x := p.fills.board(r, jointKey{r.b.stage, seat.heavy}, todo); x != nil {
			if todo = r.ride(wanted, callOff, seat, x); len(todo) == 0 {
				return
			}
		}
	}
	defer p.fills.strand(r.b)
	err := r.call(ctx, wanted, seat, todo)
	rest := unpublished(todo)
	if err != nil && len(rest) > 0 && r.joint {
		err = r.call(ctx, ctx, r.weighed(rest), rest)
		rest = unpublished(rest)
	}
	r.fail(rest, err)
}

// ride waits for the end of another batch's call and returns what r is still to make by itself.
func (r *run) ride(wanted context.Context, callOff context.CancelFunc, seat *piece, x *rider) []*fill {
	t := &r.p.fills
	_, span := trace.Start(wanted, "transform")
	span.Set("shared", "true") // The carrier records it.
	defer span.End("")
	begun := r.p.transforms.ride(seat.heavy)
	left := false
	select {
	case <-x.off:
	case <-x.done:
	case <-wanted.Done():
		left = t.getOff(x)
	}
	begun()
	if left {
		r.fail(x.todo, wanted.Err())
		return nil
	}
	<-x.done
	rest := unpublished(x.todo)
	if len(rest) > 0 && x.begun && !t.wait(r.b, callOff) {
		r.fail(rest, errUnwanted)
		return nil
	}
	return rest
}

// call waits for a worker and has it make todo, and what riders there are. An error stands for all that was not published.
func (r *run) call(ctx, wanted context.Context, seat *piece, todo []*fill) error {
	_, waiting := trace.Start(wanted, "queue")
	release, err := r.p.transforms.enter(wanted, seat)
	waiting.End(failure(err))
	if err != nil {
		return err
	}
	riders, ok := r.p.fills.pass(r.b)
	if !ok {
		release()
		return errUnwanted
	}
	r.joint, seat.batches = len(riders) > 0, 1+len(riders)
	defer func() {
		for _, x := range riders {
			close(x.done)
		}
	}()
	r.begin()
	for _, x := range riders {
		close(x.off)
		x.run.begin()
		todo = append(todo[:len(todo):len(todo)], x.todo...)
	}
	return r.transform(ctx, todo, release)
}

// begin notes that a worker has the batch.
func (r *run) begin() {
	r.transformFrom = r.p.parts.Now()
	r.timings.Queue += r.transformFrom.Sub(r.waitFrom)
	r.waitFrom = r.transformFrom
}

// unpublished are the fills that were not published yet.
func unpublished(todo []*fill) (rest []*fill) {
	for _, f := range todo {
		if !f.published {
			rest = append(rest, f)
		}
	}
	return rest
}

// errLeftOut says that a call ended well without one of its variants.
func errLeftOut() error {
	return fault.New(fault.Internal, "pipeline.transform", "an internal error", errors.New("the transform left a variant out"))
}
