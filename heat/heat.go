// Package heat counts how often each variant is viewed, and decides which are worth a slower encoder.
package heat

import (
	"hash/maphash"
	"math/bits"
	"sync"
	"sync/atomic"
	"time"
)

// The counter's memory: sets of cells, of 8 bytes each. A variant is counted in one cell of its set.
const (
	sets = 4096
	ways = 8
)

// halfLife is the time after which a view counts half.
const halfLife = 24 * time.Hour

// maxDue is the maximum number of keys that wait to be remade; beyond it some are dropped, and counted again from 0.
const maxDue = 1024

// Never is a number of views that is never reached.
const Never = 1<<16 - 1

// maxViews is the maximum count of a cell.
const maxViews = 1<<16 - 1

// Meter counts the results of remakes. Safe for concurrent use.
type Meter interface {
	// Lightened is called for each remake that was queued or dropped, and for each that left the queue: made, kept (it
	// would not have been smaller), present (another instance made it), gone (purged meanwhile) or failed. spared is
	// the number of bytes by which the variant shrank.
	Lightened(outcome string, spared int64)
}

// Counter counts views. When a set is full, the least viewed variant is dropped, and counted again from 0. Safe for
// concurrent use; a nil Counter counts nothing.
type Counter struct {
	prices *prices
	meter  Meter
	now    func() time.Time

	seed  maphash.Seed
	cells []atomic.Uint64 // see cell
	fades atomic.Int64    // when all views are halved next

	waiting atomic.Int32 // len(due)
	mu      sync.Mutex
	due     map[string]struct{}
}

// New makes a Counter; nil if hot variants are off.
func New(cfg Config, meter Meter, now func() time.Time) *Counter {
	if cfg.Hot != on {
		return nil
	}
	c := &Counter{
		prices: newPrices(cfg), meter: meter, now: now,
		seed: maphash.MakeSeed(), cells: make([]atomic.Uint64, sets*ways), due: map[string]struct{}{},
	}
	c.fades.Store(now().Add(halfLife).UnixNano())
	return c
}

// cell is the counter of a variant: 32 bits that distinguish it within its set, its views, and the views after which it
// is due.
type cell uint64

func newCell(mark uint32, views, needed int) cell {
	return cell(mark)<<32 | cell(views)<<16 | cell(needed)
}

func (c cell) mark() uint32 { return uint32(c >> 32) }
func (c cell) views() int   { return int(c >> 16 & maxViews) }
func (c cell) needed() int  { return int(c & Never) }

// viewed returns the cell after one more view, and whether that makes the variant due, which happens once.
func (c cell) viewed() (next cell, due bool) {
	views, needed := min(c.views()+1, maxViews), c.needed()
	if due = needed != Never && views >= needed; due {
		needed = Never
	}
	return newCell(c.mark(), views, needed), due
}

// place returns a variant's set, and its mark there. tag distinguishes successive entries of a key.
func (c *Counter) place(key, tag string) (set []atomic.Uint64, mark uint32) {
	h := maphash.String(c.seed, key) ^ bits.RotateLeft64(maphash.String(c.seed, tag), 32)
	at := int(h%sets) * ways
	return c.cells[at : at+ways], uint32(h>>32) | 1 // 0 is an empty cell.
}

// View counts a view. It returns false for a variant that is not counted yet: see Begin.
func (c *Counter) View(key, tag string) (known bool) {
	if c == nil {
		return true
	}
	set, mark := c.place(key, tag)
	for i := range set {
		for old := cell(set[i].Load()); old.mark() == mark; old = cell(set[i].Load()) {
			next, due := old.viewed()
			if next != old && !set[i].CompareAndSwap(uint64(old), uint64(next)) {
				continue
			}
			if due {
				c.wait(key)
			}
			return true
		}
	}
	return false
}

// Begin counts the first view of a variant that is due after needed views; Never = it is only counted.
func (c *Counter) Begin(key, tag string, needed int) {
	if c == nil {
		return
	}
	c.fade()
	set, mark := c.place(key, tag)
	least, old := 0, cell(set[0].Load())
	for i := 1; i < len(set); i++ {
		if x := cell(set[i].Load()); x.views() < old.views() {
			least, old = i, x
		}
	}
	next, due := newCell(mark, 0, needed).viewed()
	// If another goroutine was faster, the next view begins.
	if set[least].CompareAndSwap(uint64(old), uint64(next)) && due {
		c.wait(key)
	}
}

// fade halves all views once in a half-life.
func (c *Counter) fade() {
	now, at := c.now(), c.fades.Load()
	if now.UnixNano() < at || !c.fades.CompareAndSwap(at, now.Add(halfLife).UnixNano()) {
		return
	}
	for i := range c.cells {
		old := cell(c.cells[i].Load())
		next := newCell(old.mark(), old.views()/2, old.needed())
		if next.views() == 0 {
			next = 0
		}
		c.cells[i].CompareAndSwap(uint64(old), uint64(next)) // If a view comes between, the cell keeps its value.
	}
}

// Read returns the views of a variant, and after how many it is or was due; 0 and Never if it is not counted.
func (c *Counter) Read(key, tag string) (views, needed int) {
	if c == nil {
		return 0, Never
	}
	set, mark := c.place(key, tag)
	for i := range set {
		if x := cell(set[i].Load()); x.mark() == mark {
			return x.views(), x.needed()
		}
	}
	return 0, Never
}

// wait adds a key to those that are due.
func (c *Counter) wait(key string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for any := range c.due {
		if len(c.due) < maxDue {
			break
		}
		delete(c.due, any)
	}
	c.due[key] = struct{}{}
	c.waiting.Store(int32(len(c.due)))
}

// Due reports whether a key has enough views to be remade.
func (c *Counter) Due(key string) bool {
	if c == nil || c.waiting.Load() == 0 {
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	_, ok := c.due[key]
	return ok
}

// Take is Due, and removes the key from the due ones.
func (c *Counter) Take(key string) bool {
	if !c.Due(key) {
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	_, ok := c.due[key]
	delete(c.due, key)
	c.waiting.Store(int32(len(c.due)))
	return ok
}

// Needed is the number of views after which a slower encoder pays for a variant of these pixels and bytes.
func (c *Counter) Needed(pixels, bytes int64) int {
	if c == nil {
		return Never
	}
	return c.prices.needed(pixels, bytes)
}

// Remake is a variant that was made by the slower encoder.
type Remake struct {
	Pixels        int64
	CPU           time.Duration // processor time; 0 = not known
	Before, After int64         // its size in bytes
}

// Queued records that a due variant was queued for a remake, or dropped.
func (c *Counter) Queued(key, tag, outcome string) {
	if outcome == "dropped" {
		c.forget(key, tag)
	}
	c.meter.Lightened(outcome, 0)
}

// Done records the outcome of a queued remake. In any case counting starts again from 0.
func (c *Counter) Done(key, tag, outcome string, r Remake) {
	spared := int64(0)
	switch outcome {
	case "made":
		spared = r.Before - r.After
		c.prices.learn(r)
	case "kept":
		r.After = r.Before
		c.prices.learn(r)
	}
	c.forget(key, tag)
	c.meter.Lightened(outcome, spared)
}

// forget stops counting a variant.
func (c *Counter) forget(key, tag string) {
	set, mark := c.place(key, tag)
	for i := range set {
		if x := set[i].Load(); cell(x).mark() == mark {
			set[i].CompareAndSwap(x, 0)
		}
	}
}
