package pipeline

import (
	"context"
	"fmt"
	"runtime/debug"
	"strconv"
	"sync"
	"time"

	"github.com/goldcrest/goldcrest/cache"
	"github.com/goldcrest/goldcrest/fault"
	"github.com/goldcrest/goldcrest/origin"
	"github.com/goldcrest/goldcrest/pipeline/gate"
	"github.com/goldcrest/goldcrest/reach"
	"github.com/goldcrest/goldcrest/trace"
)

// originals collapses downloads: however many variants of one original are being made, from any door, it is fetched
// once. A download runs detached from the fills that wait for it and is dropped when the last of them is done with its
// bytes.
type originals struct {
	fetch   fetch
	gate    *gate.Gate
	timeout time.Duration
	purges  *cache.Purges

	mu    sync.Mutex
	byKey map[string]*download
}

// fetch gets what key names into d. It calls lim.Admit before it takes anything up.
type fetch func(ctx context.Context, d *download, key string, lim origin.Limits) error

// fetchOriginal has a Fetcher get originals, which name themselves. Those that are known to be costly are not fetched.
func fetchOriginal(from Fetcher, known func(source string, within reach.Hosts) error) fetch {
	return func(ctx context.Context, d *download, source string, lim origin.Limits) (err error) {
		if err := known(source, lim.Within); err != nil {
			return err
		}
		d.original, err = from.Fetch(ctx, source, lim)
		return err
	}
}

// download is one fetch and the original it gave.
type download struct {
	urgency *gate.Urgency
	done    chan struct{}
	users   int // guarded by originals.mu: fills that wait for or read the original
	cancel  context.CancelFunc

	generation cache.Generation // before which nothing of it was read

	claimed bool // a master is made of it, or was; guarded by masters.mu

	// Written before done is closed.
	original origin.Original
	master   *standIn // nil: it is the original itself
	err      error
	wait     time.Duration // spent before a fetch slot was free
	elapsed  time.Duration // spent fetching
}

// use says what an original is got for: the key of what is made of it, and the generation in which that began.
type use struct {
	key        string
	generation cache.Generation
}

// get returns the download of source once it ended, shared with everybody who wants it at the same time, and the
// function that gives it back, to be called exactly once when its bytes are no longer read. One that began before the
// key was purged is not shared, nor one that may go to other hosts: it may end in what this caller must not have, or in
// a refusal that is not this caller's. slot, if not nil, is a fetch slot that the caller already holds; get takes it
// over.
func (o *originals) get(ctx context.Context, source string, of use, lim origin.Limits, u *gate.Urgency, slot func()) (_ *download, _ func(), err error) {
	key := source + "\x00" + strconv.FormatInt(lim.Bytes, 10) + "\x00" + string(lim.Within)
	o.mu.Lock()
	d := o.byKey[key]
	joined := d != nil && !o.purges.Covered(of.key, d.generation)
	if !joined {
		fetchCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), o.timeout)
		d = &download{urgency: gate.At(u.Present()), done: make(chan struct{}), cancel: cancel, generation: of.generation}
		o.byKey[key] = d
		go o.run(fetchCtx, d, key, source, lim, slot)
		slot = nil
	}
	d.users++
	o.mu.Unlock()
	if slot != nil {
		slot()
	}
	u.OnRaise(d.urgency.Raise)
	if joined {
		_, span := trace.Start(ctx, o.gate.Name())
		span.Set("shared", "true") // Whoever began it records it.
		defer func() { span.End(failure(err)) }()
	}
	back := sync.OnceFunc(func() { o.giveBack(key, d) })
	select {
	case <-d.done:
	case <-ctx.Done():
		back()
		return nil, nil, ctx.Err()
	}
	if d.err != nil {
		back()
		return nil, nil, d.err
	}
	return d, back, nil
}

// run fetches; a panic becomes an internal fault.
func (o *originals) run(ctx context.Context, d *download, key, source string, lim origin.Limits, slot func()) {
	start := time.Now()
	_, step := trace.Start(ctx, "queue")
	defer func() {
		if r := recover(); r != nil {
			d.err = fault.New(fault.Internal, "pipeline.fetch", "an internal error", fmt.Errorf("panic: %v\n%s", r, debug.Stack()))
		}
		step.End(failure(d.err))
		if slot != nil { // Nothing was asked: the source was known to be bad.
			slot()
		}
		if d.err != nil { // A failed download is not joined: the next one who asks meets the origin's own negative table.
			o.mu.Lock()
			if o.byKey[key] == d {
				delete(o.byKey, key)
			}
			o.mu.Unlock()
		}
		close(d.done)
	}()
	lim.Admit = func(ctx context.Context) (release func(), err error) {
		if slot != nil {
			release, slot = slot, nil
		} else if release, err = o.gate.Acquire(ctx, d.urgency); err != nil {
			return nil, err
		}
		d.wait = time.Since(start)
		step.End("")
		_, step = trace.Start(ctx, o.gate.Name()) // fetch, or master
		return release, nil
	}
	lim.Waits = func() {
		if slot != nil {
			slot()
			slot = nil // Admit asks for another.
		}
	}
	d.err = o.fetch(ctx, d, source, lim)
	d.elapsed = time.Since(start) - d.wait
}

// giveBack drops one use; the last one ends the download and gives its memory back.
func (o *originals) giveBack(key string, d *download) {
	o.mu.Lock()
	d.users--
	last := d.users == 0
	if last && o.byKey[key] == d {
		delete(o.byKey, key)
	}
	o.mu.Unlock()
	if !last {
		return
	}
	d.cancel()
	go func() { // The fetch may still be on its way out after a cancellation.
		<-d.done
		if d.err == nil && d.original.Release != nil {
			d.original.Release()
		}
	}()
}
