package transform

import (
	"crypto/sha256"
	"sync"
	"time"

	"github.com/goldcrest/goldcrest/fault"
)

const (
	poisonTries = 2         // crashes after which an original is refused
	poisonKeep  = time.Hour // how long a crash is remembered
	poisonMax   = 1024      // originals remembered at once
)

// poison remembers the originals that crashed a worker, by their bytes: the same file under another URL is equally
// dangerous. It is checked before each attempt, so an original costs two workers, or one more than were busy with it at
// the same time.
type poison struct {
	now func() time.Time

	mu      sync.Mutex
	crashes map[[sha256.Size]byte]crashed
	sizes   map[int]int // length of an original -> how many are remembered
}

type crashed struct {
	times   int
	size    int
	expires time.Time
}

func newPoison(now func() time.Time) *poison {
	return &poison{now: now, crashes: map[[sha256.Size]byte]crashed{}, sizes: map[int]int{}}
}

// check refuses an original that has crashed workers often enough.
func (p *poison) check(original []byte) error {
	if !p.suspect(original) {
		return nil
	}
	sum := sha256.Sum256(original)
	p.mu.Lock()
	defer p.mu.Unlock()
	c, ok := p.crashes[sum]
	if !ok {
		return nil
	}
	if !p.now().Before(c.expires) {
		p.drop(sum)
		return nil
	}
	if c.times < poisonTries {
		return nil
	}
	return poisonFault(nil)
}

// crash counts one crash by original and reports whether it is poison now.
func (p *poison) crash(original []byte) bool {
	sum := sha256.Sum256(original)
	p.mu.Lock()
	defer p.mu.Unlock()
	c, ok := p.crashes[sum]
	if ok && !p.now().Before(c.expires) {
		p.drop(sum)
		c, ok = crashed{}, false
	}
	if !ok {
		p.makeRoom()
		p.sizes[len(original)]++
	}
	p.crashes[sum] = crashed{times: c.times + 1, size: len(original), expires: p.now().Add(poisonKeep)}
	return c.times+1 >= poisonTries
}

// forgive forgets an original that was made after all: it did not cause the crash.
func (p *poison) forgive(original []byte) {
	if !p.suspect(original) {
		return
	}
	sum := sha256.Sum256(original)
	p.mu.Lock()
	defer p.mu.Unlock()
	if c, ok := p.crashes[sum]; ok && c.times < poisonTries {
		p.drop(sum)
	}
}

func (p *poison) clear() {
	p.mu.Lock()
	defer p.mu.Unlock()
	clear(p.crashes)
	clear(p.sizes)
}

// suspect avoids hashing nearly all originals: only one as long as a remembered one can be poison.
func (p *poison) suspect(original []byte) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.sizes[len(original)] > 0
}

// makeRoom removes expired entries, or, if none has expired, the one that expires next.
func (p *poison) makeRoom() {
	if len(p.crashes) < poisonMax {
		return
	}
	var oldest [sha256.Size]byte
	var at time.Time
	for sum, c := range p.crashes {
		if !p.now().Before(c.expires) {
			p.drop(sum)
		} else if at.IsZero() || c.expires.Before(at) {
			oldest, at = sum, c.expires
		}
	}
	if len(p.crashes) >= poisonMax {
		p.drop(oldest)
	}
}

func (p *poison) drop(sum [sha256.Size]byte) {
	size := p.crashes[sum].size
	delete(p.crashes, sum)
	if p.sizes[size]--; p.sizes[size] <= 0 {
		delete(p.sizes, size)
	}
}

func poisonFault(cause error) error {
	return fault.New(fault.Poison, "transform.Transform", "this picture made the image decoder crash", cause)
}
