package purge

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/goldcrest/goldcrest/cache"
)

// Shared is one instance among those that share a store and a Log. Safe for concurrent use. Why no instance serves what
// was made before a purge once that has answered, and nothing made after it is deleted:
//
//  1. A is asked. It appends the purge, which gets its place G in the log.
//  2. Each instance that reads G applies it: older entries are misses, wherever they turn up; writes of newer ones
//     wait. When its writes from before have ended it appends its ack.
//  3. A has acks of all that are present: whose last sign of life before G is not older than the lease. Only now A
//     deletes, once. All that is in the store under the prefixes is from before G: what is newer waits.
//  4. A appends the end. Newer entries are written. A answers.
//  5. A write from before G that lands after step 3, since its caller gave up on it, is older than G: a miss, and made
//     again.
//
// What may go wrong:
//   - B does not confirm in time: A ends the purge without deleting, and answers with an error.
//   - B is out of contact. It trusts its memory until its last sign of life that came back to it is older than the
//     lease, which A saw later than B sent it. So A still waits for B while B serves from memory. In contact again B
//     reads G before its next sign of life comes back: both come in the order of the log.
//   - C starts. It shows life only when it has read the log, G included, and trusts memory only then.
//   - A dies after step 1. Writes go on when the hold ends. What is older than G stays a miss.
//   - A is slow. Its deleting ends at two thirds of the hold, counted from before step 1.
//   - The log is lost and made anew. Its epoch is later: all entries are older than its purges. Memory is dropped.
type Shared struct {
	cfg      Config
	name     string // of this instance
	log      Log
	instance Instance
	purges   *cache.Purges
	out      *slog.Logger

	mu      sync.Mutex
	place   Place           // of the last record read
	met     bool            // a sign of life has come back: the log was read to its end
	life    context.Context // of Run
	ready   func()
	working sync.WaitGroup
	contact time.Time            // until when this instance is in contact
	sent    map[uint64]time.Time // its signs of life that have not come back
	signs   uint64
	peers   map[string]time.Time // when others showed life
	open    map[string]cache.Generation
	asked   map[string]*asked
	again   context.CancelFunc // ends the present Follow
}

// asked is a purge that this instance was asked for.
type asked struct {
	began   bool
	waiting map[string]bool // instances that have not confirmed
	failure error
	removed int
	changed chan struct{}
}

// NewShared makes an instance. It hears of nothing before Run, and until then memory is not trusted.
func NewShared(cfg Config, name string, log Log, instance Instance, purges *cache.Purges, out *slog.Logger) *Shared {
	purges.Trust(time.Now())
	return &Shared{
		life: context.Background(), ready: purges.Replay(cfg.Patience),
		cfg: cfg, name: name, log: log, instance: instance, purges: purges, out: out, sent: map[uint64]time.Time{},
		peers: map[string]time.Time{}, open: map[string]cache.Generation{}, asked: map[string]*asked{},
	}
}

// Purge removes what is under the prefixes everywhere and returns how many entries the store had. sources are forgotten
// with them.
func (s *Shared) Purge(ctx context.Context, prefixes, sources []string) (n int, err error) {
	for _, o := range split(prefixes, sources) {
		removed, err := s.purge(ctx, o)
		n += removed
		if err != nil {
			return n, err
		}
	}
	return n, nil
}

func (s *Shared) purge(ctx context.Context, o order) (n int, err error) {
	o.From = s.name
	body, err := json.Marshal(o)
	if err != nil {
		return 0, err
	}
	ctx, cancel := context.WithTimeout(ctx, s.cfg.fence())
	defer cancel()
	id := rand.Text()
	w := &asked{changed: make(chan struct{}, 1)}
	s.mu.Lock()
	s.asked[id] = w
	s.mu.Unlock()
	defer s.end(id)
	confirmed, done := context.WithTimeout(ctx, s.cfg.Patience)
	defer done()
	if err := s.log.Append(confirmed, name(beganWord, id), body); err != nil {
		return 0, fmt.Errorf("%w: %w", ErrLog, err)
	}
	if err := s.await(confirmed, w); err != nil {
		return 0, err
	}
	if s.cfg.OwnStore { // It was deleted before it was confirmed.
		return w.removed, nil
	}
	return s.instance.Remove(ctx, o.Prefixes)
}

// await waits until all present instances have confirmed.
func (s *Shared) await(ctx context.Context, w *asked) error {
	tick := time.NewTicker(s.cfg.Lease / 10)
	defer tick.Stop()
	for {
		s.mu.Lock()
		var missing []string
		for peer := range w.waiting {
			if peer == s.name || time.Since(s.peers[peer]) <= s.cfg.Lease {
				missing = append(missing, peer)
			}
		}
		ready, failure := w.began && len(missing) == 0, w.failure
		s.mu.Unlock()
		if ready || failure != nil {
			return failure
		}
		select {
		case <-w.changed:
		case <-tick.C: // The lease of one that died may have ended.
		case <-ctx.Done():
			if len(missing) == 0 {
				return fmt.Errorf("%w: %w", ErrLog, ctx.Err())
			}
			return fmt.Errorf("%w: %s", ErrAway, strings.Join(missing, ", "))
		}
	}
}

// end lets the writes go on everywhere, also when the caller has left.
func (s *Shared) end(id string) {
	s.mu.Lock()
	delete(s.asked, id)
	s.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), s.cfg.Patience)
	defer cancel()
	if err := s.log.Append(ctx, name(endedWord, id), nil); err != nil {
		s.out.Warn("the end of a purge could not be told; writes under it go on when its hold ends", "error", err)
		s.ended(id)
	}
}

// read takes a record of the log.
func (s *Shared) read(r Record) {
	word, rest, _ := strings.Cut(r.Name, ".")
	switch word {
	case beganWord:
		s.began(rest, r)
	case heardWord:
		id, peer, _ := strings.Cut(rest, ".")
		s.heard(id, peer, nil)
	case endedWord:
		s.ended(rest)
	case hereWord:
		s.here(rest, r)
	}
	s.mu.Lock()
	s.place = r.Place
	s.mu.Unlock()
}

// began applies a purge, and confirms it when that is done.
func (s *Shared) began(id string, r Record) {
	var o order
	if err := json.Unmarshal(r.Body, &o); err != nil {
		s.out.Error("a purge in the log cannot be read; memory is dropped", "error", err)
		s.instance.ForgetAll()
		return
	}
	g := cache.Generation(r.Place)
	idle := s.instance.BeginPurge(g, o.Prefixes, o.Sources, s.cfg.Hold)
	s.mu.Lock()
	defer s.mu.Unlock()
	if before, twice := s.open[id]; twice { // A record that was sent twice, since its acknowledgement was lost.
		s.instance.EndPurge(before)
	}
	s.open[id] = g
	time.AfterFunc(s.cfg.Hold, func() { s.ended(id) })
	if w := s.asked[id]; w != nil {
		w.began, w.waiting = true, map[string]bool{s.name: true}
		for peer := range s.peers {
			w.waiting[peer] = true
		}
		w.wake()
	}
	if s.met { // Else nobody waits for this instance.
		s.working.Go(func() { s.confirm(s.life, id, o, idle) })
	}
}

// confirm tells that a purge is applied.
func (s *Shared) confirm(ctx context.Context, id string, o order, idle func(context.Context) error) {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.fence())
	defer cancel()
	err := idle(ctx)
	removed := 0
	if err == nil && s.cfg.OwnStore {
		removed, err = s.instance.Remove(ctx, o.Prefixes)
	}
	s.mu.Lock()
	_, waited := s.open[id]
	if w := s.asked[id]; w != nil {
		w.removed = removed
	}
	s.mu.Unlock()
	switch {
	case o.From == s.name:
		s.heard(id, s.name, err)
		return
	case err == nil && waited:
		err = s.log.Append(ctx, name(heardWord, id, s.name), nil)
	}
	if err != nil {
		s.out.Warn("a purge of another instance was not confirmed; it answers that the purge is to be repeated", "error", err)
	}
}

// heard takes the confirmation of an instance.
func (s *Shared) heard(id, peer string, failure error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if w := s.asked[id]; w != nil {
		delete(w.waiting, peer)
		w.failure = errors.Join(w.failure, failure)
		w.wake()
	}
}

func (w *asked) wake() {
	select {
	case w.changed <- struct{}{}:
	default:
	}
}

// ended lets writes go on.
func (s *Shared) ended(id string) {
	s.mu.Lock()
	g, ok := s.open[id]
	delete(s.open, id)
	s.mu.Unlock()
	if ok {
		s.instance.EndPurge(g)
	}
}

func name(words ...string) string { return strings.Join(words, ".") }
