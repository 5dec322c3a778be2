package usage

import (
	"context"
	"strings"
	"sync"
	"time"

	"github.com/goldcrest/goldcrest/fault"
	"github.com/goldcrest/goldcrest/prewarm/ledger"
)

// queued is what an owner has queued: the last reading, and what this instance has accepted since.
type queued struct {
	reading sync.Mutex // held while it is read

	at  time.Time // time of the last reading; zero = none yet
	all map[string]*heldUnits
	sum int64
}

// heldUnits are the units of one job.
type heldUnits struct {
	id       string
	units    int
	accepted bool       // its records are on disk
	before   *heldUnits // for a retry of a job that has not ended: what it replaces
}

// units returns the units already counted for a job.
func (q *queued) units(id string) int {
	if h := q.all[id]; h != nil {
		return h.units
	}
	return 0
}

// hold counts the units of a job, once.
func (q *queued) hold(id string, units int) *heldUnits {
	h := &heldUnits{id: id, units: units, before: q.all[id]}
	q.sum += int64(units - q.units(id))
	q.all[id] = h
	return h
}

// release undoes hold.
func (q *queued) release(h *heldUnits) {
	if q.all[h.id] != h {
		return // it was read since
	}
	q.sum -= int64(h.units)
	delete(q.all, h.id)
	if h.before != nil {
		q.all[h.id] = h.before
		q.sum += int64(h.before.units)
	}
}

// Ended removes the units of a job that has ended. mark is the OwnerMark.
func (a *Accounts) Ended(mark, id string) {
	if a == nil {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if q := a.queues[mark]; q != nil {
		q.sum -= int64(q.units(id))
		delete(q.all, id)
	}
}

// read reads what an owner has queued, unless the last reading is younger than age. fresh says that it was read now.
func (a *Accounts) read(ctx context.Context, owner string, age time.Duration) (fresh bool, err error) {
	a.mu.Lock()
	q := a.queue(owner)
	a.mu.Unlock()
	q.reading.Lock()
	defer q.reading.Unlock()
	a.mu.Lock()
	young := a.Now().Sub(q.at)
	seen := map[*heldUnits]bool{} // a reading that begins now sees them, unless they have ended
	for _, h := range q.all {
		seen[h] = h.accepted
	}
	a.mu.Unlock()
	if young >= 0 && young < age {
		return false, nil
	}
	active, err := a.unitsOf(ctx, owner)
	if err != nil {
		return false, err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	all, sum := make(map[string]*heldUnits, len(active)), int64(0)
	for id, n := range active {
		all[id] = &heldUnits{id: id, units: n, accepted: true}
	}
	for id, h := range q.all {
		if !seen[h] {
			all[id] = h
		}
	}
	for _, h := range all {
		sum += int64(h.units)
	}
	q.at, q.all, q.sum = a.Now(), all, sum
	return true, nil
}

// unitsOf returns the units of an owner's unfinished work, by job, or by record for a picture of the predecessor's
// call.
func (a *Accounts) unitsOf(ctx context.Context, owner string) (map[string]int, error) {
	var ids []string
	err := a.Views.Store.List(ctx, ledger.Scan{Prefix: "active"}, func(r ledger.Record) bool {
		if of, told := strings.CutPrefix(r.Mark, ledger.ActiveOf); !told || of == ledger.OwnerMark(owner) {
			ids = append(ids, r.Key[len("active."):])
		}
		return true
	})
	if err != nil {
		return nil, err
	}
	units := map[string]int{}
	for _, id := range ids {
		v, err := a.Views.View(ctx, id)
		if fault.KindOf(err) == fault.NoSuchJob {
			continue // it is just being accepted, or was deleted
		}
		if err != nil {
			return nil, err
		}
		if j := v.Record(); j.Owner == owner && !j.Ended {
			units[id] = j.Counts.DataUnits
		}
	}
	err = a.Views.Store.List(ctx, ledger.Scan{Prefix: ledger.PictureRecords + ledger.OwnerMark(owner)}, func(r ledger.Record) bool {
		units[r.Key] = 1
		return true
	})
	return units, err
}
