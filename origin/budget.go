package origin

import (
	"container/list"
	"context"
	"sync"
)

// budget bounds the bytes of originals in memory, and those of the bodies that arrive from one host. A body of unknown
// length is charged as it arrives. To avoid deadlock between bodies that have begun, growth is granted only while at
// least one growing body could still reach its full size, whatever the others hold:
//  1. The one that needs the least for that is always granted more, at the latest when the finished ones are released.
//  2. When it ends, what it held and what was kept free for it are enough for any other.
type budget struct {
	total int64 // of all hosts
	share int64 // of one host's arriving bodies; no body is larger

	mu      sync.Mutex
	used    int64
	hosts   map[string]int64 // bytes of arriving bodies
	growing map[*stake]bool
	waiting list.List // of *ask
}

// stake is what one original holds of the budget.
type stake struct {
	budget *budget
	host   string
	held   int64
	most   int64 // its maximum size
}

// ask is a stake that waits for more.
type ask struct {
	stake   *stake
	bytes   int64
	granted chan struct{}
}

func newBudget(total, largest int64) *budget {
	return &budget{total: total, share: max(total/4, largest), hosts: map[string]int64{}, growing: map[*stake]bool{}}
}

// enter waits for the first bytes of a body of at most most bytes.
func (b *budget) enter(ctx context.Context, host string, first, most int64) (*stake, error) {
	s := &stake{budget: b, host: host, most: most}
	return s, s.grow(ctx, first)
}

// grow waits for more bytes.
func (s *stake) grow(ctx context.Context, bytes int64) error {
	b, a := s.budget, &ask{stake: s, bytes: bytes, granted: make(chan struct{})}
	b.mu.Lock()
	place := b.waiting.PushBack(a)
	b.grant()
	b.mu.Unlock()
	select {
	case <-a.granted:
		return nil
	case <-ctx.Done():
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	select {
	case <-a.granted: // Both happened: reading meets the end of ctx itself.
		return nil
	default:
	}
	b.waiting.Remove(place)
	b.grant()
	return ctx.Err()
}

// arrived says that the body is complete and keeps kept bytes.
func (s *stake) arrived(kept int64) {
	b := s.budget
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.growing, s)
	if b.hosts[s.host] -= s.held; b.hosts[s.host] == 0 {
		delete(b.hosts, s.host)
	}
	b.used -= s.held - kept
	s.held = kept
	b.grant()
}

// release returns all that is held.
func (s *stake) release() {
	b := s.budget
	b.mu.Lock()
	defer b.mu.Unlock()
	b.used -= s.held
	s.held = 0
	b.grant()
}

// grant serves the waiting asks in order. One that waits for the shared memory blocks bodies that begin after it, so
// that a large one gets its turn; one that waits for its own host's share blocks no other. The lock is held.
func (b *budget) grant() {
	full := false
	for e := b.waiting.Front(); e != nil; {
		a, next := e.Value.(*ask), e.Next()
		switch s := a.stake; {
		case full && s.held == 0:
		case !b.fits(a):
			full = full || b.used+a.bytes > b.total && b.hostFits(a)
		default:
			b.waiting.Remove(e)
			s.held += a.bytes
			b.used += a.bytes
			b.hosts[s.host] += a.bytes
			if delete(b.growing, s); s.held < s.most {
				b.growing[s] = true
			}
			close(a.granted)
		}
		e = next
	}
}

// fits reports whether an ask may be granted now.
func (b *budget) fits(a *ask) bool {
	return b.used+a.bytes <= b.total && b.safe(a, b.total, "") && b.hostFits(a)
}

// hostFits reports whether an ask stays within its host's share.
func (b *budget) hostFits(a *ask) bool {
	host := a.stake.host
	return b.hosts[host]+a.bytes <= b.share && b.safe(a, b.share, host)
}

// safe reports whether after the grant at least one of the growing bodies, of a host ("" = of all), could reach its
// full size within limit. Bodies that are complete are released in time.
func (b *budget) safe(a *ask, limit int64, host string) bool {
	need := int64(-1) // the minimum
	count := func(s *stake, held int64) {
		if host != "" && s.host != host {
			return
		}
		limit -= held
		if n := s.most - held; need < 0 || n < need {
			need = n
		}
	}
	for s := range b.growing {
		if s != a.stake {
			count(s, s.held)
		}
	}
	if held := a.stake.held + a.bytes; held < a.stake.most {
		count(a.stake, held)
	}
	return need <= limit
}
