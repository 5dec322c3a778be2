package prewarm

import (
	"context"
	"encoding/hex"
	"fmt"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/goldcrest/goldcrest/fault"
	"github.com/goldcrest/goldcrest/prewarm/draft"
	"github.com/goldcrest/goldcrest/prewarm/ledger"
	"github.com/goldcrest/goldcrest/prewarm/unit"
	"github.com/goldcrest/goldcrest/prewarm/usage"
	"github.com/goldcrest/goldcrest/trace"
)

// Accept records a call and returns when all of it is on disk. token is the name of the API token. idem is the
// Idempotency-Key ("" = none): the same body with it gives the same job, another body is refused. Faults: bad_option,
// bad_unit (callback), idempotency_conflict, quota_exceeded, queue_full, disk_full.
func (s *Service) Accept(ctx context.Context, token, idem string, bodyHash [32]byte, call unit.Call) (Accepted, error) {
	if err := s.checkCallback(call.Callback); err != nil {
		return Accepted{}, err
	}
	d, err := s.Draft(call)
	if err != nil {
		return Accepted{}, err
	}
	id, err := uuid.NewV7()
	if err != nil {
		return Accepted{}, err
	}
	job := id.String()
	if idem != "" {
		known, free, err := s.claim(ctx, idemKey(token, idem), hex.EncodeToString(bodyHash[:]), job)
		if err != nil {
			return Accepted{}, err
		}
		if known != "" {
			return s.replay(ctx, d, known)
		}
		defer free()
	}
	err = s.admit(ctx)
	if err == nil {
		err = s.charged(ctx, d, job, token)
	}
	if err != nil {
		if idem != "" {
			s.disclaim(ctx, idemKey(token, idem), job)
		}
		return Accepted{}, err
	}
	s.deps.Observer.Accepted(d.Job.Counts.DataUnits, d.Job.Counts.Images)
	return s.answer(ctx, d, job)
}

// charged records a call if its token's quota allows it.
func (s *Service) charged(ctx context.Context, d *draft.Draft, job, token string) error {
	n := d.Job.Counts
	c, err := s.accounts.Charge(ctx, token, map[string]int{job: n.DataUnits}, usage.Usage{Units: int64(n.DataUnits), Images: int64(n.Images)})
	if err != nil {
		return err
	}
	if s.deps.Keep != nil && len(d.Links) > 0 {
		if err := s.deps.Keep(ctx, d.Links); err != nil {
			c.Refund()
			return err
		}
	}
	s.lookUp(ctx, d)
	if err = s.commit(ctx, d, job, token); err != nil && d.Job.Revision == 0 {
		c.Refund()
		return err
	}
	c.Accepted() // also if its tickets were not put: the job exists
	for _, t := range d.Tasks {
		s.accounts.Add(token, usage.Of(t))
	}
	return err
}

// Refresh returns the current response to a call, for callers that waited for their verdicts.
func (s *Service) Refresh(ctx context.Context, a Accepted, call unit.Call) (Accepted, error) {
	d, err := s.Draft(call)
	if err != nil {
		return Accepted{}, err
	}
	if err := s.overlay(ctx, d, a.Job.ID); err != nil {
		return Accepted{}, err
	}
	now, err := s.answer(ctx, d, a.Job.ID)
	now.Replayed = a.Replayed
	return now, err
}

// replay returns the response to a call that was accepted before.
func (s *Service) replay(ctx context.Context, d *draft.Draft, job string) (Accepted, error) {
	if err := s.overlay(ctx, d, job); err != nil {
		return Accepted{}, err
	}
	a, err := s.answer(ctx, d, job)
	a.Replayed = true
	return a, err
}

// backlog is the number of waiting tasks at a recent time.
type backlog struct {
	tasks int
	at    time.Time
}

// admit refuses calls for which there is no room.
func (s *Service) admit(ctx context.Context) error {
	if err := s.deps.Queue.Room(ctx); err != nil {
		return err
	}
	s.mu.Lock()
	b := s.backlog
	s.mu.Unlock()
	if now := s.deps.Now(); b.at.IsZero() || now.Sub(b.at) > time.Second || now.Before(b.at) {
		b = backlog{at: now}
		for _, lane := range []string{ledger.LaneHigh, ledger.LaneNormal, ledger.LaneLow} {
			n, err := s.deps.Queue.Waiting(ctx, lane)
			if err != nil {
				return err
			}
			b.tasks += n
		}
		s.mu.Lock()
		s.backlog = b
		s.mu.Unlock()
	}
	if b.tasks*ledger.TaskImages < s.cfg.Backlog {
		return nil
	}
	return fault.New(fault.QueueFull, "prewarm.Accept", "too many images are waiting; try again later", nil).
		After(30 * time.Second)
}

// lookers is the number of concurrent look-ups for a call; in a bucket each takes a round trip.
const lookers = 16

// lookUp marks stored variants as present, as far as the store responds in time. The workers find the rest.
func (s *Service) lookUp(ctx context.Context, d *draft.Draft) {
	ctx, cancel := context.WithTimeout(ctx, s.times.known)
	defer cancel()
	parser, now := s.deps.Parser(), s.deps.Now().UTC()
	todo := make(chan *draft.Drafted)
	var looking sync.WaitGroup
	for range lookers {
		looking.Go(func() {
			for x := range todo {
				refs, err := x.Plan.Refs(parser, x.Work.Source, x.Work.Share, d.Job.Within)
				if err != nil || ctx.Err() != nil {
					continue
				}
				s.caught("looking an image up", func() {
					found := s.deps.Known(ctx, refs)
					for i, w := range found {
						if w.Err == nil && w.Present {
							x.Work.Store(i, w.Meta, ledger.Present, now)
						}
					}
					if s.deps.Improve != nil {
						s.deps.Improve(found)
					}
				})
			}
		})
	}
	for _, x := range d.Works {
		if ctx.Err() != nil {
			break
		}
		if x.Work.Hash != "" {
			todo <- x
		}
	}
	close(todo)
	looking.Wait()
}

// commit writes the call to the ledger. The job's record comes last; the job exists only with it. Then its tickets are
// put. If the process dies before that, tend puts them, because the job is active.
func (s *Service) commit(ctx context.Context, d *draft.Draft, id, token string) error {
	j := d.Job
	j.Trace = trace.From(ctx).Parent()
	j.ID, j.Owner, j.Token, j.CreatedAt, j.State = id, token, token, s.deps.Now().UTC(), ledger.Queued
	var tickets []ledger.Ticket
	for n, t := range d.Tasks {
		if !t.Ended() {
			tickets = append(tickets, ledger.Ticket{Lane: j.Lane, ID: ticketID(id, n, j.Round)})
		}
	}
	last, err := j.Record()
	if err != nil {
		return err
	}
	if len(last.Body) > ledger.MaxBody {
		return fault.New(fault.BodyTooLarge, "prewarm.Accept", "the call asks for too many different lists of variants", nil)
	}
	// Work that has begun is completed, even if the caller hangs up.
	ctx = context.WithoutCancel(ctx)
	if err := s.writeTasks(ctx, d, id); err != nil {
		return err
	}
	v := s.Expect(id)
	if err := s.deps.Ledger.Write(ctx, last); err != nil {
		s.Drop(id, v)
		return err
	}
	j.Revision = last.Revision
	s.Install(v, j, d.Tasks)
	for _, t := range d.Tasks {
		s.events.Heard(j, t.Images)
	}
	if len(tickets) == 0 {
		return s.finish(ctx, id)
	}
	return s.deps.Queue.Put(ctx, tickets...)
}

// writeBatch is the number of tasks written at a time, so that not all records of a large call are in memory together.
const writeBatch = 128

// writeTasks writes the tasks of an accepted call, and finally the record that its job is active.
func (s *Service) writeTasks(ctx context.Context, d *draft.Draft, id string) error {
	for from, last := 0, false; !last; from += writeBatch {
		last = from+writeBatch >= len(d.Tasks)
		some := d.Tasks[from:min(from+writeBatch, len(d.Tasks))]
		var records []*ledger.Record
		for i, t := range some {
			r, err := t.Record(id, from+i)
			if err != nil {
				return err
			}
			records = append(records, r)
		}
		if last {
			records = append(records, ledger.ActiveRecord(id, d.Job.Owner))
		}
		if err := s.deps.Ledger.Write(ctx, records...); err != nil {
			return err
		}
		for i, t := range some {
			t.Revision = records[i].Revision
		}
	}
	return nil
}

// ticketID names a task in the queue. A retried task gets a new ticket, because the old one may be about to be deleted.
func ticketID(job string, n, round int) string { return fmt.Sprintf("%s.%05d.%d", job, n, round) }

// checkCallback says why a callback is refused. Outlets are set by the configuration, and always allowed.
func (s *Service) checkCallback(c *unit.Callback) error {
	switch {
	case c == nil || c.Outlet != "":
		return nil
	case s.deps.CheckCallback == nil:
		return fault.New(fault.BadUnit, "prewarm.Accept", "callbacks are off", nil)
	}
	return s.deps.CheckCallback(*c)
}

// overlay copies the verdicts of the ledger into a draft of the same call.
func (s *Service) overlay(ctx context.Context, d *draft.Draft, job string) error {
	var bad error
	err := s.deps.Ledger.List(ctx, ledger.Scan{Prefix: "task." + job, Bodies: true}, func(r ledger.Record) bool {
		_, n, ok := ledger.ParseTaskKey(r.Key)
		t, err := ledger.ReadTask(r)
		if err != nil {
			bad = err
			return false
		}
		if !ok || n >= len(d.Tasks) || len(d.Tasks[n].Images) != len(t.Images) {
			return true // the configuration has changed since; what does not match stays pending
		}
		for i, w := range d.Tasks[n].Images {
			if o := t.Images[i]; o.Source == w.Source && len(o.Verdicts) == len(w.Verdicts) {
				w.Verdicts, w.From = o.Verdicts, o.From
			}
		}
		return true
	})
	if err == nil {
		err = bad
	}
	return err
}
