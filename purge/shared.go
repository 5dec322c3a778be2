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

// Shared is one of the instances that share a store and a Log. Safe for concurrent use. After a purge has returned, no
// instance serves entries from before it, and it deletes nothing newer. The reason:
//
//  1. A is asked. It appends the purge, which gets its place G in the log.
//  2. Each instance that reads G applies it: older entries are misses wherever they appear; newer writes wait. When
//     its earlier writes have ended, it appends its ack.
//  3. A has the acks of all live instances: those whose last heartbeat before G is not older than the lease. Only now
//     A deletes, once. All entries in the store under the prefixes are older than G: newer ones wait.
//  4. A appends the end. Newer entries are written. A returns.
//  5. A write from before G that arrives after step 3, since its caller gave up on it, is older than G: a miss, and
//     made again.
//
// Failures:
//   - B does not confirm in time: A ends the purge without deleting, and returns an error.
//   - B is out of contact. It trusts its memory until its last returned heartbeat is older than the lease. A saw that
//     heartbeat later than B sent it, so A still waits for B while B serves from memory. Back in contact, B reads G
//     before its next heartbeat, since both are delivered in the order of the log.
//   - C starts. It sends heartbeats only when it has read the log, G included, and trusts memory only then.
//   - A dies after step 1. Writes continue when the hold ends. Entries older than G stay misses.
//   - A is slow. Its deletion ends at two thirds of the hold, counted from before step 1.
//   - The log is lost and made again. Its epoch is later, so all entries are older than its purges. Memory is dropped.
type Shared struct {
	Deps

	mu      sync.Mutex
	place   Place           // of the last record read
	life    context.Context // of Run
	ready   func()
	working sync.WaitGroup
	heartbeats
	open  map[string]cache.Generation
	asked map[string]*asked
	again context.CancelFunc // cancels the current Follow
}

// Deps are the dependencies of Shared. All must be set.
type Deps struct {
	Config   Config
	Name     string // of this instance
	Log      Log
	Instance Instance
	Purges   *cache.Purges
	Out      *slog.Logger
}

// asked is a purge that this instance was asked for.
type asked struct {
	began   bool
	waiting map[string]bool // instances that have not confirmed
	failure error
	removed int
	changed chan struct{}
}

// NewShared makes an instance. Before Run it does not follow the log, and memory is not trusted.
func NewShared(d Deps) *Shared {
	d.Purges.Trust(time.Now())
	return &Shared{
		Deps: d, life: context.Background(), ready: d.Purges.Replay(d.Config.Patience),
		heartbeats: heartbeats{sent: map[uint64]time.Time{}, peers: map[string]time.Time{}},
		open:       map[string]cache.Generation{}, asked: map[string]*asked{},
	}
}

// Purge removes all entries under the prefixes everywhere and returns how many the store had. It also forgets sources.
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
	o.From = s.Name
	body, _ := json.Marshal(o) // strings can always be marshalled
	ctx, cancel := context.WithTimeout(ctx, s.Config.fence())
	defer cancel()
	id := rand.Text()
	w := &asked{changed: make(chan struct{}, 1)}
	s.mu.Lock()
	s.asked[id] = w
	s.mu.Unlock()
	defer s.end(id)
	confirmed, done := context.WithTimeout(ctx, s.Config.Patience)
	defer done()
	if err := s.Log.Append(confirmed, name(beganWord, id), body); err != nil {
		return 0, fmt.Errorf("%w: %w", ErrLog, err)
	}
	if err := s.await(confirmed, w); err != nil {
		return 0, err
	}
	if s.Config.OwnStore { // It deleted before it confirmed.
		return w.removed, nil
	}
	return s.Instance.Remove(ctx, o.Prefixes)
}

// await waits until all live instances have confirmed.
func (s *Shared) await(ctx context.Context, w *asked) error {
	tick := time.NewTicker(s.Config.Lease / 10)
	defer tick.Stop()
	for {
		s.mu.Lock()
		var missing []string
		for peer := range w.waiting {
			if peer == s.Name || time.Since(s.peers[peer]) <= s.Config.Lease {
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
		case <-tick.C: // The lease of a dead instance may have ended.
		case <-ctx.Done():
			if len(missing) == 0 {
				return fmt.Errorf("%w: %w", ErrLog, ctx.Err())
			}
			return fmt.Errorf("%w: %s", ErrAway, strings.Join(missing, ", "))
		}
	}
}

// end releases held writes everywhere, also if the caller has left.
func (s *Shared) end(id string) {
	s.mu.Lock()
	delete(s.asked, id)
	s.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), s.Config.Patience)
	defer cancel()
	if err := s.Log.Append(ctx, name(endedWord, id), nil); err != nil {
		s.Out.Warn("the end of a purge could not be announced; writes under it continue when its hold ends", "error", err)
		s.ended(id)
	}
}

// read handles a record of the log.
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

// began applies a purge, and then confirms it.
func (s *Shared) began(id string, r Record) {
	var o order
	if err := json.Unmarshal(r.Body, &o); err != nil {
		s.Out.Error("a purge in the log cannot be read; memory is dropped", "error", err)
		s.Instance.ForgetAll()
		return
	}
	g := cache.Generation(r.Place)
	idle := s.Instance.BeginPurge(g, o.Prefixes, o.Sources, s.Config.Hold)
	s.mu.Lock()
	defer s.mu.Unlock()
	if before, twice := s.open[id]; twice { // sent twice, since its acknowledgement was lost
		s.Instance.EndPurge(before)
	}
	s.open[id] = g
	time.AfterFunc(s.Config.Hold, func() { s.ended(id) })
	if w := s.asked[id]; w != nil {
		w.began, w.waiting = true, map[string]bool{s.Name: true}
		for peer := range s.peers {
			w.waiting[peer] = true
		}
		w.wake()
	}
	if s.met { // otherwise no other instance waits for this one
		s.working.Go(func() { s.confirm(s.life, id, o, idle) })
	}
}

// confirm appends that a purge is applied.
func (s *Shared) confirm(ctx context.Context, id string, o order, idle func(context.Context) error) {
	ctx, cancel := context.WithTimeout(ctx, s.Config.fence())
	defer cancel()
	err := idle(ctx)
	removed := 0
	if err == nil && s.Config.OwnStore {
		removed, err = s.Instance.Remove(ctx, o.Prefixes)
	}
	s.mu.Lock()
	_, waited := s.open[id]
	if w := s.asked[id]; w != nil {
		w.removed = removed
	}
	s.mu.Unlock()
	switch {
	case o.From == s.Name:
		s.heard(id, s.Name, err)
		return
	case err == nil && waited:
		err = s.Log.Append(ctx, name(heardWord, id, s.Name), nil)
	}
	if err != nil {
		s.Out.Warn("a purge of another instance was not confirmed; it answers that the purge is to be repeated", "error", err)
	}
}

// heard handles the confirmation of an instance.
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

// ended releases held writes.
func (s *Shared) ended(id string) {
	s.mu.Lock()
	g, ok := s.open[id]
	delete(s.open, id)
	s.mu.Unlock()
	if ok {
		s.Instance.EndPurge(g)
	}
}

func name(words ...string) string { return strings.Join(words, ".") }
