package transform

import (
	"context"

	"golang.org/x/sys/unix"

	"github.com/goldcrest/goldcrest/variant"
)

// asideBelow is added to the niceness of workers aside. On a core that they share with another worker they get a
// quarter of it, since the kernel weighs a niceness of 10 with 110 and one of 15 with 36 (sched_prio_to_weight in
// Linux' kernel/sched/core.c).
const asideBelow = 5

// asideRest is the number of pings without work after which a worker aside ends.
const asideRest = 3

// Aside makes heavy pictures in separate workers of lower priority, so that light pictures do not wait for them. It has
// one worker fewer than the pool, but at least one. Its workers start on demand and end after half a minute without
// work. Safe for concurrent use.
type Aside struct{ pool *Pool }

// Aside returns the pool's transformer for heavy pictures.
func (p *Pool) Aside() Aside { return Aside{p} }

// Transform is Pool.Transform in a worker aside.
func (a Aside) Transform(ctx context.Context, original variant.Original, specs []variant.Spec, stage variant.Stage, emit func(i int, img variant.Image, err error)) error {
	return a.pool.run(ctx, &task{original: original, specs: specs, stage: stage, emit: emit, home: queue{from: a.pool.aside, wake: a.pool.wanted}})
}

// lower reduces the priority of all threads of a worker. The worker is a process group of its own and started with the
// niceness of the others.
func (p *Pool) lower(c *child) {
	own, err := unix.Getpriority(unix.PRIO_PROCESS, c.pid)
	if err == nil {
		err = unix.Setpriority(unix.PRIO_PGRP, c.pid, min(20-own+asideBelow, 19)) // the call returns 20 - niceness
	}
	if err != nil {
		p.log.Warn("a worker for heavy pictures keeps its priority", "error", err)
	}
}
