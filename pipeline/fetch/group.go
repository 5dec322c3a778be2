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

// Group collapses downloads: callers that want the same original at the same time share one download. A download is
// detached from its callers' contexts, and is cancelled when the last caller has given it back. Safe for concurrent
// use.
type Group[T any] struct {
	cfg GroupConfig[T]

	mu    sync.Mutex
	byKey map[string]*Download[T]
}

// GroupConfig is the configuration of a Group.
type GroupConfig[T any] struct {
	// Get downloads the named original. release frees its memory; nil = nothing to free. Get calls lim.Admit before it
	// uses any resource.
	Get     func(ctx context.Context, name string, lim origin.Limits) (v T, release func(), err error)
	Gate    *gate.Gate
	Timeout time.Duration // of a download, including its wait for a slot
	Purges  *cache.Purges
}

// Download is one download and its result.
type Download[T any] struct {
	Value  T
	Waited time.Duration // before a slot was free
	Took   time.Duration // from then on

	urgency    *gate.Urgency
	done       chan struct{} // closed when the exported fields, err and release are set
	cancel     context.CancelFunc
	generation cache.Generation // all bytes were read in this generation or later
	users      int              // callers that wait for it or read it; guarded by Group.mu
	err        error
	release    func()
	claimed    bool // see Supply
}

// NewGroup returns a Group.
func NewGroup[T any](cfg GroupConfig[T]) *Group[T] {
	return &Group[T]{cfg: cfg, byKey: map[string]*Download[T]{}}
}

// Gate is the gate of the fetch slots.
func (g *Group[T]) Gate() *gate.Gate { return g.cfg.Gate }

// Held is the number of downloads that run or are in use.
func (g *Group[T]) Held() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.byKey)
}

// Get returns the download of ask.Source when it has ended, shared with all callers that want it at the same time. The
// caller must call back when it no longer uses the bytes. A download that began before the key was purged is not
// shared.
func (g *Group[T]) Get(ctx context.Context, ask Ask) (_ *Download[T], back func(), err error) {
	key := ask.Source + "\x00" + strconv.FormatInt(ask.Limits.Bytes, 10) + "\x00" + string(ask.Limits.Within)
	if unless := ask.Limits.Unless; !unless.None() { // such a download may give no bytes
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
		span.Set("shared", "true") // The caller that started it records it.
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

// run downloads. A panic becomes an internal fault.
func (g *Group[T]) run(ctx context.Context, d *Download[T], key string, ask Ask) {
	start, slot, lim := time.Now(), ask.Slot, ask.Limits
	_, step := trace.Start(ctx, "queue")
	defer func() {
		if r := recover(); r != nil {
			d.err = fault.New(fault.Internal, "fetch.run", "an internal error", fmt.Errorf("panic: %v\n%s", r, debug.Stack()))
		}
		step.End(failure(d.err))
		if slot != nil { // Admit was not called: the source was known to be bad.
			slot()
		}
		if d.err != nil { // A failed download is not shared: the next caller gets the origin's own negative entry.
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

// drop makes later callers download again.
func (g *Group[T]) drop(key string, d *Download[T]) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.byKey[key] == d {
		delete(g.byKey, key)
	}
}

// Forget makes later callers download the named original again.
func (g *Group[T]) Forget(name string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for key := range g.byKey {
		if strings.HasPrefix(key, name+"\x00") {
			delete(g.byKey, key)
		}
	}
}

// giveBack removes one user. The last one cancels the download and frees its memory.
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
	go func() { // After a cancellation the download may still be running.
		<-d.done
		if d.err == nil && d.release != nil {
			d.release()
		}
	}()
}

// failure returns the result of a step's span. A miss is not a failure.
func failure(err error) string {
	if err == nil || errors.Is(err, cache.ErrMiss) {
		return ""
	}
	return string(fault.KindOf(err))
}
