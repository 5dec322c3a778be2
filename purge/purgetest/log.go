// Package purgetest holds the conformance suite of purge.Log and a log in memory that passes it.
package purgetest

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/goldcrest/goldcrest/purge"
)

// errCut says that a handle is disconnected.
var errCut = errors.New("purgetest: cut off")

// Log is a log in memory. Each instance has a Handle. Safe for concurrent use.
type Log struct {
	mu      sync.Mutex
	epoch   int64
	records []purge.Record
	seq     uint64
	changed chan struct{} // closed, and replaced, at every change
}

// NewLog makes an empty log.
func NewLog() *Log {
	return &Log{epoch: time.Now().UnixMilli(), changed: make(chan struct{})}
}

// Remake loses all records and begins a new log.
func (l *Log) Remake() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.epoch, l.seq, l.records = max(l.epoch+1, time.Now().UnixMilli()), 0, nil
	l.wake()
}

func (l *Log) wake() {
	close(l.changed)
	l.changed = make(chan struct{})
}

func (l *Log) append(name string, body []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.seq++
	l.records = append(l.records, purge.Record{Place: purge.Place{Epoch: l.epoch, Seq: l.seq}, Name: name, Body: slices.Clone(body)})
	l.wake()
}

// read returns the records after a place, and a channel that is closed when there are more.
func (l *Log) read(after purge.Place) ([]purge.Record, purge.Place, <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	last := purge.Place{Epoch: l.epoch, Seq: l.seq}
	if after.Epoch != l.epoch || after.Seq > l.seq {
		return slices.Clone(l.records), last, l.changed
	}
	return slices.Clone(l.records[after.Seq:]), last, l.changed
}

// Handle is one instance's connection to the log.
type Handle struct {
	log   *Log
	Delay func() time.Duration // of each record, in both directions; nil = none

	mu  sync.Mutex
	cut chan struct{} // closed while the instance is connected
}

var _ purge.Log = (*Handle)(nil)

// Handle makes a connection.
func (l *Log) Handle() *Handle {
	open := make(chan struct{})
	close(open)
	return &Handle{log: l, cut: open}
}

// Cut disconnects the instance, or connects it again.
func (h *Handle) Cut(off bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	select {
	case <-h.cut:
		if off {
			h.cut = make(chan struct{})
		}
	default:
		if !off {
			close(h.cut)
		}
	}
}

func (h *Handle) reach() <-chan struct{} {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.cut
}

// travel waits for the delay and until the instance is connected.
func (h *Handle) travel(ctx context.Context) error {
	if h.Delay != nil {
		select {
		case <-time.After(h.Delay()):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	select {
	case <-h.reach():
		return nil
	case <-ctx.Done():
		return errors.Join(errCut, ctx.Err())
	}
}

// Append implements purge.Log.
func (h *Handle) Append(ctx context.Context, name string, body []byte) error {
	if err := h.travel(ctx); err != nil {
		return err
	}
	h.log.append(name, body)
	return h.travel(ctx)
}

// Follow implements purge.Log.
func (h *Handle) Follow(ctx context.Context, after purge.Place, begun func(purge.Place), each func(purge.Record)) error {
	if err := h.travel(ctx); err != nil {
		return ended(ctx, err)
	}
	_, last, _ := h.log.read(after)
	begun(last)
	for epoch := last.Epoch; ; {
		records, last, changed := h.log.read(after)
		if last.Epoch != epoch { // as a consumer of a recreated stream, it gets no more records
			<-ctx.Done()
			return nil
		}
		for _, r := range records {
			if err := h.travel(ctx); err != nil {
				return ended(ctx, err)
			}
			each(r)
			after = r.Place
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil
		}
	}
}

// ended is nil if the caller ended it.
func ended(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// Records returns all records.
func (l *Log) Records() []purge.Record {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.records)
}
