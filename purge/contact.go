package purge

import (
	"context"
	"strconv"
	"time"

	"github.com/goldcrest/goldcrest/cache"
	"github.com/goldcrest/goldcrest/pause"
)

// restEvery is the pause before the log is followed again after an error.
const restEvery = time.Second

// kept is how long a Log keeps a purge at least.
const kept = 23 * time.Hour

// heartbeats are those sent and received. The mutex of Shared guards them.
type heartbeats struct {
	met     bool                 // one of its own has come back: the log was read to its end
	contact time.Time            // until when this instance is in contact
	sent    map[uint64]time.Time // those of its own that have not come back
	signs   uint64
	peers   map[string]time.Time // the last one of each other instance
}

// Run follows the log and sends heartbeats until ctx ends.
func (s *Shared) Run(ctx context.Context) {
	s.mu.Lock()
	s.life = ctx
	s.mu.Unlock()
	s.working.Go(func() { s.show(ctx) })
	defer s.working.Wait()
	for ctx.Err() == nil {
		follow, cancel := context.WithCancel(ctx)
		s.mu.Lock()
		after := s.place
		s.again = cancel
		s.mu.Unlock()
		err := s.Log.Follow(follow, after, func(l Place) {
			s.compare(after, l)
			s.sign(ctx)
		}, s.read)
		cancel()
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			s.Out.Warn("purges of other instances cannot be followed; trying again", "error", err)
		}
		_ = pause.For(ctx, restEvery)
	}
}

// compare drops memory if purges may have been missed: the log was made again, or this instance was away for as long as
// purges are kept.
func (s *Shared) compare(after, now Place) {
	s.mu.Lock()
	away := time.Since(s.contact)
	s.mu.Unlock()
	if after == (Place{}) || after.Epoch == now.Epoch && after.Seq <= now.Seq && away < kept {
		return
	}
	s.Out.Warn("purges may have been missed, since their log was made again or this instance was away for long; memory is dropped")
	s.mu.Lock()
	s.place = Place{Epoch: now.Epoch}
	s.mu.Unlock()
	s.Instance.ForgetAll()
}

// show sends heartbeats, and restarts Follow if they do not come back.
func (s *Shared) show(ctx context.Context) {
	tick := time.NewTicker(s.Config.renew())
	defer tick.Stop()
	out := false
	for lost := time.Now(); ; {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		s.mu.Lock()
		contact, again := s.contact, s.again
		s.mu.Unlock()
		switch away := !time.Now().Before(contact); {
		case away && !out && !contact.IsZero():
			out = true
			s.Out.Warn("out of contact with the other instances: memory is not used until purges can be followed again")
		case !away && out:
			out = false
			s.Out.Info("in contact with the other instances again: memory is used")
		}
		if time.Now().Before(contact) {
			lost = time.Now()
		} else if time.Since(lost) > s.Config.Lease && again != nil {
			lost = time.Now()
			again()
		}
		s.sign(ctx)
	}
}

// sign appends a heartbeat in the background: a log that hangs must not delay the next one.
func (s *Shared) sign(ctx context.Context) {
	s.mu.Lock()
	s.signs++
	n, now := s.signs, time.Now()
	s.sent[n] = now
	for old, at := range s.sent {
		if now.Sub(at) > s.Config.Lease {
			delete(s.sent, old)
		}
	}
	s.mu.Unlock()
	s.working.Go(func() {
		ctx, cancel := context.WithTimeout(ctx, s.Config.Lease)
		defer cancel()
		if err := s.Log.Append(ctx, name(hereWord, s.Name), []byte(strconv.FormatUint(n, 10))); err != nil {
			s.Out.Debug("a heartbeat was not accepted", "error", err)
		}
	})
}

// here handles a heartbeat. One of this instance's own that comes back proves that it has applied all earlier purges.
func (s *Shared) here(peer string, r Record) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if peer != s.Name {
		if len(r.Body) == 0 {
			delete(s.peers, peer)
		} else {
			s.peers[peer] = time.Now()
		}
		return
	}
	n, err := strconv.ParseUint(string(r.Body), 10, 64)
	at, ok := s.sent[n]
	if err != nil || !ok {
		return
	}
	delete(s.sent, n)
	s.met = true
	s.ready()
	s.Purges.Advance(cache.Generation(r.Place))
	if until := at.Add(s.Config.Lease); until.After(s.contact) {
		s.contact = until
		s.Purges.Trust(until)
	}
}

// Leave tells the other instances that this one stops serving. Run must have ended.
func (s *Shared) Leave(ctx context.Context) error {
	s.Purges.Trust(time.Now())
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	return s.Log.Append(ctx, name(hereWord, s.Name), nil)
}
