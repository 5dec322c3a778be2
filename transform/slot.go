package transform

import (
	"context"
	"fmt"
	"time"
)

const (
	pingEvery   = 10 * time.Second // how often an idle worker is pinged
	pingTimeout = 5 * time.Second

	backoffFirst = 50 * time.Millisecond // after a worker that died before it was ready
	backoffLast  = 5 * time.Second

	growBytes = 128 << 20 // private memory that a worker may keep beyond what it had when it was ready
)

// slot keeps one worker alive and lends it to callers.
type slot struct {
	pool *Pool
	// next receives the worker: the queue of all callers, or the one caller whose worker has just crashed. That caller
	// gets the new worker, so that a bad picture does not crash a second one.
	next chan<- *child
	gone <-chan struct{} // closed when that caller has left; nil for the queue
	home chan<- *child   // the queue of all callers
	// wanted wakes a slot aside, which sleeps while there is no work; nil = the slot always has a worker.
	wanted <-chan struct{}
}

// queued returns to the queue of all callers.
func (s *slot) queued() { s.next, s.gone = s.home, nil }

// sleep waits until a caller wants a worker aside, or the pool closes. It does not wait if callers are already asking.
// One of them may have woken this slot before, for a worker that did not start, or that went to another caller and was
// worn out there.
func (s *slot) sleep() {
	if s.wanted == nil || s.next != s.home || s.pool.asking.Load() > 0 {
		return
	}
	select {
	case <-s.wanted:
	case <-s.pool.life.Done():
	}
}

// handback is what a borrower sends when it returns a worker.
type handback struct {
	cause  cause
	detail error
	again  chan<- *child // wants the new worker, until gone is closed
	gone   <-chan struct{}
}

// run fills the slot until the pool closes. If started is not nil, it receives the result of the first start. A first
// start that fails ends the slot.
func (s *slot) run(started chan<- error) {
	pause := backoffFirst
	for s.sleep(); s.pool.life.Err() == nil; s.sleep() {
		c, err := s.hire()
		if started != nil {
			started <- err
			if err != nil {
				return
			}
			started = nil
		}
		if err == nil {
			pause = backoffFirst
			s.lend(c)
			continue
		}
		if s.pool.life.Err() != nil {
			return
		}
		s.pool.log.Error("worker did not start", "error", err, "again_in", pause)
		select {
		case <-time.After(pause):
		case <-s.pool.life.Done():
		}
		pause = min(2*pause, backoffLast)
	}
}

// lend offers c to callers, one at a time, until it must be replaced.
func (s *slot) lend(c *child) {
	ping := time.NewTicker(s.pool.pingEvery)
	defer ping.Stop()
	for rest := 0; ; {
		select {
		case s.next <- c:
			h := s.await(c)
			s.queued()
			rest = 0
			if h.again != nil {
				s.next, s.gone = h.again, h.gone
			}
			if h.cause != causeNone {
				s.pool.retire(c, h.cause, h.detail)
				return
			}
		case <-s.gone:
			s.queued()
		case <-ping.C:
			if rest++; s.wanted != nil && rest > asideRest {
				s.pool.retire(c, causeUnused, nil)
				return
			}
			if !c.ping(s.pool.pingTimeout) {
				s.pool.retire(c, causeIdle, fmt.Errorf("no answer within %v", s.pool.pingTimeout))
				return
			}
		case <-c.exited:
			s.pool.retire(c, causeIdle, nil)
			return
		case <-s.pool.life.Done():
			s.pool.retire(c, causeClose, nil)
			return
		}
	}
}

// await waits for the borrower, and finds out whether the worker should be replaced. If the pool closes, it kills the
// worker, which ends the borrower's exchange.
func (s *slot) await(c *child) handback {
	select {
	case h := <-c.back:
		if h.cause == causeNone {
			h.cause = s.pool.worn(c)
		}
		return h
	case <-s.pool.life.Done():
		c.kill()
		h := <-c.back
		h.cause = causeClose
		return h
	}
}

// hire starts a worker for the slot.
func (s *slot) hire() (*child, error) {
	c, err := s.pool.hire()
	if err == nil && s.wanted != nil {
		s.pool.lower(c)
	}
	return c, err
}

// hire starts a worker and waits until it is ready.
func (p *Pool) hire() (*child, error) {
	begin := time.Now()
	c, err := p.launch.start(p.cfg.OriginalBytes)
	if err != nil {
		return nil, fmt.Errorf("start a worker: %w", err)
	}
	p.spawned.Add(1)
	stop := context.AfterFunc(p.life, c.kill)
	err = c.greet(p.cfg.Build, max(startTimeout, p.cfg.Timeout))
	stop()
	if err == nil {
		err = p.inspect(c.hello.Sandbox)
	}
	var private int64
	if err == nil {
		err = limitMemory(c.pid, p.cfg.ImageMemory+memorySlack)
	}
	if err == nil {
		_, private, err = usage(c.pid)
	}
	if err != nil {
		c.dispose()
		p.obs.WorkerEnded(string(causeStart))
		return nil, fmt.Errorf("start a worker: %w", err)
	}
	c.baseline = private
	p.versions.CompareAndSwap(nil, &c.hello.Versions)
	p.workers.Add(1)
	p.muster(c.pid, true)
	p.obs.WorkerStarted(time.Since(begin))
	return c, nil
}

// inspect checks the sandbox of a new worker; the first one is taken for all.
func (p *Pool) inspect(s Sandbox) error {
	s = s.merge(p.birth)
	if err := s.enforce(p.cfg.Sandbox); err != nil {
		return err
	}
	if p.sandbox.CompareAndSwap(nil, &s) {
		s.announce(p.log)
	}
	return nil
}

// worn reports whether a working worker should be replaced anyway.
func (p *Pool) worn(c *child) cause {
	c.served++
	if p.cfg.Recycle > 0 && c.served >= p.cfg.Recycle {
		return causeRecycle
	}
	if _, private, err := usage(c.pid); err == nil && private > c.baseline+growBytes {
		return causeMemory
	}
	return causeNone
}

// retire ends a worker and logs the reason, unless that is routine.
func (p *Pool) retire(c *child, why cause, detail error) {
	p.muster(c.pid, false)
	c.dispose()
	p.workers.Add(-1)
	p.obs.WorkerEnded(string(why))
	switch why {
	case causeClose, causeUnused:
		return
	case causeRecycle, causeMemory:
		p.recycled.Add(1)
		p.log.Debug("worker replaced", "pid", c.pid, "reason", string(why), "served", c.served)
		return
	case causeTimeout, causeCPU:
		p.killed.Add(1)
	default:
		p.crashes.Add(1)
	}
	p.log.Warn("worker ended", "pid", c.pid, "reason", string(why), "state", c.cmd.ProcessState.String(), "detail", detail, "said", c.words.String())
}
