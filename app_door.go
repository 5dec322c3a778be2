package main

import (
	"context"
	"errors"
	"io"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/goldcrest/goldcrest/fault"
	"github.com/goldcrest/goldcrest/prewarm"
	"github.com/goldcrest/goldcrest/server"
	"github.com/goldcrest/goldcrest/variant"
)

// door is the prewarm door as the server sees it. A queue that cannot be opened (a full disk, a cluster that is down) keeps nobody
// from their pictures: the server begins without it, every call is refused as one that may come again, and the queue is tried again.
type door struct {
	parts   atomic.Pointer[background] // nil = not open yet
	refusal atomic.Pointer[fault.Error]
}

var (
	_ server.Prewarm     = (*door)(nil)
	_ server.Predecessor = (*door)(nil)
)

// reopenEvery is the pause between two tries to open the queue.
const reopenEvery = 5 * time.Second

// shut says why the door is not open.
func (d *door) shut(err error) {
	f := fault.New(fault.Overloaded, "main.door", "the prewarm queue does not answer; try again shortly", err)
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EROFS) || errors.Is(err, syscall.EDQUOT) || strings.Contains(err.Error(), "no space left") {
		f = fault.New(fault.DiskFull, "main.door", "the prewarm queue has no room left on its disk", err)
	}
	f.RetryAfter = reopenEvery
	d.refusal.Store(f)
}

// open gives what is behind the door.
func (d *door) open() (*background, error) {
	if b := d.parts.Load(); b != nil {
		return b, nil
	}
	return nil, d.refusal.Load()
}

// through calls the service if the door is open.
func through[T any](d *door, f func(*prewarm.Service) (T, error)) (T, error) {
	b, err := d.open()
	if err != nil {
		var none T
		return none, err
	}
	return f(b.service)
}

// page is what the listings of the service give.
type page[T any] struct {
	rows []T
	next string
}

// Accept implements server.Calls.
func (d *door) Accept(ctx context.Context, token, idem string, sum [32]byte, call prewarm.Call) (prewarm.Accepted, error) {
	return through(d, func(s *prewarm.Service) (prewarm.Accepted, error) { return s.Accept(ctx, token, idem, sum, call) })
}

// Refresh implements server.Calls.
func (d *door) Refresh(ctx context.Context, a prewarm.Accepted, call prewarm.Call) (prewarm.Accepted, error) {
	return through(d, func(s *prewarm.Service) (prewarm.Accepted, error) { return s.Refresh(ctx, a, call) })
}

// Weigh implements server.Prewarm.
func (d *door) Weigh(call prewarm.Call) (int, error) {
	return through(d, func(s *prewarm.Service) (int, error) { return s.Weigh(call) })
}

// Check implements server.Calls.
func (d *door) Check(ctx context.Context, asks []prewarm.CheckAsk, tell func(prewarm.Checked) error) error {
	_, err := through(d, func(s *prewarm.Service) (struct{}, error) { return struct{}{}, s.Check(ctx, asks, tell) })
	return err
}

// Retry implements server.Calls.
func (d *door) Retry(ctx context.Context, id string) (prewarm.Job, error) {
	return through(d, func(s *prewarm.Service) (prewarm.Job, error) { return s.Retry(ctx, id) })
}

// Cancel implements server.Calls.
func (d *door) Cancel(ctx context.Context, id string) (prewarm.Job, error) {
	return through(d, func(s *prewarm.Service) (prewarm.Job, error) { return s.Cancel(ctx, id) })
}

// Job implements server.Jobs.
func (d *door) Job(ctx context.Context, id string, wait time.Duration) (prewarm.Job, error) {
	return through(d, func(s *prewarm.Service) (prewarm.Job, error) { return s.Job(ctx, id, wait) })
}

// Jobs implements server.Jobs.
func (d *door) Jobs(ctx context.Context, who prewarm.Caller, limit int, cursor string) ([]prewarm.Job, string, error) {
	p, err := through(d, func(s *prewarm.Service) (p page[prewarm.Job], err error) {
		p.rows, p.next, err = s.Jobs(ctx, who, limit, cursor)
		return p, err
	})
	return p.rows, p.next, err
}

// Results implements server.Jobs.
func (d *door) Results(ctx context.Context, id string, f prewarm.ResultFilter, cursor string, limit int) ([]prewarm.Verdict, string, error) {
	p, err := through(d, func(s *prewarm.Service) (p page[prewarm.Verdict], err error) {
		p.rows, p.next, err = s.Results(ctx, id, f, cursor, limit)
		return p, err
	})
	return p.rows, p.next, err
}

// Watch implements server.Jobs.
func (d *door) Watch(ctx context.Context, id string) (<-chan prewarm.Job, error) {
	return through(d, func(s *prewarm.Service) (<-chan prewarm.Job, error) { return s.Watch(ctx, id) })
}

// Broken implements server.Jobs.
func (d *door) Broken(ctx context.Context, who prewarm.Caller, since time.Time, limit int) ([]prewarm.BrokenCount, error) {
	return through(d, func(s *prewarm.Service) ([]prewarm.BrokenCount, error) { return s.Broken(ctx, who, since, limit) })
}

// Sources implements server.Prewarm.
func (d *door) Sources(ctx context.Context, who prewarm.Caller, unit, tag string) ([]variant.Ref, error) {
	return through(d, func(s *prewarm.Service) ([]variant.Ref, error) { return s.Sources(ctx, who, unit, tag) })
}

// Stats implements server.Prewarm.
func (d *door) Stats(ctx context.Context) (prewarm.Stats, error) {
	return through(d, func(s *prewarm.Service) (prewarm.Stats, error) { return s.Stats(ctx) })
}

// Post implements server.Predecessor.
func (d *door) Post(ctx context.Context, body io.Reader, room func(pictures int) error) error {
	b, err := d.open()
	if err != nil {
		return err
	}
	return b.compat.Post(ctx, body, room)
}
