package server

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
)

// place is the room that the bodies of one call take in memory. It grows as bytes arrive, so that a body which is announced and
// does not come takes none. It belongs to one request.
type place struct {
	ctx   context.Context
	all   *semaphore.Weighted // of all callers
	own   *semaphore.Weighted // of this token
	unit  int64               // bytes
	units int64               // held
}

// enterIntake opens an empty place for the call's bodies. The caller must leave it; leaving twice is fine.
func (s *Server) enterIntake(ctx context.Context, who credential) *place {
	return &place{ctx: ctx, all: s.intake, own: who.room, unit: max(s.rules.Load().Prewarm.Limits.Body/intakeUnits, 1)}
}

// grow takes room for a body of n bytes so far. A call that finds none for a moment is refused: its caller can send it again.
func (p *place) grow(n int64) error {
	for p.units*p.unit < n {
		if err := p.take(); err != nil {
			return err
		}
	}
	return nil
}

func (p *place) take() error {
	ctx, cancel := context.WithTimeout(p.ctx, intakePatience)
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
	return fault.New(fault.RateLimited, "server.place", "too many calls are being read at this moment", nil)
}

// leave gives all room back.
func (p *place) leave() {
	p.all.Release(p.units)
	p.own.Release(p.units)
	p.units = 0
}

func newIntake() *semaphore.Weighted { return semaphore.NewWeighted(intakeRoom * intakeUnits) }

func newIntakeShare() *semaphore.Weighted { return semaphore.NewWeighted(intakeShare * intakeUnits) }
