// Package ledgertest holds the conformance suites of ledger.Store and ledger.Queue, and a store and queue in memory
// that passes them.
package ledgertest

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"maps"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/goldcrest/goldcrest/fault"
	"github.com/goldcrest/goldcrest/prewarm/ledger"
)

// Memory is a ledger.Store and a ledger.Queue in memory.
type Memory struct {
	mu        sync.Mutex
	onWrite   func(r *ledger.Record) error
	deaf      error  // what Follow returns
	last      uint64 // revision of a record, or place of a ticket in the queue
	records   map[string]ledger.Record
	followers map[*follower]bool
	tickets   map[ledger.Ticket]*queued
	changed   chan struct{} // closed, and replaced, when a ticket may be due
}

// queued is a ticket's place in the queue.
type queued struct {
	place uint64
	due   time.Time
	taken bool // in progress
}

// follower is one call of Follow.
type follower struct {
	prefixes []string
	news     []ledger.Record
	wake     chan struct{}
}

// New makes an empty Memory.
func New() *Memory {
	return &Memory{
		records: map[string]ledger.Record{}, followers: map[*follower]bool{},
		tickets: map[ledger.Ticket]*queued{}, changed: make(chan struct{}),
	}
}

// OnWrite has f called with each record before it is written or deleted. An error of f ends that Write. f must not use
// the Memory.
func (m *Memory) OnWrite(f func(r *ledger.Record) error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.onWrite = f
}

// FailFollow ends every Follow with err, also later ones; nil = they can follow again.
func (m *Memory) FailFollow(err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.deaf = err
	for f := range m.followers {
		f.rouse()
	}
}

// rouse has the follower look again.
func (f *follower) rouse() {
	select {
	case f.wake <- struct{}{}:
	default:
	}
}

// keys and marks are those that the contract allows.
var (
	keys  = regexp.MustCompile(`^[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+){1,4}$`)
	marks = regexp.MustCompile(`^[ -~]*$`)
)

func valid(r *ledger.Record) bool {
	return keys.MatchString(r.Key) && marks.MatchString(r.Mark) && len(r.Mark) <= 4<<10 && len(r.Body) <= ledger.MaxBody
}

// Write implements ledger.Store.
func (m *Memory) Write(ctx context.Context, records ...*ledger.Record) error {
	if err := ended(ctx); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	var conflict error
	for _, r := range records {
		err := m.write(r)
		if errors.Is(err, ledger.ErrConflict) {
			conflict = err
		} else if err != nil {
			return err
		}
	}
	return conflict
}

func (m *Memory) write(r *ledger.Record) error {
	if m.onWrite != nil {
		if err := m.onWrite(r); err != nil {
			return err
		}
	}
	if !valid(r) {
		return fault.New(fault.Internal, "ledgertest.Write", "the record "+r.Key+" is not a valid record", nil)
	}
	now, exists := m.records[r.Key]
	switch {
	case r.Body == nil && r.Mark == "":
		if exists && now.Revision == r.Revision {
			delete(m.records, r.Key)
		}
		return nil
	case now.Revision == r.Revision:
	case exists && now.Mark == r.Mark && bytes.Equal(now.Body, r.Body):
		r.Revision = now.Revision
		return nil
	default:
		return ledger.ErrConflict
	}
	m.last++
	r.Revision = m.last
	written := ledger.Record{Key: r.Key, Revision: r.Revision, Mark: r.Mark, Body: bytes.Clone(r.Body), At: time.Now()}
	m.records[r.Key] = written
	m.tell(written)
	return nil
}

// tell tells the followers of a record. The caller holds mu.
func (m *Memory) tell(r ledger.Record) {
	r.Body = nil
	for f := range m.followers {
		if slices.ContainsFunc(f.prefixes, func(p string) bool { return strings.HasPrefix(r.Key, p+".") }) {
			f.news = append(f.news, r)
			f.rouse()
		}
	}
}

// Read implements ledger.Store.
func (m *Memory) Read(ctx context.Context, key string) (ledger.Record, error) {
	if err := ended(ctx); err != nil {
		return ledger.Record{}, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	r, ok := m.records[key]
	if !ok {
		return ledger.Record{}, ledger.ErrNoRecord
	}
	r.Body = bytes.Clone(r.Body)
	return r, nil
}

// List implements ledger.Store. It yields the records that exist when it begins.
func (m *Memory) List(ctx context.Context, s ledger.Scan, yield func(ledger.Record) bool) error {
	m.mu.Lock()
	all := slices.SortedFunc(maps.Values(m.records), func(a, b ledger.Record) int {
		return cmp.Compare(a.Revision, b.Revision)
	})
	m.mu.Unlock()
	for _, r := range all {
		if err := ended(ctx); err != nil {
			return err
		}
		if !strings.HasPrefix(r.Key, s.Prefix+".") || r.At.Before(s.Since) {
			continue
		}
		if r.Body = bytes.Clone(r.Body); !s.Bodies {
			r.Body = nil
		}
		if !yield(r) {
			return nil
		}
	}
	return ended(ctx)
}

// Follow implements ledger.Store.
func (m *Memory) Follow(ctx context.Context, prefixes []string, started func(), each func(ledger.Record)) error {
	f := &follower{prefixes: prefixes, wake: make(chan struct{}, 1)}
	m.mu.Lock()
	m.followers[f] = true
	deaf := m.deaf
	m.mu.Unlock()
	defer func() {
		m.mu.Lock()
		delete(m.followers, f)
		m.mu.Unlock()
	}()
	if deaf != nil {
		return deaf
	}
	started()
	for deaf == nil {
		select {
		case <-ctx.Done():
			return nil
		case <-f.wake:
		}
		m.mu.Lock()
		news := f.news
		f.news, deaf = nil, m.deaf
		m.mu.Unlock()
		for _, r := range news {
			each(r)
		}
	}
	return deaf
}

// Put implements ledger.Queue.
func (m *Memory) Put(ctx context.Context, tickets ...ledger.Ticket) error {
	if err := ended(ctx); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, t := range tickets {
		if m.tickets[t] == nil {
			m.last++
			m.tickets[t] = &queued{place: m.last}
		}
	}
	m.wake()
	return nil
}

// wake has the consumers look again. The caller holds mu.
func (m *Memory) wake() {
	close(m.changed)
	m.changed = make(chan struct{})
}

// Consume implements ledger.Queue.
func (m *Memory) Consume(ctx context.Context, lanes []string, slots int, h ledger.Handler) error {
	var running sync.WaitGroup
	defer running.Wait()
	for range slots {
		running.Go(func() {
			for ctx.Err() == nil {
				t, wait, changed := m.take(lanes)
				if wait == 0 {
					m.give(t, handle(ctx, t, h))
					continue
				}
				select {
				case <-time.After(wait):
				case <-changed:
				case <-ctx.Done():
				}
			}
		})
	}
	return nil
}

// handle runs the handler. After a panic the ticket is delivered again.
func handle(ctx context.Context, t ledger.Ticket, h ledger.Handler) (again time.Duration) {
	defer func() {
		if recover() != nil {
			again = time.Minute
		}
	}()
	return h(ctx, t)
}

// take takes the first ticket that is due, or says how long to wait for one.
func (m *Memory) take(lanes []string) (t ledger.Ticket, wait time.Duration, changed <-chan struct{}) {
	m.mu.Lock()
	defer m.mu.Unlock()
	wait = time.Hour
	for _, lane := range lanes {
		var first *queued
		for ticket, q := range m.tickets {
			if ticket.Lane != lane || q.taken {
				continue
			}
			if d := time.Until(q.due); d > 0 {
				wait = min(wait, d)
			} else if first == nil || q.place < first.place {
				t, first = ticket, q
			}
		}
		if first != nil {
			first.taken = true
			return t, 0, nil
		}
	}
	return t, wait, m.changed
}

// give gives a ticket back that was taken.
func (m *Memory) give(t ledger.Ticket, again time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	q := m.tickets[t]
	switch {
	case q == nil: // lost
	case again == 0:
		delete(m.tickets, t)
	default:
		q.due, q.taken = time.Now().Add(again), false
	}
	m.wake()
}

// Waiting implements ledger.Queue.
func (m *Memory) Waiting(ctx context.Context, lane string) (n int, err error) {
	for _, t := range m.Tickets() {
		if t.Lane == lane {
			n++
		}
	}
	return n, ended(ctx)
}

// Room implements ledger.Queue.
func (m *Memory) Room(ctx context.Context) error { return ended(ctx) }

// Tickets returns the tickets in the order in which they were put.
func (m *Memory) Tickets() []ledger.Ticket {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.SortedFunc(maps.Keys(m.tickets), func(a, b ledger.Ticket) int {
		return cmp.Compare(m.tickets[a].place, m.tickets[b].place)
	})
}

// LoseTickets loses all tickets, as if with their disk.
func (m *Memory) LoseTickets() {
	m.mu.Lock()
	defer m.mu.Unlock()
	clear(m.tickets)
}

// ended returns the fault of a call whose ctx has ended.
func ended(ctx context.Context) error {
	if ctx.Err() == nil {
		return nil
	}
	return fault.New(fault.Canceled, "ledgertest", "the call was cancelled", ctx.Err())
}
