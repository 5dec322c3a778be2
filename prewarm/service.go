// Package prewarm makes the variants of Data Units ahead of need: it accepts calls, works on their images, and tells
// what became of them.
package prewarm

import (
	"context"
	"errors"
	"log/slog"
	"runtime"
	"sync"
	"time"

	"github.com/goldcrest/goldcrest/variant"
)

// Service accepts calls, works on them and tells about them. Safe for concurrent use, and for several instances that
// share a ledger and a queue. Make one with New, end it with Close.
type Service struct {
	cfg   Config
	deps  Deps
	bare  *variant.Parser // knows no presets
	slots *slots
	hosts *hosts
	times times

	accounts *Accounts

	mu        sync.Mutex
	following bool
	views     map[string]*view
	accepting map[string]chan struct{} // idempotency keys whose call is being accepted here
	backlog   backlog

	ends     chan string     // jobs that may have ended
	news     chan brokenNews // what was found broken lately
	telling  sync.Mutex      // held while what is broken is told: two at once would put an event twice
	seen     map[string]bool // active jobs whose tickets were put, or put anew, by this instance; touched by sweep alone
	stop     context.CancelFunc
	tendings sync.WaitGroup
}

// times are the periods that tests shorten.
type times struct {
	sweep  time.Duration // how often jobs are looked after that nobody moves
	stuck  time.Duration // how long nothing may move before tickets are put anew
	known  time.Duration // what a look at the store may take of an answer
	moment time.Duration // between two messages of Watch
	adopt  time.Duration // after which a call that was never accepted to its end is accepted anew
	retell []time.Duration
}

// New makes a Service and begins to follow the ledger. It works on nothing before Run.
func New(cfg Config, deps Deps) (*Service, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if deps.Ledger == nil || deps.Queue == nil || deps.Warm == nil || deps.Known == nil || deps.Parser == nil || deps.Negotiation == nil || deps.Sign == nil {
		return nil, errors.New("prewarm: a part is missing")
	}
	bare, err := variant.NewParser(nil, false)
	if err != nil {
		return nil, err
	}
	if cfg.Workers == 0 {
		cfg.Workers = 4 * runtime.GOMAXPROCS(0)
	}
	if cfg.Backlog == 0 {
		cfg.Backlog = defaultBacklog
	}
	if deps.Observer == nil {
		deps.Observer = noObserver{}
	}
	if deps.Log == nil {
		deps.Log = slog.New(slog.DiscardHandler)
	}
	if deps.Now == nil {
		deps.Now = time.Now
	}
	s := &Service{
		cfg: cfg, deps: deps, bare: bare, slots: newSlots(cfg.Workers), hosts: newHosts(cfg.Workers),
		times: times{
			sweep: 30 * time.Second, stuck: 10 * time.Minute, known: 2 * time.Second, moment: 250 * time.Millisecond,
			adopt: 30 * time.Second, retell: CallbackDelays(),
		},
		views: map[string]*view{}, accepting: map[string]chan struct{}{}, ends: make(chan string, 256), news: make(chan brokenNews, 256), seen: map[string]bool{},
	}
	s.accounts = newAccounts(deps, s.unitsOf)
	ctx, stop := context.WithCancel(context.Background())
	s.stop = stop
	s.tendings.Go(func() { s.accounts.run(ctx) })
	s.tendings.Go(func() { s.follow(ctx) })
	return s, nil
}

// Accounts are those that a Compat shares with the service.
func (s *Service) Accounts() *Accounts { return s.accounts }

// Close ends what New began. Run must have ended before.
func (s *Service) Close() {
	s.stop()
	s.tendings.Wait()
}

// Run works on queued images and tells backends until ctx ends. It returns when all workers have.
func (s *Service) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var running sync.WaitGroup
	var worked, told error
	running.Go(func() { s.tend(ctx) })
	running.Go(func() { s.batch(ctx) })
	running.Go(func() {
		defer cancel()
		worked = s.deps.Queue.Consume(ctx, []string{LaneHigh, LaneNormal, LaneLow}, s.cfg.Workers, s.work)
	})
	running.Go(func() {
		defer cancel()
		told = s.deps.Queue.Consume(ctx, []string{LaneTell}, tellers, s.tell)
	})
	running.Wait()
	return errors.Join(worked, told)
}

// defaultBacklog is how many images may wait where nothing else is said.
const defaultBacklog = 1_000_000

// tellers is how many backends are told at the same time.
const tellers = 8

// noObserver is the Observer of those who want none.
type noObserver struct{}

func (noObserver) Accepted(int, int)          {}
func (noObserver) Judged(string, string, int) {}
func (noObserver) Told(string)                {}
func (noObserver) Used(string, Usage)         {}
