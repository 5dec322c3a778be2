package origin

import (
	"context"
	"sync"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/goldcrest/goldcrest/fault"
)

// maxHosts is the number of idle hosts that are remembered.
const maxHosts = 4096

// hosts is the table of origin hosts: slots and circuit of each.
type hosts struct {
	now   func() time.Time
	slots int64

	mu    sync.Mutex
	known map[string]*host
}

type host struct {
	slots   *semaphore.Weighted
	using   int // callers that wait or fetch
	circuit circuit
}

// visit is one fetch's use of a host.
type visit struct {
	table *hosts
	name  string
	host  *host
	probe bool
	guest bool // without a slot
}

func newHosts(slots int, now func() time.Time) *hosts {
	return &hosts{now: now, slots: int64(slots), known: map[string]*host{}}
}

// enter waits for a slot of the host; it calls waits (if not nil) when there is none at once. The circuit is checked
// before and after the wait, since it may open meanwhile.
func (t *hosts) enter(ctx context.Context, name string, waits func()) (*visit, error) {
	h, err := t.join(name)
	if err != nil {
		return nil, err
	}
	if !h.slots.TryAcquire(1) {
		if waits != nil {
			waits()
		}
		err = h.slots.Acquire(ctx, 1)
	}
	if err != nil {
		t.quit(name, h)
		return nil, waited(err, "origin.enter", "too many fetches from this host are waiting")
	}
	v, err := t.pass(name, h)
	if err != nil {
		h.slots.Release(1)
	}
	return v, err
}

// call lets a fetch continue to the host of a redirect, if its circuit is closed. The fetch keeps the slot of its first
// host and takes none here: two hosts that redirect to each other would deadlock.
func (t *hosts) call(name string) (*visit, error) {
	h, err := t.join(name)
	if err != nil {
		return nil, err
	}
	v, err := t.pass(name, h)
	if err != nil {
		return nil, err
	}
	v.guest = true
	return v, nil
}

// pass begins a visit for a caller that has joined, or ends its use of the host if the circuit is open.
func (t *hosts) pass(name string, h *host) (*visit, error) {
	t.mu.Lock()
	wait := h.circuit.blocked(t.now())
	probe := wait == 0 && h.circuit.pass()
	t.mu.Unlock()
	if wait > 0 {
		t.quit(name, h)
		return nil, circuitOpen(wait)
	}
	return &visit{table: t, name: name, host: h, probe: probe}, nil
}

func (t *hosts) join(name string) (*host, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	h := t.known[name]
	if h == nil {
		if len(t.known) >= maxHosts {
			t.sweep()
		}
		h = &host{slots: semaphore.NewWeighted(t.slots)}
		t.known[name] = h
	}
	if wait := h.circuit.blocked(t.now()); wait > 0 {
		return nil, circuitOpen(wait)
	}
	h.using++
	return h, nil
}

// leave releases the slot and reports the result of the fetch to the circuit.
func (v *visit) leave(err error) {
	if !v.guest {
		v.host.slots.Release(1)
	}
	v.table.mu.Lock()
	v.host.circuit.learn(v.table.now(), v.probe, err)
	v.table.mu.Unlock()
	v.table.quit(v.name, v.host)
}

// quit removes a host that is idle and has no failures.
func (t *hosts) quit(name string, h *host) {
	t.mu.Lock()
	defer t.mu.Unlock()
	h.using--
	if h.using == 0 && h.circuit == (circuit{}) && t.known[name] == h {
		delete(t.known, name)
	}
}

// sweep removes every idle host. Its circuit closes early, which costs a few failing fetches at most.
func (t *hosts) sweep() {
	for name, h := range t.known {
		if h.using == 0 {
			delete(t.known, name)
		}
	}
}

func circuitOpen(wait time.Duration) error {
	f := fault.New(fault.OriginCircuitOpen, "origin.enter", "the origin is failing and is not called for now", nil)
	f.RetryAfter = wait
	return f
}

// waited turns the end of a wait for room into a fault: the caller left, or the wait was too long.
func waited(err error, op, public string) error {
	if err == context.Canceled {
		return fault.New(fault.Canceled, op, "the request was cancelled", err)
	}
	f := fault.New(fault.Overloaded, op, public, err)
	f.RetryAfter = time.Second
	return f
}

// resting is the number of hosts with an open circuit.
func (t *hosts) resting() (n int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, h := range t.known {
		if h.circuit.pause > 0 {
			n++
		}
	}
	return n
}
