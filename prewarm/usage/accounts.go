// Package usage enforces the quotas of tokens, and counts what they use per day. Each instance writes its own counts;
// the sum over all instances is the usage of a token.
package usage

import (
	"context"
	"crypto/rand"
	"log/slog"
	"maps"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/goldcrest/goldcrest/fault"
	"github.com/goldcrest/goldcrest/prewarm/ledger"
)

// Deps are the dependencies of Accounts. All must be set.
type Deps struct {
	Views *ledger.Views
	// Quotas returns those of all configured owners, including owners without a limit.
	Quotas func() map[string]Quota
	Used   func(owner string, u Usage) // called with everything that is counted
	Log    *slog.Logger
	Now    func() time.Time
}

// Accounts enforce the quotas of owners and count their usage. They are safe for concurrent use.
//
// Every instance counts its own part by owner and day in UTC, and stores it in its own ledger records,
// "usage.<day>.<owner>.<instance>". The sum over the instances is the owner's usage. Queued units are not counted but
// read: they are those of the active jobs.
type Accounts struct {
	Deps
	instance string

	changed chan struct{} // has an element when there is something to write
	writing sync.Mutex    // held while counts are written
	loading sync.Mutex    // held while the counts of other instances are read

	mu     sync.Mutex
	own    map[ownerDay]*count
	queues map[string]*queued // by OwnerMark
	others others
}

// ownerDay is the key of a count.
type ownerDay struct{ day, owner string }

// count is the part counted by this instance.
type count struct {
	Usage
	written  Usage
	revision uint64
}

// others is what the other instances have counted today. It is read once; after that the ledger reports changes.
type others struct {
	day    string
	whole  bool // the counts of the whole day are known
	told   bool // the ledger reports changes
	epoch  int  // incremented when told changes
	counts map[string]otherCount
	images map[string]int64         // sums by OwnerMark
	early  map[string]ledger.Record // reported before their day was loaded, by key: a list that lags may lack them
	since  string                   // the day from which on early has some
}

type otherCount struct {
	revision uint64
	images   int64
}

// Delays after which jobs of other instances, and the ends of jobs, are seen.
const (
	queueAge     = time.Second            // how long a reading of what is queued is used
	queueAgeFull = 100 * time.Millisecond // the same if it would make a call be refused
	interval     = 2 * time.Second        // between two writes of counts
)

// New returns Accounts that write nothing before Run.
func New(p Deps) *Accounts {
	return &Accounts{
		Deps: p, instance: rand.Text(), changed: make(chan struct{}, 1),
		own: map[ownerDay]*count{}, queues: map[string]*queued{},
	}
}

// charge is what a call is charged: queued units, and the counts of the day.
type charge struct {
	a     *Accounts
	owner string
	count *count
	use   Usage
	held  []*heldUnits
	queue *queued
}

// Charge counts what a call of owner requests, unless that exceeds the owner's quota. units are the queued units by
// job; use is what the day counts. The caller ends the charge with Accepted or Refund. Nil Accounts charge nothing.
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
	if q.ImagesADay > 0 { // on disk before the call is accepted, so that a killed process forgets nothing
		if err := a.write(ctx); err != nil {
			c.Refund()
			return nil, err
		}
	}
	return c, nil
}

// reserveFresh is reserve, but reads again what is queued before it refuses a call because of an older reading.
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
			break // a new reading would give the same
		}
	}
	return c, err
}

// reserve subtracts what a call requests from a quota.
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

// Reduce gives back what a call turned out not to use.
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

// Add adds to the usage of an owner.
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

// counting returns the count of an owner for today. The caller holds mu.
func (a *Accounts) counting(owner string) *count {
	at := ownerDay{ledger.DayOf(a.Now()), owner}
	if a.own[at] == nil {
		a.own[at] = &count{}
	}
	return a.own[at]
}

// images is how many images an owner has requested in a day, as far as this instance knows. The caller holds mu.
func (a *Accounts) images(owner, day string) (n int64) {
	if c := a.own[ownerDay{day, owner}]; c != nil {
		n = c.Images
	}
	if a.others.day == day {
		n += a.others.images[ledger.OwnerMark(owner)]
	}
	return n
}

// touch requests a write. The caller holds mu.
func (a *Accounts) touch() {
	select {
	case a.changed <- struct{}{}:
	default:
	}
}

// queue returns what an owner has queued. The caller holds mu.
func (a *Accounts) queue(owner string) *queued {
	mark := ledger.OwnerMark(owner)
	q := a.queues[mark]
	if q == nil {
		q = &queued{all: map[string]*heldUnits{}}
		a.queues[mark] = q
	}
	return q
}

// load reads what other instances have counted today, unless the ledger has reported all of it.
func (a *Accounts) load(ctx context.Context) error {
	a.loading.Lock()
	defer a.loading.Unlock()
	a.mu.Lock()
	o := &a.others
	if day := ledger.DayOf(a.Now()); o.day != day {
		o.day, o.whole, o.counts, o.images = day, false, map[string]otherCount{}, map[string]int64{}
	}
	day, whole, epoch, early := o.day, o.whole, o.epoch, o.early
	o.early = nil
	a.mu.Unlock()
	for _, r := range early {
		a.heard(r)
	}
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

// Noticed applies a record that any instance has written, if it concerns accounts.
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

// Follow records whether the ledger reports the counts of other instances from now on.
func (a *Accounts) Follow(on bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.others.told, a.others.whole = on, false
	a.others.epoch++
}

// heard applies a usage record that an instance has written.
func (a *Accounts) heard(r ledger.Record) {
	words := strings.Split(r.Key, ".")
	images, err := strconv.ParseInt(r.Mark, 10, 64)
	if len(words) != 4 || err != nil || words[3] == a.instance {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	o := &a.others
	if words[1] != o.day {
		o.expect(words[1], ledger.DayOf(a.Now()), r)
		return
	}
	if old := o.counts[r.Key]; old.revision < r.Revision {
		o.images[words[2]] += images - old.images
		o.counts[r.Key] = otherCount{r.Revision, images}
	}
}

// expect keeps a record of a day that is not loaded yet. Those of past days are dropped: without quotas no day is loaded.
func (o *others) expect(day, today string, r ledger.Record) {
	if o.early == nil {
		o.early = map[string]ledger.Record{}
	}
	if o.since != today {
		o.since = today
		maps.DeleteFunc(o.early, func(key string, _ ledger.Record) bool { return strings.Split(key, ".")[1] < today })
	}
	if day >= today {
		o.early[r.Key] = r
	}
}
