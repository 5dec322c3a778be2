package transform

import (
	"context"

	"golang.org/x/sys/unix"

	"github.com/goldcrest/goldcrest/variant"
)

// asideBelow is how much more niceness workers aside get than the others have: beside one of those on the same core
// they get a quarter of it, since the kernel weighs a niceness of 10 with 110 and one of 15 with 36
// (sched_prio_to_weight in Linux' kernel/sched/core.c).
const asideBelow = 5

// asideRest is after how many pings without work a worker aside ends.
const asideRest = 3

// Aside makes pictures in workers of its own, beside those of its pool and of lower priority, so that what takes long
// does not hold up what does not. It has one worker fewer than the pool, but one at least; they start when they are
// wanted and end after half a minute without work. Safe for concurrent use.
type Aside struct{ pool *Pool }

// Aside is the pool's way to make what takes long.
func (p *Pool) Aside() Aside { return Aside{p} }

// Transform is Pool.Transform in a worker aside.
func (a Aside) Transform(ctx context.Context, original variant.Original, specs []variant.Spec, stage variant.Stage, emit func(i int, img variant.Image, err error)) error {
	return a.pool.run(ctx, &task{original: original, specs: specs, stage: stage, emit: emit, aside: true})
}

// openAside opens the slots of the workers aside, all of them asleep.
func (p *Pool) openAside() {
	for range max(p.cfg.Workers-1, 1) {
		p.slots.Add(1)
		go (&slot{pool: p, next: p.aside, home: p.aside, wanted: p.wanted}).run(nil)
	}
}

// lower takes priority from all threads of a worker, which is a process group of its own and was born with the niceness
// of the others.
func (p *Pool) lower(c *child) {
	own, err := unix.Getpriority(unix.PRIO_PROCESS, c.pid)
	if err == nil {
		err = unix.Setpriority(unix.PRIO_PGRP, c.pid, min(20-own+asideBelow, 19)) // The system call returns 20 - niceness.
	}
	if err != nil {
		p.log.Warn("a worker aside keeps its priority", "error", err)
	}
}
