package transform

import (
	"context"
	"fmt"
	"time"
)

const (
	pingEvery   = 10 * time.Second // how often an idle worker is asked whether it is still there
	pingTimeout = 5 * time.Second

	backoffFirst = 50 * time.Millisecond // after a worker that died before it was ready
	backoffLast  = 5 * time.Second

	growBytes = 128 << 20 // private memory that a worker may keep beyond what it had when it was ready
)

// slot keeps one worker alive and lends it out.
type slot struct {
	pool *Pool
	// next receives the worker: the queue of all callers, or the one caller whose worker has just crashed, which gets
	// the fresh one so that a bad picture does not take a second worker down.
	next chan<- *child
	gone <-chan struct{} // that caller has left; nil for the queue
	home chan<- *child   // the queue
	// wanted wakes a slot of a worker aside, which sleeps while nobody needs it; nil = the slot always has a worker.
	wanted <-chan struct{}
}

// queued returns to the queue of all callers.
func (s *slot) queued() { s.next, s.gone = s.home, nil }

// sleep waits until somebody wants a worker of a slot aside, or the pool closes. Who asks already may have woken this
// slot before, and must not wait for a worker that did not start, or that went to another and was worn out there.
func (s *slot) sleep() {
	if s.wanted == nil || s.next != s.home || s.pool.asking.Load() > 0 {
		return
	}
	select {
	case <-s.wanted:
	case <-s.pool.life.Done():
	}
}

// handback is what a borrower says when it gives a worker back.
type handback struct {
	cause  cause
	detail error
	again  chan<- *child // wants the fresh worker, until gone is closed
	gone   <-chan struct{}
}

// run fills the slot until the pool closes. The outcome of the very first start goes to started if that is not nil; a
// first start that fails ends the slot.
func (s *slot) run(started chan<- error) {
	defer s.pool.slots.Done()
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

// lend offers c to callers, one at a time, until it has to be replaced.
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
			if h.cause == causeNone {
				h.cause = s.pool.worn(c)
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

// await waits for the borrower. When the pool closes, the worker is killed under it, which ends its exchange.
func (s *slot) await(c *child) handback {
	select {
	case h := <-c.back:
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
	err = c.greet(p.cfg.Build)
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

// inspect looks at how a new worker is enclosed; the first one speaks for all.
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

// worn reports whether a worker that works well should be replaced all the same.
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

// retire ends a worker and tells the operator why, unless that is routine.
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
