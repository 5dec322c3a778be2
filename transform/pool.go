// Package transform runs transforms in a pool of worker processes. It does not depend on HTTP, caches or cgo.
package transform

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"image"
	"image/png"
	"log/slog"
	"maps"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/goldcrest/goldcrest/fault"
	"github.com/goldcrest/goldcrest/variant"
)

// memorySlack is the address space that a worker may use beyond the decoded pixels: encoders, thread stacks, Go's heap.
const memorySlack = 512 << 20

// Pool runs transforms in worker processes. Safe for concurrent use.
type Pool struct {
	cfg    Config
	obs    Observer
	log    *slog.Logger
	launch *launcher
	memory *admission
	poison *poison
	pulse  pulse
	doors
	lifetime
	staff
}

// doors are where callers wait for idle workers, in order of arrival.
type doors struct {
	ready  chan *child
	aside  chan *child   // for workers aside
	wanted chan struct{} // wakes one of those
	asking atomic.Int64  // callers that wait for one
}

// lifetime ends with Close.
type lifetime struct {
	life                               context.Context
	end                                context.CancelFunc
	slots                              sync.WaitGroup
	mu                                 sync.Mutex // orders calls.Add before Close's calls.Wait
	calls                              sync.WaitGroup
	checks                             atomic.Uint64
	probing                            *probe        // the current probe, guarded by mu; nil = none
	pingEvery, pingTimeout, startGrace time.Duration // tests shorten them
}

// staff are the workers: who they are, what became of them, what they have reported.
type staff struct {
	crewMu                             sync.Mutex
	crew                               map[int]struct{} // process ids of those that are ready
	workers, busy                      atomic.Int64
	spawned, crashes, killed, recycled atomic.Int64
	birth                              error // why workers lack their first sandbox layer; set before the first one
	sandbox                            atomic.Pointer[Sandbox]
	versions                           atomic.Pointer[map[string]string]
	drift                              atomic.Pointer[Drift]
}

// Observer is told what the pool does. The composition root connects it to metrics. All methods are safe for concurrent
// use.
type Observer interface {
	// WorkerStarted is called when a worker is ready, with the duration of its start.
	WorkerStarted(took time.Duration)
	// WorkerEnded is called once per worker that ended: crash, lie, timeout, cpu, panic, idle, start, recycle, memory,
	// unused, close.
	WorkerEnded(reason string)
	// Transformed is called once per Transform, with the kind of its error ("" = none), its wall time and the processor
	// time of its workers, as far as known.
	Transformed(kind fault.Kind, wall, cpu time.Duration)
	// Admitted is called when a picture was admitted, with the time that it waited for memory.
	Admitted(waited time.Duration)
}

// Stats is a snapshot of the pool.
type Stats struct {
	Workers  int   // alive and ready, idle or busy
	Busy     int   // making a picture
	Spawned  int64 // processes started since Open
	Crashes  int64 // workers that died, panicked, stopped responding or broke the protocol
	Killed   int64 // workers killed at a deadline or at their processor budget
	Recycled int64 // workers replaced after their number of requests or because of their memory
	Bytes    int64 // decoded bytes of the pictures in work, as estimated from their headers
}

// Open starts the workers. It returns when the first one is ready, and fails if that one does not start; the others
// follow. ctx bounds only the start. obs and log may be nil.
func Open(ctx context.Context, cfg Config, obs Observer, log *slog.Logger) (*Pool, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	p := newPool(cfg, obs, log)
	if err := p.open(ctx); err != nil {
		return nil, fmt.Errorf("transform.Open: %w", err)
	}
	return p, nil
}

func newPool(cfg Config, obs Observer, log *slog.Logger) *Pool {
	if cfg.Workers == 0 {
		cfg.Workers = runtime.GOMAXPROCS(0)
	}
	if obs == nil {
		obs = unobserved{}
	}
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &Pool{
		cfg: cfg, obs: obs, log: log, memory: newAdmission(cfg.ImageMemory), poison: newPoison(time.Now), pulse: pulse{now: time.Now},
		doors: doors{ready: make(chan *child), aside: make(chan *child), wanted: make(chan struct{})},
		staff: staff{crew: map[int]struct{}{}}, lifetime: lifetime{pingEvery: pingEvery, pingTimeout: pingTimeout, startGrace: startGrace},
	}
}

func (p *Pool) open(ctx context.Context) (err error) {
	if p.launch, err = newLauncher(p.cfg, p.log); err != nil {
		return err
	}
	p.birth = <-p.launch.birth
	p.life, p.end = context.WithCancel(context.Background())
	started := make(chan error, 1)
	p.slots.Go(func() { (&slot{pool: p, next: p.ready, home: p.ready}).run(started) })
	select {
	case err = <-started:
	case <-ctx.Done():
		err = ctx.Err()
	}
	if err == nil {
		err = p.tryMark(ctx)
	}
	if err != nil {
		return errors.Join(err, p.Close())
	}
	for range p.cfg.Workers - 1 {
		p.slots.Go(func() { (&slot{pool: p, next: p.ready, home: p.ready}).run(nil) })
	}
	for range max(p.cfg.Workers-1, 1) { // they all sleep at first
		p.slots.Go(func() { (&slot{pool: p, next: p.aside, home: p.aside, wanted: p.wanted}).run(nil) })
	}
	return nil
}

// Close kills the workers and waits until they have ended. Pictures in work end as shutting_down.
func (p *Pool) Close() error {
	p.mu.Lock()
	closed := p.life.Err() != nil
	p.end()
	p.mu.Unlock()
	p.slots.Wait()
	p.calls.Wait()
	if !closed {
		p.launch.close()
	}
	return nil
}

// enter registers a call that Close waits for; false if the pool is closed.
func (p *Pool) enter() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.life.Err() != nil {
		return false
	}
	p.calls.Add(1)
	return true
}

// Size is the number of workers that the pool keeps, ready or not, and so the maximum of pictures in work.
func (p *Pool) Size() int { return p.cfg.Workers }

// Stats returns a snapshot for metrics and the console.
func (p *Pool) Stats() Stats {
	return Stats{Workers: int(p.workers.Load()), Busy: int(p.busy.Load()), Spawned: p.spawned.Load(), Crashes: p.crashes.Load(),
		Killed: p.killed.Load(), Recycled: p.recycled.Load(), Bytes: p.memory.used.Load()}
}

// Memory is the memory of the workers in bytes, without the memory that they share with this process.
func (p *Pool) Memory() (sum int64) {
	p.crewMu.Lock()
	defer p.crewMu.Unlock()
	for pid := range p.crew {
		if _, private, err := usage(pid); err == nil { // otherwise it has just ended
			sum += private
		}
	}
	return sum
}

// muster records that a worker is ready, or has ended.
func (p *Pool) muster(pid int, ready bool) {
	p.crewMu.Lock()
	defer p.crewMu.Unlock()
	if ready {
		p.crew[pid] = struct{}{}
	} else {
		delete(p.crew, pid)
	}
}

// Versions returns the versions of the codec libraries, as the first worker reported them.
func (p *Pool) Versions() map[string]string {
	if v := p.versions.Load(); v != nil {
		return maps.Clone(*v)
	}
	return nil
}

// Sandbox returns the sandbox of the workers, as the first one reported it.
func (p *Pool) Sandbox() Sandbox {
	if s := p.sandbox.Load(); s != nil {
		return *s
	}
	return Sandbox{Off: true}
}

// Forget clears the originals that crashed workers; they are tried again.
func (p *Pool) Forget() { p.poison.clear() }

// Check makes a tiny picture in a worker, like any request.
func (p *Pool) Check(ctx context.Context) error { return p.check(ctx, variant.Watermark{}) }

func (p *Pool) check(ctx context.Context, mark variant.Watermark) error {
	var original bytes.Buffer
	pixels := image.NewGray(image.Rect(0, 0, 16, 16))
	binary.BigEndian.PutUint64(pixels.Pix, p.checks.Add(1)) // a new picture: a crash must not make the next one poison
	if err := png.Encode(&original, pixels); err != nil {
		return err
	}
	var own error
	specs := []variant.Spec{{Width: 8, Format: variant.JPEG, Quality: 75, Watermark: mark}}
	err := p.Transform(ctx, variant.Original{Body: original.Bytes()}, specs, variant.StageFinal,
		func(_ int, _ variant.Image, err error) { own = err })
	return errors.Join(err, own)
}

type unobserved struct{}

func (unobserved) WorkerStarted(time.Duration)                          {}
func (unobserved) WorkerEnded(string)                                   {}
func (unobserved) Transformed(fault.Kind, time.Duration, time.Duration) {}
func (unobserved) Admitted(time.Duration)                               {}
