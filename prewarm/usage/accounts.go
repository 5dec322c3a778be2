// Package usage holds tokens to their quotas, and counts what they use by day. Each instance writes its own counts; the
// sum over all instances is what a token has used.
package usage

import (
	"context"
	"crypto/rand"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/goldcrest/goldcrest/fault"
	"github.com/goldcrest/goldcrest/prewarm/ledger"
)

// Deps is what Accounts work with. All must be set.
type Deps struct {
	Views *ledger.Views
	// Quotas are those of all owners that are configured, those without a limit too.
	Quotas func() map[string]Quota
	Used   func(owner string, u Usage) // learns what is counted
	Log    *slog.Logger
	Now    func() time.Time
}

// Accounts hold owners to their quotas and count what they use. Safe for concurrent use.
//
// Every instance counts for itself, by owner and day of UTC, and keeps its counts in ledger records of its own,
// "usage.<day>.<owner>.<instance>". The sum over the instances is what an owner has used. Units that are queued are not
// counted but read: they are those of the active jobs.
type Accounts struct {
	Deps
	instance string

	changed chan struct{} // has an element when there is something to write
	writing sync.Mutex    // held while counts are written
	loading sync.Mutex    // held while the counts of others are read

	mu     sync.Mutex
	own    map[ownerDay]*count
	queues map[string]*queued // by ownerMark
	others others
}

// ownerDay is what counts are kept by.
type ownerDay struct{ day, owner string }

// count is what this instance has counted.
type count struct {
	Usage
	written  Usage
	revision uint64
}

// others is what the other instances have counted today. It is read once; from then on the ledger tells.
type others struct {
	day    string
	whole  bool // all of the day is known
	told   bool // the ledger tells of changes
	epoch  int  // rises whenever told changes
	counts map[string]otherCount
	images map[string]int64 // sums by ownerMark
}

type otherCount struct {
	revision uint64
	images   int64
}

// The time that other instances' jobs, and the ends of jobs, may take to be seen.
const (
	queueAge     = time.Second            // a reading of what is queued serves for so long
	queueAgeFull = 100 * time.Millisecond // and for so long where a call would be refused by it
	interval     = 2 * time.Second        // between two writes of what was counted
)

// New counts nothing down before Run.
func New(p Deps) *Accounts {
	return &Accounts{
		Deps: p, instance: rand.Text(), changed: make(chan struct{}, 1),
		own: map[ownerDay]*count{}, queues: map[string]*queued{},
	}
}

// charge is what an owner is charged with: units that are queued, and what is counted of the day.
type charge struct {
	a     *Accounts
	owner string
	count *count
	use   Usage
	held  []*heldUnits
	queue *queued
}

// Charge counts what an owner asks for, unless that exceeds its quota: units by the job that they are queued in, and
// what the day is to count. The caller ends it by accepted or refund. nil Accounts charge nothing.
func (a *Accounts) Charge(ctx context.Context, owner string, units map[string]int, use Usage) (*charge, error) {
	if a == nil {
		return nil, nil
	}
	q := a.Quotas()[owner]
	if q.ImagesADay > 0 {
		if err := a.load(ctx); err != nil {
			return nil, err
		}
	}
	c, err := a.reserveFresh(ctx, owner, q, units, use)
	if fault.KindOf(err) == fault.QuotaExceeded {
		a.Add(owner, Usage{Refused: 1})
	}
	if err != nil {
		return nil, err
	}
	if q.ImagesADay > 0 { // On disk before the call is accepted: a process that is killed forgets nothing.
		if err := a.write(ctx); err != nil {
			c.Refund()
			return nil, err
		}
	}
	return c, nil
}

// reserveFresh is reserve with what is queued as it is now, where the call would be refused by an older reading.
func (a *Accounts) reserveFresh(ctx context.Context, owner string, q Quota, units map[string]int, use Usage) (c *charge, err error) {
	if q.UnitsQueued == 0 {
		return a.reserve(owner, q, units, use)
	}
	for _, age := range []time.Duration{queueAge, queueAgeFull} {
		fresh, bad := a.read(ctx, owner, age)
		if bad != nil {
			return nil, bad
		}
		if c, err = a.reserve(owner, q, units, use); err == nil || fresh {
			break // What was read just now tells nothing else if it is read again.
		}
	}
	return c, err
}

// reserve takes what a call asks for out of a quota.
func (a *Accounts) reserve(owner string, quota Quota, units map[string]int, use Usage) (*charge, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	now := a.Now()
	q := a.queue(owner)
	asked := used{images: use.Images}
	for id, n := range units {
		asked.units += int64(n - q.units(id))
	}
	spent := used{units: q.sum, images: a.images(owner, ledger.DayOf(now))}
	if err := quota.admits(spent, asked, now); err != nil {
		return nil, err
	}
	c := &charge{a: a, owner: owner, count: a.counting(owner), use: use, queue: q}
	c.count.add(use, 1)
	a.touch()
	if quota.UnitsQueued > 0 {
		for id, n := range units {
			c.held = append(c.held, q.hold(id, n))
		}
	}
	return c, nil
}

// Accepted ends a charge whose call was accepted.
func (c *charge) Accepted() {
	if c == nil {
		return
	}
	c.a.mu.Lock()
	for _, h := range c.held {
		h.accepted = true
	}
	c.a.mu.Unlock()
	c.a.Used(c.owner, c.use)
}

// Refund ends a charge whose call was not accepted.
func (c *charge) Refund() {
	if c == nil {
		return
	}
	c.Reduce(c.use)
	c.a.mu.Lock()
	defer c.a.mu.Unlock()
	for _, h := range c.held {
		c.queue.release(h)
	}
}

// Reduce takes back what a call turned out not to use.
func (c *charge) Reduce(part Usage) {
	if c == nil {
		return
	}
	c.a.mu.Lock()
	defer c.a.mu.Unlock()
	c.count.add(part, -1)
	c.use.add(part, -1)
	c.a.touch()
}

// Add counts what an owner used.
func (a *Accounts) Add(owner string, u Usage) {
	if a == nil || u == (Usage{}) {
		return
	}
	a.mu.Lock()
	a.counting(owner).add(u, 1)
	a.touch()
	a.mu.Unlock()
	a.Used(owner, u)
}

// counting is the count of an owner's present day. The caller holds mu.
func (a *Accounts) counting(owner string) *count {
	at := ownerDay{ledger.DayOf(a.Now()), owner}
	if a.own[at] == nil {
		a.own[at] = &count{}
	}
	return a.own[at]
}

// images is how many images an owner has asked for in a day, as far as it is known here. The caller holds mu.
func (a *Accounts) images(owner, day string) (n int64) {
	if c := a.own[ownerDay{day, owner}]; c != nil {
		n = c.Images
	}
	if a.others.day == day {
		n += a.others.images[ledger.OwnerMark(owner)]
	}
	return n
}

// touch asks for a write. The caller holds mu.
func (a *Accounts) touch() {
	select {
	case a.changed <- struct{}{}:
	default:
	}
}

// queue is what an owner has queued. The caller holds mu.
func (a *Accounts) queue(owner string) *queued {
	mark := ledger.OwnerMark(owner)
	q := a.queues[mark]
	if q == nil {
		q = &queued{all: map[string]*heldUnits{}}
		a.queues[mark] = q
	}
	return q
}

// load reads what other instances have counted today, unless the ledger has told all of it.
func (a *Accounts) load(ctx context.Context) error {
	a.loading.Lock()
	defer a.loading.Unlock()
	a.mu.Lock()
	o := &a.others
	if day := ledger.DayOf(a.Now()); o.day != day {
		o.day, o.whole, o.counts, o.images = day, false, map[string]otherCount{}, map[string]int64{}
	}
	day, whole, epoch := o.day, o.whole, o.epoch
	a.mu.Unlock()
	if whole {
		return nil
	}
	err := a.Views.Store.List(ctx, ledger.Scan{Prefix: prefix + day}, func(r ledger.Record) bool {
		a.heard(r)
		return true
	})
	if err != nil {
		return err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	o.whole = o.told && o.day == day && o.epoch == epoch
	return nil
}

// Noticed takes in what concerns accounts of a record that somebody has written.
func (a *Accounts) Noticed(r ledger.Record) {
	words := strings.Split(r.Key, ".")
	state, owner, _ := strings.Cut(r.Mark, " ")
	switch {
	case words[0] == "usage":
		a.heard(r)
	case words[0] == "job" && len(words) == 3 && ledger.State(state).Final():
		a.Ended(owner, words[2])
	}
}

// Follow begins or ends that the ledger tells what other instances count.
func (a *Accounts) Follow(on bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.others.told, a.others.whole = on, false
	a.others.epoch++
}

// heard takes in a record that an instance has written.
func (a *Accounts) heard(r ledger.Record) {
	words := strings.Split(r.Key, ".")
	images, err := strconv.ParseInt(r.Mark, 10, 64)
	if len(words) != 4 || err != nil || words[3] == a.instance {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	o := &a.others
	if words[1] != o.day { // Of another day, or nobody has asked yet: load will.
		return
	}
	if old := o.counts[r.Key]; old.revision < r.Revision {
		o.images[words[2]] += images - old.images
		o.counts[r.Key] = otherCount{r.Revision, images}
	}
}
