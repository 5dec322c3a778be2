package access

import (
	"context"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/goldcrest/goldcrest/fault"
)

const (
	intakeRoom     = 8               // bodies of the maximum size that may be in memory at the same time
	intakeShare    = intakeRoom / 2  // how many of these one token may have
	intakeUnits    = 64              // granularity: a body of the maximum size takes this many units
	intakePatience = 2 * time.Second // how long a body waits for memory before its call is refused

	againPatience = 30 * time.Second // the same for a call that is accepted already

	variantBytes = 1024 // memory per requested variant until the response is sent, garbage included
)

// Place is the memory for the bodies of one call. It grows as bytes arrive, so a body that is announced but not sent
// takes none. It belongs to one request.
type Place struct {
	ctx   context.Context
	all   *semaphore.Weighted // of all callers
	own   *semaphore.Weighted // of this token
	unit  int64               // bytes
	body  int64               // bytes of the body so far
	asked int64               // bytes for the requested variants
	units int64               // held

	patience time.Duration
}

// Grow reserves memory for a body of n bytes so far. If none is free within intakePatience, the call is refused: its
// caller can retry.
func (p *Place) Grow(n int64) error {
	p.body = n
	return p.fit()
}

// Ask reserves memory for n variants, before they are built.
func (p *Place) Ask(n int) error {
	p.asked = int64(n) * variantBytes
	return p.fit()
}

// Keep releases memory beyond n bytes, rounded down: small calls that wait hold none.
func (p *Place) Keep(n int64) {
	p.body, p.asked = n, 0
	if more := p.units - n/p.unit; more > 0 {
		p.release(more)
	}
}

// Again is Ask for an accepted call whose response is made again. A refusal would be sent again, so it waits longer.
func (p *Place) Again(n int) error {
	p.patience = againPatience
	return p.Ask(n)
}

// fit reserves what is missing. One call never takes more than its token's share, or it would wait for itself.
func (p *Place) fit() error {
	for p.units*p.unit < p.body+p.asked && p.units < intakeShare*intakeUnits {
		if err := p.take(); err != nil {
			return err
		}
	}
	return nil
}

func (p *Place) take() error {
	ctx, cancel := context.WithTimeout(p.ctx, p.patience)
	defer cancel()
	err := p.own.Acquire(ctx, 1)
	if err == nil {
		if err = p.all.Acquire(ctx, 1); err != nil {
			p.own.Release(1)
		}
	}
	switch {
	case err == nil:
		p.units++
		return nil
	case p.ctx.Err() != nil:
		return p.ctx.Err()
	}
	return fault.New(fault.RateLimited, "access.Place", "too many calls are being read at this moment", nil)
}

// Leave releases all memory.
func (p *Place) Leave() { p.release(p.units) }

func (p *Place) release(units int64) {
	p.all.Release(units)
	p.own.Release(units)
	p.units -= units
}

func newIntake() *semaphore.Weighted { return semaphore.NewWeighted(intakeRoom * intakeUnits) }

func newIntakeShare() *semaphore.Weighted { return semaphore.NewWeighted(intakeShare * intakeUnits) }
