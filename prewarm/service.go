// Package prewarm makes the variants of Data Units before they are requested. Its service accepts calls, and its worker
// decides the verdicts of their images. A verdict is on disk before its ticket is acknowledged, and made means that the
// store has the variant.
package prewarm

import (
	"context"
	"errors"
	"log/slog"
	"runtime"
	"sync"
	"time"

	"github.com/goldcrest/goldcrest/pause"
	"github.com/goldcrest/goldcrest/prewarm/draft"
	"github.com/goldcrest/goldcrest/prewarm/ledger"
	"github.com/goldcrest/goldcrest/prewarm/usage"
	"github.com/goldcrest/goldcrest/prewarm/webhook"
)

// Service accepts calls, works on them and sends callbacks about them. It is safe for concurrent use, also by several
// instances that share a ledger and a queue. New creates it, Close ends it.
type Service struct {
	*ledger.Views
	*draft.Rules
	cfg   Config
	deps  Deps
	slots *slots
	hosts *hosts
	times times

	accounts *usage.Accounts
	events   *webhook.Events

	mu        sync.Mutex
	accepting map[string]chan struct{} // idempotency keys whose call this instance is accepting
	backlog   backlog

	ends     chan string     // jobs that may have ended
	seen     map[string]bool // active jobs whose tickets this instance has put; used only by sweep
	stop     context.CancelFunc
	tendings sync.WaitGroup
}

// times are durations that tests shorten.
type times struct {
	sweep time.Duration // how often active jobs are checked
	stuck time.Duration // how long a job may make no progress before its tickets are put again
	known time.Duration // how long a look-up in the store may delay a response
	adopt time.Duration // after which a call that was never fully accepted is accepted again
}

// New returns a Service that follows the ledger. It works on nothing before Run.
func New(cfg Config, deps Deps) (*Service, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	deps, err := deps.filled()
	if err != nil {
		return nil, err
	}
	if cfg.Workers == 0 {
		cfg.Workers = 4 * runtime.GOMAXPROCS(0)
	}
	if cfg.Backlog == 0 {
		cfg.Backlog = ledger.DefaultBacklog
	}
	s := &Service{
		cfg: cfg, deps: deps, slots: newSlots(cfg.Workers), hosts: newHosts(cfg.Workers),
		times: times{
			sweep: 30 * time.Second, stuck: 10 * time.Minute, known: 2 * time.Second,
			adopt: 30 * time.Second,
		},
		accepting: map[string]chan struct{}{}, ends: make(chan string, 256), seen: map[string]bool{},
	}
	s.Views, err = ledger.NewViews(ledger.Deps{
		Store: deps.Ledger, Keep: cfg.Keep, Parser: deps.Parser, Basis: deps.Basis, MayHaveEnded: s.mayHaveEnded, Now: deps.Now,
	})
	if err != nil {
		return nil, err
	}
	s.Rules = &draft.Rules{
		Presets: cfg.Presets, Formats: cfg.Formats, CallVariants: cfg.CallVariants, Links: deps.Keep != nil,
		Parser: deps.Parser, Negotiation: deps.Negotiation, Now: deps.Now,
	}
	s.accounts = usage.New(usage.Deps{Views: s.Views, Quotas: deps.Quotas, Used: deps.Observer.Used, Log: deps.Log, Now: deps.Now})
	s.events = webhook.NewEvents(webhook.Deps{
		Views: s.Views, Queue: deps.Queue, Tell: deps.Tell, Told: deps.Observer.Told, Log: deps.Log, Tracer: deps.Tracer, Now: deps.Now,
	})
	ctx, stop := context.WithCancel(context.Background())
	s.stop = stop
	s.tendings.Go(func() { s.accounts.Run(ctx) })
	s.tendings.Go(func() { s.follow(ctx) })
	return s, nil
}

// Accounts returns the accounts, which the predecessor's call shares with the service.
func (s *Service) Accounts() *usage.Accounts { return s.accounts }

// filled sets defaults for fields that may be nil.
func (d Deps) filled() (Deps, error) {
	for _, missing := range []bool{
		d.Ledger == nil, d.Queue == nil, d.Warm == nil, d.Known == nil, d.Parser == nil, d.Negotiation == nil, d.Sign == nil,
	} {
		if missing {
			return d, errors.New("prewarm: a part is missing")
		}
	}
	if d.Observer == nil {
		d.Observer = noObserver{}
	}
	if d.Log == nil {
		d.Log = slog.New(slog.DiscardHandler)
	}
	if d.Now == nil {
		d.Now = time.Now
	}
	if d.Quotas == nil {
		d.Quotas = func() map[string]usage.Quota { return nil }
	}
	if d.Basis == nil {
		d.Basis = func() string { return "" }
	}
	return d, nil
}

// Usage returns the usage of the last days, including today, of the named owner, or of all owners that the caller may
// see ("").
func (s *Service) Usage(ctx context.Context, who ledger.Caller, owner string, days int) ([]usage.Owner, error) {
	return s.accounts.Usage(ctx, who, owner, days)
}

// Close stops following the ledger. Run must have ended before.
func (s *Service) Close() {
	s.stop()
	s.tendings.Wait()
}

// Run works on queued images and sends callbacks until ctx ends. It returns when all workers have ended.
func (s *Service) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var running sync.WaitGroup
	var worked, told error
	running.Go(func() { s.tend(ctx) })
	running.Go(func() {
		defer cancel()
		worked = s.deps.Queue.Consume(ctx, []string{ledger.LaneHigh, ledger.LaneNormal, ledger.LaneLow}, s.cfg.Workers, s.work)
	})
	running.Go(func() {
		defer cancel()
		told = s.events.Run(ctx)
	})
	running.Wait()
	return errors.Join(worked, told)
}

// noObserver is an Observer that does nothing.
type noObserver struct{}

func (noObserver) Accepted(int, int)          {}
func (noObserver) Judged(string, string, int) {}
func (noObserver) Told(string)                {}
func (noObserver) Used(string, usage.Usage)   {}

// follow keeps views and accounts up to date until ctx ends. When the ledger cannot be followed, all views are
// discarded and read again.
func (s *Service) follow(ctx context.Context) {
	for ctx.Err() == nil {
		err := s.deps.Ledger.Follow(ctx, []string{"task", "job", "usage"}, func() { s.following(true) }, func(r ledger.Record) {
			s.accounts.Noticed(r)
			s.Views.Noticed(r)
		})
		s.following(false)
		if err != nil && ctx.Err() == nil {
			s.deps.Log.Warn("the prewarm ledger cannot be followed; trying again", "error", err)
			_ = pause.For(ctx, time.Second)
		}
	}
}

func (s *Service) following(on bool) {
	s.accounts.Follow(on)
	s.Views.Follow(on)
}
