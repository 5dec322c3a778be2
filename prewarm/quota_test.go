package prewarm

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/goldcrest/goldcrest/fault"
	"github.com/goldcrest/goldcrest/pipeline"
	"github.com/goldcrest/goldcrest/prewarm/ledger"
	"github.com/goldcrest/goldcrest/prewarm/ledger/ledgertest"
	"github.com/goldcrest/goldcrest/prewarm/unit"
	"github.com/goldcrest/goldcrest/prewarm/usage"
	"github.com/goldcrest/goldcrest/variant"
)

// quotas are the quotas of a test; set changes them like a reload.
type quotas struct {
	mu  sync.Mutex
	all map[string]usage.Quota
}

func (q *quotas) get() map[string]usage.Quota {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.all
}

func (q *quotas) set(all map[string]usage.Quota) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.all = all
}

// newQuotaDoor is an instance on a ledger that other instances may share.
func newQuotaDoor(t *testing.T, m *ledgertest.Memory, q *quotas) *door {
	t.Helper()
	d := newDoor(t, func(_ *Config, deps *Deps) {
		deps.Ledger, deps.Queue, deps.Quotas = m, m, q.get
	})
	d.memory = m
	return d
}

// ask posts n units of one image each; the images differ from those of other names.
func (d *door) ask(t *testing.T, owner, name string, n int) (Accepted, error) {
	t.Helper()
	c := unit.Call{}
	for i := range n {
		u := oneCall(fmt.Sprintf("https://c.example/%s/%d.jpg", name, i)).Units[0]
		u.Index = i
		c.Units = append(c.Units, u)
	}
	return d.Accept(t.Context(), owner, "", [32]byte{}, c)
}

// mustAsk is ask for a call that must be accepted.
func (d *door) mustAsk(t *testing.T, owner, name string, n int) string {
	t.Helper()
	a, err := d.ask(t, owner, name, n)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return a.Job.ID
}

// mustRefuse is ask for a call that the quota must refuse; said is a part of the error text.
func (d *door) mustRefuse(t *testing.T, owner, name string, n int, said string) *fault.Error {
	t.Helper()
	_, err := d.ask(t, owner, name, n)
	f := fault.Of(err)
	if f == nil || f.Kind != fault.QuotaExceeded || !strings.Contains(f.Public, said) {
		t.Fatalf("%s: got %v, want quota_exceeded: %s", name, err, said)
	}
	return f
}

// jobRecords counts the records of jobs.
func (d *door) jobRecords(t *testing.T) (n int) {
	t.Helper()
	for _, prefix := range []string{"job", "task", "active"} {
		err := d.memory.List(t.Context(), ledger.Scan{Prefix: prefix}, func(ledger.Record) bool { n++; return true })
		if err != nil {
			t.Fatal(err)
		}
	}
	return n
}

// Units count until their job has ended. Other tokens have their own quotas.
func TestQuotaOfQueuedUnits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newQuotaDoor(t, ledgertest.New(), &quotas{all: map[string]usage.Quota{"anna": {UnitsQueued: 3}}})
		hold := make(chan struct{})
		d.warm = func(ref variant.Ref, _ int) pipeline.Warmed { <-hold; return stored(ref, 100) }
		defer d.run(t)()
		first := d.mustAsk(t, "anna", "a", 2)
		before := d.jobRecords(t)
		f := d.mustRefuse(t, "anna", "b", 2, "units_queued is used up: 3 Data Units may be queued, 2 are, this call has 2")
		if f.RetryAfter <= 0 || d.jobRecords(t) != before {
			t.Errorf("Retry-After %v, %d records, %d before", f.RetryAfter, d.jobRecords(t), before)
		}
		d.mustRefuse(t, "anna", "c", 4, "is smaller than this call, which has to be split")
		d.mustAsk(t, "bob", "d", 9)
		d.mustAsk(t, "anna", "e", 1)
		d.mustRefuse(t, "anna", "f", 1, "3 are")
		close(hold)
		if j, err := d.Job(t.Context(), first, time.Hour); err != nil || !j.State.Final() {
			t.Fatal(j.State, err)
		}
		synctest.Wait()
		d.mustAsk(t, "anna", "g", 3)
	})
}

// A refused call releases its Idempotency-Key.
func TestQuotaGivesTheKeyBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := &quotas{all: map[string]usage.Quota{"anna": {ImagesADay: 1}}}
		d := newQuotaDoor(t, ledgertest.New(), q)
		defer d.run(t)()
		c := oneCall("https://c.example/1.jpg", "https://c.example/2.jpg")
		if _, err := d.Accept(t.Context(), "anna", "key", [32]byte{1}, c); fault.KindOf(err) != fault.QuotaExceeded {
			t.Fatal(err)
		}
		q.set(map[string]usage.Quota{"anna": {ImagesADay: 2}})
		for replayed := range 2 { // a replay is not a new call
			a, err := d.Accept(t.Context(), "anna", "key", [32]byte{1}, c)
			if err != nil || a.Replayed != (replayed == 1) {
				t.Fatal(replayed, a.Replayed, err)
			}
		}
	})
}

// Images count per day in UTC: across a killed process, for all instances, and from 0 the next day.
func TestQuotaOfImagesADay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, q := ledgertest.New(), &quotas{all: map[string]usage.Quota{"anna": {ImagesADay: 5}}}
		killed := newQuotaDoor(t, m, q)
		killed.mustAsk(t, "anna", "a", 2)
		d, other := newQuotaDoor(t, m, q), newQuotaDoor(t, m, q)
		defer d.run(t)()
		defer other.Close()
		defer killed.Close()
		synctest.Wait() // until they follow
		d.mustAsk(t, "anna", "b", 1)
		other.mustRefuse(t, "anna", "c", 3, "5 images may be asked for in a day of UTC, 3 were, this call has 3")
		d.mustAsk(t, "anna", "d", 1)
		synctest.Wait() // until the other one has received the report
		f := other.mustRefuse(t, "anna", "e", 2, "4 were")
		if got := time.Now().UTC().Add(f.RetryAfter); got.Hour() != 0 || got.Minute() != 0 || f.RetryAfter > 24*time.Hour {
			t.Errorf("Retry-After is %v, at %v", f.RetryAfter, got)
		}
		other.mustAsk(t, "bob", "f", 9)
		time.Sleep(f.RetryAfter)
		other.mustAsk(t, "anna", "g", 3)
		synctest.Wait()
		d.mustRefuse(t, "anna", "h", 3, "3 were")
	})
}

// While the ledger cannot be followed, the counts of other instances are read for each call.
func TestQuotaWithoutFollowing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, q := ledgertest.New(), &quotas{all: map[string]usage.Quota{"anna": {ImagesADay: 3}}}
		d, other := newQuotaDoor(t, m, q), newQuotaDoor(t, m, q)
		defer d.Close()
		defer other.Close()
		synctest.Wait()
		other.mustAsk(t, "anna", "a", 1) // now it has read the day
		m.FailFollow(errSilent)
		synctest.Wait()
		d.mustAsk(t, "anna", "b", 1)
		other.mustRefuse(t, "anna", "c", 2, "2 were")
	})
}

// If many calls arrive at an instance at once, no more are accepted than the quota allows.
func TestQuotaHoldsWhenCallsComeTogether(t *testing.T) {
	for name, quota := range map[string]usage.Quota{"units": {UnitsQueued: 7}, "images": {ImagesADay: 7}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := newQuotaDoor(t, ledgertest.New(), &quotas{all: map[string]usage.Quota{"anna": quota}})
				defer d.Close() // there are no workers: no job ends
				var mu sync.Mutex
				accepted := 0
				var asking sync.WaitGroup
				for i := range 20 {
					asking.Go(func() {
						_, err := d.ask(t, "anna", fmt.Sprint(i), 1)
						mu.Lock()
						defer mu.Unlock()
						switch {
						case err == nil:
							accepted++
						case fault.KindOf(err) != fault.QuotaExceeded:
							t.Error(err)
						}
					})
				}
				asking.Wait()
				if accepted != 7 {
					t.Errorf("%d calls were accepted", accepted)
				}
				u := d.usage(t, anna, "")[0].Days[0]
				if u.Units != 7 || u.Images != 7 || u.Refused != 13 {
					t.Errorf("counted are %+v", u)
				}
			})
		})
	}
}

// What could not be recorded is not charged.
func TestQuotaIsGivenBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newQuotaDoor(t, ledgertest.New(), &quotas{all: map[string]usage.Quota{"anna": {UnitsQueued: 1, ImagesADay: 1}}})
		defer d.Close()
		for _, prefix := range []string{"usage.", "task.", "job."} {
			d.memory.OnWrite(func(r *ledger.Record) error {
				if strings.HasPrefix(r.Key, prefix) {
					return fault.New(fault.DiskFull, "test", "for a test", nil)
				}
				return nil
			})
			if _, err := d.ask(t, "anna", prefix, 1); fault.KindOf(err) != fault.DiskFull {
				t.Fatalf("%s: %v", prefix, err)
			}
		}
		d.memory.OnWrite(nil)
		d.mustAsk(t, "anna", "a", 1)
	})
}

// A job whose tickets could not be put exists, and counts. Its call gets an error, and the next sweep starts it.
func TestQuotaOfAJobWithoutTickets(t *testing.T) {
	d := newDoor(t, func(_ *Config, deps *Deps) {
		deps.Queue = noTickets{deps.Queue}
		deps.Quotas = func() map[string]usage.Quota { return map[string]usage.Quota{"anna": {ImagesADay: 1}} }
	})
	defer d.Close()
	if _, err := d.ask(t, "anna", "a", 1); !errors.Is(err, errSilent) {
		t.Fatal(err)
	}
	d.mustRefuse(t, "anna", "b", 1, "1 were")
}

// noTickets is a queue that accepts no tickets.
type noTickets struct{ ledger.Queue }

func (noTickets) Put(context.Context, ...ledger.Ticket) error { return errSilent }

// A quota that is added by a reload includes existing usage. A quota that is removed no longer applies.
func TestQuotaIsReloaded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := &quotas{}
		d := newQuotaDoor(t, ledgertest.New(), q)
		defer d.Close()
		d.mustAsk(t, "anna", "a", 2)
		q.set(map[string]usage.Quota{"anna": {UnitsQueued: 2}})
		d.mustRefuse(t, "anna", "b", 1, "2 are")
		q.set(map[string]usage.Quota{"anna": {ImagesADay: 2}})
		d.mustRefuse(t, "anna", "c", 1, "2 were")
		q.set(map[string]usage.Quota{"anna": {UnitsQueued: 3, ImagesADay: 3}})
		d.mustAsk(t, "anna", "d", 1)
		q.set(nil)
		d.mustAsk(t, "anna", "e", 5)
	})
}

// A retry costs fetches like a call. It counts the images that it repeats, and its units are queued once.
func TestQuotaOfRetries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := &quotas{all: map[string]usage.Quota{"anna": {UnitsQueued: 3, ImagesADay: 6}}}
		d := newQuotaDoor(t, ledgertest.New(), q)
		d.warm = func(ref variant.Ref, _ int) pipeline.Warmed {
			if strings.HasSuffix(ref.Source, "/0.jpg") {
				return refused(ref, fault.SourceNotFound)
			}
			return stored(ref, 100)
		}
		defer d.run(t)()
		id := d.mustAsk(t, "anna", "a", 3)
		ended := func() {
			t.Helper()
			if j, err := d.Job(t.Context(), id, time.Hour); err != nil || j.Counts.Broken != 1 || !j.State.Final() {
				t.Fatal(j, err)
			}
			synctest.Wait()
		}
		ended()
		for range 2 { // the broken one, twice
			if _, err := d.Retry(t.Context(), id); err != nil {
				t.Fatal(err)
			}
			ended()
		}
		d.mustRefuse(t, "anna", "b", 2, "5 were")
		q.set(map[string]usage.Quota{"anna": {ImagesADay: 5}})
		if _, err := d.Retry(t.Context(), id); fault.KindOf(err) != fault.QuotaExceeded {
			t.Error(err)
		}
		q.set(map[string]usage.Quota{"anna": {UnitsQueued: 2}})
		if _, err := d.Retry(t.Context(), id); fault.KindOf(err) != fault.QuotaExceeded {
			t.Error(err)
		}
		if j, err := d.Job(t.Context(), id, 0); err != nil || !j.State.Final() {
			t.Errorf("a retry that was refused opened the job: %v, %v", j.State, err)
		}
	})
}

// If the ledger does not respond, calls of tokens with a quota are refused: their usage is unknown.
func TestQuotaNeedsTheLedger(t *testing.T) {
	for _, quota := range []usage.Quota{{UnitsQueued: 9}, {ImagesADay: 9}} {
		d := newDoor(t, func(_ *Config, deps *Deps) {
			deps.Ledger = silentLists{deps.Ledger}
			deps.Quotas = func() map[string]usage.Quota { return map[string]usage.Quota{"anna": quota} }
		})
		if _, err := d.ask(t, "anna", "a", 1); !errors.Is(err, errSilent) {
			t.Errorf("%+v: %v", quota, err)
		}
		d.Close()
	}
}

var errSilent = errors.New("for a test")

// silentLists is a ledger whose lists fail.
type silentLists struct{ ledger.Store }

func (silentLists) List(context.Context, ledger.Scan, func(ledger.Record) bool) error {
	return errSilent
}
