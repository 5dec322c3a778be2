package transform

import (
	"context"
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// SelfCheck has a separate worker of the lowest priority compare the encoders with those for which the automatic
// quality was fitted. The result is sent with every later picture, and is the same in every process with the same
// libraries.
func (p *Pool) SelfCheck(ctx context.Context) error {
	if !p.enter() {
		return shuttingDown()
	}
	defer p.calls.Done()
	c, err := p.launch.start(p.cfg.OriginalBytes)
	if err != nil {
		return fmt.Errorf("start a worker for the self-check: %w", err)
	}
	defer c.dispose()
	defer context.AfterFunc(p.life, c.kill)()
	defer context.AfterFunc(ctx, c.kill)()
	p.muster(c.pid, true)
	defer p.muster(c.pid, false)
	if err := c.idle(); err != nil {
		p.log.Warn("the self-check runs with the priority of other workers", "error", err)
	}
	d, err := p.selfCheck(c)
	if err != nil {
		return fmt.Errorf("the self-check of the encoders: %w", err)
	}
	p.drift.Store(&d)
	return nil
}

func (p *Pool) selfCheck(c *child) (Drift, error) {
	if err := c.greet(p.cfg.Build, max(startTimeout, p.cfg.Timeout)); err != nil {
		return nil, err
	}
	if err := p.inspect(c.hello.Sandbox); err != nil {
		return nil, err
	}
	if err := limitMemory(c.pid, p.cfg.ImageMemory+memorySlack); err != nil {
		return nil, err
	}
	_ = c.idle() // again, for threads that were being started at the first call
	return c.check(selfCheckPatience)
}

// selfCheckPatience is how long a self-check may take. It needs about a second of processor time, and runs after
// everything with a higher priority.
const selfCheckPatience = 5 * time.Minute

// Drift is the result of the last SelfCheck; nil before the first has ended.
func (p *Pool) Drift() Drift {
	if d := p.drift.Load(); d != nil {
		return *d
	}
	return nil
}

// limits are the bounds that are sent with each request.
func (p *Pool) limits() Limits {
	l := p.cfg.limits()
	l.Drift = p.Drift()
	return l
}

// idle sets the lowest priority for a worker.
func (c *child) idle() error { return unix.Setpriority(unix.PRIO_PGRP, c.pid, 19) }

// check has the worker check its encoders.
func (c *child) check(patience time.Duration) (Drift, error) {
	_ = c.socket.SetDeadline(time.Now().Add(patience))
	c.lastID++
	if err := send(c.socket, frame{Type: frameCheck, ID: c.lastID}); err != nil {
		return nil, err
	}
	f, err := receive(c.socket, c.buf)
	switch {
	case err != nil:
		return nil, err
	case f.Type != frameChecked || f.ID != c.lastID:
		return nil, fmt.Errorf("an unexpected %s frame", f.Type)
	case f.Fault != nil:
		return nil, f.Fault.err()
	case len(f.Drift) == 0 || !f.Drift.valid():
		return nil, fmt.Errorf("impossible corrections: %+v", f.Drift)
	}
	return f.Drift, nil
}
