package pipeline

import (
	"context"
	"fmt"
	"runtime/debug"
	"sync"
	"time"

	"github.com/goldcrest/goldcrest/fault"
	"github.com/goldcrest/goldcrest/pipeline/gate"
	"github.com/goldcrest/goldcrest/reach"
	"github.com/goldcrest/goldcrest/variant"
)

// fill makes one absent variant, shared by all callers that want it. ready is closed when answer or err is set, stored
// when the write to the store has ended too. A viewer waits for ready, Warm for stored.
type fill struct {
	fillName
	table  *fills
	spec   variant.Spec
	batch  *batch
	ready  chan struct{}
	stored chan struct{}

	// Written by the batch before ready is closed, read after that.
	answer Answer
	err    error
	// Why answer is an old entry instead of a new one; nil = it is not. A viewer gets the old entry, Warm the failure.
	failure error
	// Written before stored is closed, read after that.
	storeErr error
	// Used only by the batch's goroutine.
	published bool
	saving    bool
}

// fillName is a fill's key in the table. Callers share a fill only if their originals may come from the same hosts.
type fillName struct {
	key     string
	within  reach.Hosts
	refresh bool // separate from the fill that just answered with the old entry
}

// batch is a group of fills that one run makes from one original.
type batch struct {
	source  string
	within  reach.Hosts // hosts from which the original may come
	urgency *gate.Urgency
	fills   []*fill
	stage   variant.Stage
	refresh bool   // make variants even if entries exist
	upgrade bool   // a refresh that replaces only a first-stage entry
	kept    bool   // the old entry was kept, the new one was not smaller; written before its fill is published
	slot    func() // releases the fetch slot that the batch was started with; nil = none, or it was taken
	interest
}

// interest is who wants a batch. The table's mutex guards it.
type interest struct {
	wanted  int                // callers that wait for one of its fills, or want it without waiting
	callOff context.CancelFunc // cancels its wait; nil while it does not wait
	dropped bool               // the last caller left while it waited
	due     time.Time          // the latest deadline of its waiting viewers
	key     string             // id of the first viewer's signing key
	viewed  bool               // a viewer has joined
	paid    bool               // a caller is allowed to have it made
	tolls   []Toll             // tolls not asked yet; none is asked once paid is set
}

// order is the argument of join: variants of one source.
type order struct {
	source  string
	within  reach.Hosts
	keys    []string
	specs   []variant.Spec
	rank    gate.Rank
	stage   variant.Stage
	refresh bool
	upgrade bool
	due     time.Time // the viewer's deadline
	key     string    // the id of the viewer's signing key
	slot    func()    // passed to the batch, if one starts
	toll    Toll      // nil = no limit
}

// publish sets the answer for all waiting callers. Only the first call counts. A failed fill leaves the table before it
// is published, so that a retry is a new try.
func (f *fill) publish(a Answer, err error) {
	if f.published {
		return
	}
	f.published = true
	if err != nil {
		f.table.remove(f)
	}
	f.answer, f.err = a, err
	close(f.ready)
}

// answered reports whether the fill was published.
func (f *fill) answered() bool {
	select {
	case <-f.ready:
		return true
	default:
		return false
	}
}

// fills is the table of running fills.
//
// Why a fill looks the key up again (pipeline.lookUp) although its caller just missed it:
//  1. A looks up key K: miss.
//  2. B, which makes K, stores it and leaves the table.
//  3. A joins K, finds no fill, and would make K once more: a second fetch, a second encode.
//
// With the look-up inside the fill, step 3 finds what step 2 stored.
type fills struct {
	trusted func() bool // reports whether entries made before now may be served without asking the store
	mu      sync.Mutex
	byName  map[fillName]*fill
	running sync.WaitGroup
	closed  bool
}

// join returns the fill of each key, and starts one batch for keys that have no fill yet. led tells which fills are in
// that batch. If there are any, run is called in a new goroutine. join raises the urgency of existing fills to the
// order's rank, and counts the caller as waiting for each fill until quit.
func (t *fills) join(o order, run func(*batch)) (all []*fill, led []bool, err error) {
	b := &batch{
		source: o.source, within: o.within, urgency: gate.At(o.rank), stage: o.stage, refresh: o.refresh, upgrade: o.upgrade,
	}
	led = make([]bool, len(o.keys))
	t.mu.Lock()
	if t.closed {
		t.mu.Unlock()
		return nil, nil, fault.New(fault.ShuttingDown, "pipeline.join", "this server is shutting down", nil)
	}
	for i, key := range o.keys {
		name := fillName{key, o.within, o.refresh}
		f := t.byName[name]
		// An answered fill, like memory, may be older than a purge.
		if f == nil || o.rank == gate.Viewing && f.answered() && !t.trusted() {
			f = &fill{fillName: name, table: t, spec: o.specs[i], batch: b, ready: make(chan struct{}), stored: make(chan struct{})}
			t.byName[name] = f
			b.fills = append(b.fills, f)
			led[i] = true
		}
		f.batch.wanted++
		f.batch.owe(o.toll)
		if o.due.After(f.batch.due) {
			f.batch.due = o.due
		}
		if o.rank == gate.Viewing && !f.batch.viewed {
			f.batch.viewed, f.batch.key = true, o.key
		}
		all = append(all, f)
	}
	if len(b.fills) > 0 {
		b.slot = o.slot
		t.running.Add(1)
		go t.work(b, run)
	}
	t.mu.Unlock()
	for _, f := range all {
		f.batch.urgency.Raise(o.rank)
	}
	return all, led, nil
}

// work runs a batch and removes its fills from the table. A panic, or a run that did not publish, becomes an internal
// fault for all waiting callers. It never crashes the process.
func (t *fills) work(b *batch, run func(*batch)) {
	defer t.running.Done()
	defer func() {
		var cause error
		if r := recover(); r != nil {
			cause = fmt.Errorf("panic: %v\n%s", r, debug.Stack())
		}
		for _, f := range b.fills {
			f.publish(Answer{}, fault.New(fault.Internal, "pipeline.fill", "an internal error", cause))
			if !f.saving {
				t.leave(f)
			}
		}
	}()
	run(b)
}

// quit says that a caller that joined f no longer wants it. A batch that no caller wants is dropped while it waits for
// its original or for a worker; once a worker has begun, it runs to its end. A caller that joins while the last one
// quits never gets a dropped fill:
//  1. A's batch waits at a gate, and A is the only caller that wants it.
//  2. A hangs up and B requests the same key. Both need the table's lock.
//  3. If B is first, join finds the fill and B wants it too. A's quit sees B and drops nothing.
//  4. If A is first, quit counts down to zero, removes the fills from the table and marks the batch, all under one
//     lock. B's join finds no fill and starts its own.
//
// A slot that the gate grants at that moment is not lost. If acquire sees the end of its context first, it gives the
// slot back. Otherwise the batch does, because pass tells it that it was dropped.
func (t *fills) quit(f *fill) {
	t.mu.Lock()
	defer t.mu.Unlock()
	b := f.batch
	if b.wanted--; b.wanted == 0 && b.callOff != nil {
		t.drop(b)
	}
}

// drop cancels a batch. The lock is held.
func (t *fills) drop(b *batch) {
	b.dropped = true
	t.forget(b)
	if b.callOff != nil {
		b.callOff()
	}
}

// forget removes a batch from the table. The lock is held.
func (t *fills) forget(b *batch) {
	for _, f := range b.fills {
		if t.byName[f.fillName] == f {
			delete(t.byName, f.fillName)
		}
	}
}

// wait starts the part of a batch that quit may cancel by callOff. It returns false if every caller has already quit.
func (t *fills) wait(b *batch, callOff context.CancelFunc) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if b.wanted == 0 {
		t.drop(b)
		return false
	}
	b.callOff = callOff
	return true
}

// due returns the latest deadline of the viewers that wait for a batch, and the signing key that it is charged to.
func (t *fills) due(b *batch) (due time.Time, key string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return b.due, b.key
}

// pass ends that part. It returns false if the batch was dropped.
func (t *fills) pass(b *batch) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	b.callOff = nil
	return !b.dropped
}

// leave removes a fill from the table and wakes the callers that wait for the store.
func (t *fills) leave(f *fill) {
	t.remove(f)
	close(f.stored)
}

// remove removes a fill from the table, unless another fill has taken its place.
func (t *fills) remove(f *fill) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.byName[f.fillName] == f {
		delete(t.byName, f.fillName)
	}
}

// save runs write, which stores f's entry, in a new goroutine. f stays in the table until write returns.
func (t *fills) save(f *fill, write func() error) {
	f.saving = true
	t.running.Add(1)
	go func() {
		defer t.running.Done()
		defer t.leave(f)
		defer func() {
			if r := recover(); r != nil {
				f.storeErr = fmt.Errorf("panic while storing: %v\n%s", r, debug.Stack())
			}
		}()
		f.storeErr = write()
	}()
}

// settled waits until key is neither made nor stored by any fill that is not a refresh, or ctx ends.
func (t *fills) settled(ctx context.Context, key string) error {
	for f := t.making(key); f != nil; f = t.making(key) {
		select {
		case <-f.stored:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// making returns a fill of key that is not a refresh; nil = there is none.
func (t *fills) making(key string) *fill {
	t.mu.Lock()
	defer t.mu.Unlock()
	for name, f := range t.byName {
		if name.key == key && !name.refresh {
			return f
		}
	}
	return nil
}

// spawn runs work in a goroutine that close waits for. After close it does nothing.
func (t *fills) spawn(work func()) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.closed {
		t.running.Go(work)
	}
}

// close refuses new fills and waits until the running ones have ended, or ctx ends.
func (t *fills) close(ctx context.Context) error {
	t.mu.Lock()
	t.closed = true
	t.mu.Unlock()
	done := make(chan struct{})
	go func() {
		t.running.Wait()
		close(done)
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// inFlight is the number of fills in the table.
func (t *fills) inFlight() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.byName)
}

// Toll is called at most once for a viewer's miss, before the original is fetched. nil allows the variant to be made;
// an error is the viewer's answer. It is not called for variants that are stored or that another caller has paid for.
type Toll func() error

// owe records a caller's toll for a batch. A caller without a toll pays for all. The table's lock is held.
func (b *batch) owe(toll Toll) {
	if toll == nil {
		b.paid, b.tolls = true, nil
	} else if !b.paid {
		b.tolls = append(b.tolls, toll)
	}
}

// collect calls the tolls of the batch's callers until one allows it, so that no caller is refused for another's limit.
// If none does, the batch leaves the table under the lock under which that was found. So each caller that joined was
// asked, and each later caller starts its own batch.
func (t *fills) collect(b *batch) (err error) {
	for {
		t.mu.Lock()
		if b.paid {
			t.mu.Unlock()
			return nil
		}
		if len(b.tolls) == 0 {
			t.forget(b)
			t.mu.Unlock()
			return err
		}
		toll := b.tolls[0]
		b.tolls = b.tolls[1:]
		t.mu.Unlock()
		if err = toll(); err == nil {
			t.mu.Lock()
			b.paid, b.tolls = true, nil
			t.mu.Unlock()
			return nil
		}
	}
}
