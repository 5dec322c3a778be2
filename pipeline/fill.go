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

// fill is the making of one absent variant, shared by everybody who wants it. ready is closed when the answer (or err)
// is there, stored when the store's write ended as well: a viewer waits for the first, Warm for the second.
type fill struct {
	table  *fills
	name   fillName
	key    string
	spec   variant.Spec
	batch  *batch
	ready  chan struct{}
	stored chan struct{}

	// Written by the batch before ready is closed, read after it.
	answer Answer
	err    error
	// Why the answer is an old entry instead of a new one: a viewer is served by it, Warm is not. nil = it is none.
	failure error
	// Written before stored is closed, read after it.
	storeErr error
	// Guarded by being touched from the batch's goroutine alone.
	published bool
	saving    bool
}

// fillName is what a fill is known by in the table. Callers share one only where their originals may come from the same
// hosts.
type fillName struct {
	key     string
	within  reach.Hosts
	refresh bool // it is not to be mistaken for the fill that just answered with the old entry
}

// batch is the fills that one run makes from one original.
type batch struct {
	source  string
	within  reach.Hosts // that the original may come from
	urgency *gate.Urgency
	fills   []*fill
	stage   variant.Stage
	refresh bool   // remake although an entry exists
	upgrade bool   // a refresh that only replaces a first-stage entry, by a smaller one
	kept    bool   // that one was not larger; written before its fill is published
	slot    func() // gives back a fetch slot that the batch was started with; nil = none, or it was taken

	// Guarded by the table's mutex.
	wanted  int                // how many wait for one of its fills, or go on without waiting but want it all the same
	callOff context.CancelFunc // ends its waiting; nil while it does not wait
	dropped bool               // nobody wanted it any more while it waited
	due     time.Time          // the latest deadline of the viewers who wait for it
	key     string             // the id of the signing key that the first of them came with
	viewed  bool               // there was one
	paid    bool               // somebody who wants it may have it made
	tolls   []Toll             // of those who were not asked yet; nobody is once it is paid
}

// order is what join is asked for: the variants of one source.
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
	slot    func()    // handed to the batch, if one starts
	toll    Toll      // nil = what is ordered may be made
}

// publish hands the answer to everybody who waits. Only the first call counts. A failed fill leaves the table before
// anybody learns of it, so that a retry is a new try.
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

// fills is the table of what is being made now.
//
// Why a fill looks the key up again (pipeline.lookUp) although its caller just missed it:
//  1. A looks up key K: miss.
//  2. B, who makes K, stores it and leaves the table.
//  3. A joins K, finds no fill, and would make K once more: a second fetch, a second encode.
//
// With the look-up inside the fill, step 3 finds what step 2 stored.
type fills struct {
	trusted func() bool // whether what was made before now may be served without asking the store
	mu      sync.Mutex
	byName  map[fillName]*fill
	running sync.WaitGroup
	closed  bool
}

// join returns the fill of each key, starting one batch for those that nobody makes yet. led tells which are in that
// batch; run is called in a goroutine of its own when there is any. A join raises the urgency of what it finds to its
// own rank, and wants each fill until quit.
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
		// As memory, it may be from before a purge.
		if f == nil || o.rank == gate.Viewing && f.answered() && !t.trusted() {
			f = &fill{table: t, name: name, key: key, spec: o.specs[i], batch: b, ready: make(chan struct{}), stored: make(chan struct{})}
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

// work runs a batch and takes its fills out of the table. A panic becomes one internal fault for everybody who waits,
// and never a crash of the process; so does a run that forgot to publish.
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

// quit tells that somebody who joined f does not want it any more. A batch that nobody wants is dropped while it waits
// for its original or for a worker; what a worker has begun ends by itself. Whoever joins while the last one quits
// never gets a dropped fill:
//  1. A's batch waits at a gate, and A is the only one who wants it.
//  2. A hangs up and B asks for the same key. Both need the table's lock.
//  3. B is first: join finds the fill and wants it too. A's quit finds B, and drops nothing.
//  4. Or A is first: in one turn of the lock quit counts down to nobody, takes the fills out of the table and marks the
//     batch. B's join finds no fill there and begins its own.
//
// Nor is a slot lost that the gate grants at that moment: acquire gives it back if it saw the end of its context first,
// and else the batch does, which pass then tells that it was dropped.
func (t *fills) quit(f *fill) {
	t.mu.Lock()
	defer t.mu.Unlock()
	b := f.batch
	if b.wanted--; b.wanted == 0 && b.callOff != nil {
		t.drop(b)
	}
}

// drop calls a batch off. The lock is held.
func (t *fills) drop(b *batch) {
	b.dropped = true
	t.forget(b)
	if b.callOff != nil {
		b.callOff()
	}
}

// forget takes a batch out of the table. The lock is held.
func (t *fills) forget(b *batch) {
	for _, f := range b.fills {
		if t.byName[f.name] == f {
			delete(t.byName, f.name)
		}
	}
}

// wait begins the part of a batch that quit may call off by ending its context. It is false where everybody has quit
// already.
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

// due is the latest deadline of the viewers who wait for a batch, and the signing key that it is charged to.
func (t *fills) due(b *batch) (due time.Time, key string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return b.due, b.key
}

// pass ends that part. It is false where the batch was dropped.
func (t *fills) pass(b *batch) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	b.callOff = nil
	return !b.dropped
}

// leave takes a fill out of the table and tells those who wait for the store.
func (t *fills) leave(f *fill) {
	t.remove(f)
	close(f.stored)
}

// remove takes a fill out of the table, if it is still there and no other has taken its place.
func (t *fills) remove(f *fill) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.byName[f.name] == f {
		delete(t.byName, f.name)
	}
}

// save runs write, which stores f's entry, beside the batch; f stays in the table until it ended.
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

// settled waits until nobody makes or stores key any more but to refresh it, or ctx ends.
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

// making is a fill of key that refreshes nothing; nil = there is none.
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

// spawn runs work in a goroutine that close waits for. It does nothing once close was called.
func (t *fills) spawn(work func()) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.closed {
		t.running.Go(work)
	}
}

// close refuses new fills and waits until the running ones ended, or ctx.
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

// Toll is asked once, before the original is fetched, by a viewer's look-up that finds nothing: nil lets the variant be
// made, an error is the viewer's answer. What is stored, or what somebody else has made, costs nothing.
type Toll func() error

// owe notes who may pay for a batch. One who need not pay frees all the others. The table's lock is held.
func (b *batch) owe(toll Toll) {
	if toll == nil {
		b.paid, b.tolls = true, nil
	} else if !b.paid {
		b.tolls = append(b.tolls, toll)
	}
}

// collect asks those who want the batch until one of them may have it made, so that nobody is refused for another's
// limit. Where none may, the batch leaves the table in the same turn of the lock in which that is found: whoever joined
// before was asked, and whoever comes later begins a batch of their own.
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
