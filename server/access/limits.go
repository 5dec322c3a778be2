package access

import (
	"crypto/sha256"
	"fmt"
	"time"

	"golang.org/x/sync/semaphore"
	"golang.org/x/time/rate"

	"github.com/goldcrest/goldcrest/fault"
	"github.com/goldcrest/goldcrest/signing"
)

// bucket limits the rate of one caller. nil has no limit. Safe for concurrent use.
type bucket struct {
	what, name string // for the meter: token or key, and its name
	rate       *rate.Limiter
	meter      Meter // nil = none
}

// take counts one more, or refuses it and says when to retry.
func (b *bucket) take(now time.Time) error {
	if b == nil || b.rate.AllowN(now, 1) {
		return nil
	}
	if b.meter != nil {
		b.meter.Limited(b.what, b.name)
	}
	f := fault.New(fault.RateLimited, "access.take",
		"more is asked for with this "+b.what+" than its limit allows; try again shortly", nil)
	missing := 1 - b.rate.TokensAt(now)
	f.RetryAfter = time.Duration(missing / float64(b.rate.Limit()) * float64(time.Second))
	return f
}

// limit creates the buckets of next's tokens and keys. Those that prev has too keep their level, so that a reload
// refills none; prev may be nil.
func (a *Access) limit(next, prev *Current) {
	old, keys := map[[sha256.Size]byte]Caller{}, map[string]*bucket{}
	if prev != nil {
		keys = prev.keys
		for _, t := range prev.callers {
			old[t.sum] = t
		}
	}
	for i, t := range next.callers {
		was, kept := old[t.sum]
		if !kept {
			was.room, was.stays = newIntakeShare(), semaphore.NewWeighted(maxStays)
		}
		n := &next.callers[i]
		n.bucket, n.room, n.stays = a.bucketOf(was.bucket, "token", t.Name, t.limit), was.room, was.stays
	}
	next.keys = map[string]*bucket{}
	for id, l := range next.Keys.Limits() {
		if b := a.bucketOf(keys[id], "key", id, l); b != nil {
			next.keys[id] = b
		}
	}
}

// maxStays is the number of waiting requests of one token, long polls and event streams together: the private listener
// holds a few hundred connections.
const maxStays = 64

// Stay admits a request that only waits, until leave is called.
func (t Caller) Stay() (leave func(), err error) {
	if !t.stays.TryAcquire(1) {
		return nil, fault.New(fault.RateLimited, "access.Stay",
			fmt.Sprintf("%d requests of this token are waiting already", maxStays), nil)
	}
	return func() { t.stays.Release(1) }, nil
}

// bucketOf makes a bucket, or changes the limit of an existing one; nil if there is no limit.
func (a *Access) bucketOf(b *bucket, what, name string, l signing.Limit) *bucket {
	if l.Rate == 0 {
		return nil
	}
	if b == nil || b.name != name {
		return &bucket{what: what, name: name, rate: rate.NewLimiter(rate.Limit(l.Rate), l.Burst), meter: a.meter}
	}
	now := a.now()
	b.rate.SetLimitAt(now, rate.Limit(l.Rate))
	b.rate.SetBurstAt(now, l.Burst)
	return b
}

// Take counts one more call of a token, or refuses it.
func (a *Access) Take(t Caller) error { return t.bucket.take(a.now()) }

// Toll counts one more variant made for a signing key, or refuses it; nil if the key has no limit.
func (a *Access) Toll(c *Current, key string) func() error {
	b := c.keys[key]
	if b == nil {
		return nil
	}
	return func() error { return b.take(a.now()) }
}
