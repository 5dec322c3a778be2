package access

import (
	"context"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/goldcrest/goldcrest/fault"
)

const (
	intakeRoom     = 8               // bodies of the greatest size that may be in memory at the same time
	intakeShare    = intakeRoom / 2  // of which one token may have so many
	intakeUnits    = 64              // how finely room is told: a body of the greatest size takes so many units
	intakePatience = 2 * time.Second // how long a body waits for room before its call is refused

	againPatience = 30 * time.Second // the same for a call that is accepted already

	variantBytes = 1024 // what one variant that a call asks for takes until the call is answered, with the garbage of it
)

// Place is the room that the bodies of one call take in memory. It grows as bytes arrive, so that a body which is
// announced and does not come takes none. It belongs to one request.
type Place struct {
	ctx   context.Context
	all   *semaphore.Weighted // of all callers
	own   *semaphore.Weighted // of this token
	unit  int64               // bytes
	body  int64               // of them there are
	asked int64               // bytes that the variants take which the call asks for
	units int64               // held

	patience time.Duration
}

// Grow takes room for a body of n bytes so far. A call that finds none for a moment is refused: its caller can send it
// Again.
func (p *Place) Grow(n int64) error {
	p.body = n
	return p.fit()
}

// Ask takes room for n variants, before they are built.
func (p *Place) Ask(n int) error {
	p.asked = int64(n) * variantBytes
	return p.fit()
}

// Keep gives the room back that exceeds n bytes, rounded down: small calls that wait hold none.
func (p *Place) Keep(n int64) {
	p.body, p.asked = n, 0
	if more := p.units - n/p.unit; more > 0 {
		p.release(more)
	}
}

// Again is ask for an accepted call whose answer is made anew: refused it would be sent again, so it waits for longer.
func (p *Place) Again(n int) error {
	p.patience = againPatience
	return p.Ask(n)
}

// fit takes the room that is missing. One call never takes more than the share of its token: it would wait for itself.
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

// Leave gives all room back.
func (p *Place) Leave() { p.release(p.units) }

func (p *Place) release(units int64) {
	p.all.Release(units)
	p.own.Release(units)
	p.units -= units
}

func newIntake() *semaphore.Weighted { return semaphore.NewWeighted(intakeRoom * intakeUnits) }

func newIntakeShare() *semaphore.Weighted { return semaphore.NewWeighted(intakeShare * intakeUnits) }
