package fetch

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/goldcrest/goldcrest/cache"
	"github.com/goldcrest/goldcrest/fault"
	"github.com/goldcrest/goldcrest/origin"
	"github.com/goldcrest/goldcrest/pipeline/gate"
	"github.com/goldcrest/goldcrest/trace"
)

// Group collapses downloads: however many want the same, from any door, it is got once. A download runs detached from
// those who wait for it and is dropped when the last of them is done with its bytes. Safe for concurrent use.
type Group[T any] struct {
	cfg GroupConfig[T]

	mu    sync.Mutex
	byKey map[string]*Download[T]
}

// GroupConfig says what a Group is made of.
type GroupConfig[T any] struct {
	// Get gets what is named so, and what gives its memory back; nil = nothing does. It calls lim.Admit before it takes
	// anything up.
	Get     func(ctx context.Context, name string, lim origin.Limits) (v T, release func(), err error)
	Gate    *gate.Gate
	Timeout time.Duration // of a download, with its wait for a slot
	Purges  *cache.Purges
}

// Download is one download and what it gave.
type Download[T any] struct {
	Value  T
	Waited time.Duration // before a slot was free
	Took   time.Duration // from there on

	urgency    *gate.Urgency
	done       chan struct{} // closed once the exported fields are written, and err and release
	cancel     context.CancelFunc
	generation cache.Generation // before which nothing of it was read
	users      int              // those who wait for it or read it; guarded by Group.mu
	err        error
	release    func()
	claimed    bool // see Supply
}

// NewGroup makes a Group.
func NewGroup[T any](cfg GroupConfig[T]) *Group[T] {
	return &Group[T]{cfg: cfg, byKey: map[string]*Download[T]{}}
}

// Gate is where downloads wait for a slot.
func (g *Group[T]) Gate() *gate.Gate { return g.cfg.Gate }

// Held is how many downloads run or are read.
func (g *Group[T]) Held() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.byKey)
}

// Get returns the download that ask.Source names once it ended, shared with everybody who wants it at the same time, and
// the function that gives it back, to be called when its bytes are no longer read. One that began before the key was
// purged is not shared.
func (g *Group[T]) Get(ctx context.Context, ask Ask) (_ *Download[T], back func(), err error) {
	key := ask.Source + "\x00" + strconv.FormatInt(ask.Limits.Bytes, 10) + "\x00" + string(ask.Limits.Within)
	if unless := ask.Limits.Unless; !unless.None() { // It may give no bytes.
		key += "\x00" + unless.String()
	}
	g.mu.Lock()
	d := g.byKey[key]
	joined := d != nil && !g.cfg.Purges.Covered(ask.Key, d.generation)
	if !joined {
		own, cancel := context.WithTimeout(context.WithoutCancel(ctx), g.cfg.Timeout)
		d = &Download[T]{urgency: gate.At(ask.Urgency.Present()), done: make(chan struct{}), cancel: cancel, generation: ask.Generation}
		g.byKey[key] = d
		go g.run(own, d, key, ask)
	}
	d.users++
	g.mu.Unlock()
	if joined && ask.Slot != nil {
		ask.Slot()
	}
	ask.Urgency.OnRaise(d.urgency.Raise)
	if joined {
		_, span := trace.Start(ctx, g.cfg.Gate.Name())
		span.Set("shared", "true") // Whoever began it records it.
		defer func() { span.End(failure(err)) }()
	}
	back = sync.OnceFunc(func() { g.giveBack(key, d) })
	select {
	case <-d.done:
		err = d.err
	case <-ctx.Done():
		err = ctx.Err()
	}
	if err != nil {
		back()
		return nil, nil, err
	}
	return d, back, nil
}

// run downloads; a panic becomes an internal fault.
func (g *Group[T]) run(ctx context.Context, d *Download[T], key string, ask Ask) {
	start, slot, lim := time.Now(), ask.Slot, ask.Limits
	_, step := trace.Start(ctx, "queue")
	defer func() {
		if r := recover(); r != nil {
			d.err = fault.New(fault.Internal, "fetch.run", "an internal error", fmt.Errorf("panic: %v\n%s", r, debug.Stack()))
		}
		step.End(failure(d.err))
		if slot != nil { // Nothing was asked: the source was known to be bad.
			slot()
		}
		if d.err != nil { // A failed download is not joined: the next one who asks meets the origin's own negative table.
			g.drop(key, d)
		}
		close(d.done)
	}()
	lim.Admit = func(ctx context.Context) (release func(), err error) {
		if slot != nil {
			release, slot = slot, nil
		} else if release, err = g.cfg.Gate.Acquire(ctx, d.urgency); err != nil {
			return nil, err
		}
		d.Waited = time.Since(start)
		step.End("")
		_, step = trace.Start(ctx, g.cfg.Gate.Name())
		return release, nil
	}
	lim.Waits = func() {
		if slot != nil {
			slot()
			slot = nil // Admit asks for another.
		}
	}
	d.Value, d.release, d.err = g.cfg.Get(ctx, ask.Source, lim)
	d.Took = time.Since(start) - d.Waited
}

// drop makes later callers get anew what d gave.
func (g *Group[T]) drop(key string, d *Download[T]) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.byKey[key] == d {
		delete(g.byKey, key)
	}
}

// Forget makes later callers get anew what is named so.
func (g *Group[T]) Forget(name string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for key := range g.byKey {
		if strings.HasPrefix(key, name+"\x00") {
			delete(g.byKey, key)
		}
	}
}

// giveBack drops one use; the last one ends the download and gives its memory back.
func (g *Group[T]) giveBack(key string, d *Download[T]) {
	g.mu.Lock()
	d.users--
	last := d.users == 0
	if last && g.byKey[key] == d {
		delete(g.byKey, key)
	}
	g.mu.Unlock()
	if !last {
		return
	}
	d.cancel()
	go func() { // The download may still be on its way out after a cancellation.
		<-d.done
		if d.err == nil && d.release != nil {
			d.release()
		}
	}()
}

// failure is how a step's span ends. What was not there is no failure.
func failure(err error) string {
	if err == nil || errors.Is(err, cache.ErrMiss) {
		return ""
	}
	return string(fault.KindOf(err))
}
