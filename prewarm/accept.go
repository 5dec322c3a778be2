package prewarm

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/goldcrest/goldcrest/fault"
	"github.com/goldcrest/goldcrest/pause"
	"github.com/goldcrest/goldcrest/prewarm/unit"
	"github.com/goldcrest/goldcrest/trace"
)

// Accept records a call and returns when all of it is on disk. token is the name of the API token; idem the
// Idempotency-Key ("" = none), with which the same body gives the same job and another is refused. Faults: bad_option,
// bad_unit (callback), idempotency_conflict, quota_exceeded, queue_full, disk_full.
func (s *Service) Accept(ctx context.Context, token, idem string, bodyHash [32]byte, call unit.Call) (Accepted, error) {
	if err := s.checkCallback(call.Callback); err != nil {
		return Accepted{}, err
	}
	d, err := s.draft(call)
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
	s.deps.Observer.Accepted(d.job.Counts.DataUnits, d.job.Counts.Images)
	return s.answer(ctx, d, job)
}

// charged records a call for which its token's quota has room.
func (s *Service) charged(ctx context.Context, d *draft, job, token string) error {
	n := d.job.Counts
	c, err := s.accounts.charge(ctx, token, map[string]int{job: n.DataUnits}, Usage{Units: int64(n.DataUnits), Images: int64(n.Images)})
	if err != nil {
		return err
	}
	if s.deps.Keep != nil && len(d.links) > 0 {
		if err := s.deps.Keep(ctx, d.links); err != nil {
			c.refund()
			return err
		}
	}
	s.lookUp(ctx, d)
	if err = s.commit(ctx, d, job, token); err != nil && d.job.revision == 0 {
		c.refund()
		return err
	}
	c.accepted() // Also where its tickets were not put: the job exists.
	for _, t := range d.tasks {
		s.accounts.add(token, t.usage())
	}
	return err
}

// Refresh gives the answer to a call as it would be now, for callers that waited for their verdicts.
func (s *Service) Refresh(ctx context.Context, a Accepted, call unit.Call) (Accepted, error) {
	d, err := s.draft(call)
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

// replay answers a call that was accepted before.
func (s *Service) replay(ctx context.Context, d *draft, job string) (Accepted, error) {
	if err := s.overlay(ctx, d, job); err != nil {
		return Accepted{}, err
	}
	a, err := s.answer(ctx, d, job)
	a.Replayed = true
	return a, err
}

// claimRecord is what an Idempotency-Key stands for.
type claimRecord struct {
	Hash string `json:"hash"` // of the body
	Job  string `json:"job"`
}

// idemKey is where a key is kept: neither token nor key is written down.
func idemKey(token, idem string) string {
	sum := sha256.Sum256([]byte(token + "\x00" + idem))
	return "idem." + hex.EncodeToString(sum[:16])
}

// claim takes an Idempotency-Key for a job. known is the job that has it already; else the caller has it until free,
// and its job's record decides whether the call was accepted.
func (s *Service) claim(ctx context.Context, key, hash, job string) (known string, free func(), err error) {
	if free, err = s.enter(ctx, key); err != nil {
		return "", nil, err
	}
	defer func() {
		if known != "" || err != nil {
			free()
		}
	}()
	body, err := json.Marshal(claimRecord{hash, job})
	if err != nil {
		return "", free, err
	}
	mine := &Record{Key: key, Body: body, Mark: "idem"}
	for try := 0; ; try++ {
		err = s.deps.Ledger.Write(ctx, mine)
		if !errors.Is(err, ErrConflict) {
			return "", free, err
		}
		r, err := s.deps.Ledger.Read(ctx, key)
		if errors.Is(err, ErrNoRecord) {
			continue // Its time was over just now.
		}
		if err != nil {
			return "", free, err
		}
		var c claimRecord
		if err := json.Unmarshal(r.Body, &c); err != nil {
			return "", free, fault.New(fault.Internal, "prewarm.claim", "an internal error", err)
		}
		if c.Hash != hash {
			return "", free, fault.New(fault.IdempotencyConflict, "prewarm.Accept", "this Idempotency-Key came with another body before", nil)
		}
		_, err = s.readJob(ctx, c.Job)
		if fault.KindOf(err) != fault.NoSuchJob {
			return c.Job, free, err
		}
		// Another instance is accepting the same call, or ended in the middle of it.
		if s.deps.Now().Sub(r.At) > s.times.adopt {
			mine.Revision = r.Revision
		} else if try == 10 {
			f := fault.New(fault.Overloaded, "prewarm.Accept", "the same call is being accepted; try again shortly", nil)
			f.RetryAfter = s.times.adopt
			return "", free, f
		} else {
			_ = pause.For(ctx, s.times.known/10)
		}
	}
}

// disclaim gives an Idempotency-Key back whose call was refused, so that the next try need not wait. Where it is not
// certain that the job does not exist, the key stays; so it does where the ledger does not answer.
func (s *Service) disclaim(ctx context.Context, key, job string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), writeTimeout)
	defer cancel()
	if _, err := s.readJob(ctx, job); fault.KindOf(err) == fault.NoSuchJob {
		_ = s.erase(ctx, key)
	}
}

// enter waits until nobody else in this process accepts a call with the key.
func (s *Service) enter(ctx context.Context, key string) (leave func(), err error) {
	for {
		s.mu.Lock()
		other := s.accepting[key]
		if other == nil {
			mine := make(chan struct{})
			s.accepting[key] = mine
			s.mu.Unlock()
			return func() {
				s.mu.Lock()
				delete(s.accepting, key)
				s.mu.Unlock()
				close(mine)
			}, nil
		}
		s.mu.Unlock()
		select {
		case <-other:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// backlog is how many tasks waited lately.
type backlog struct {
	tasks int
	at    time.Time
}

// admit refuses calls that would find no room.
func (s *Service) admit(ctx context.Context) error {
	if err := s.deps.Queue.Room(ctx); err != nil {
		return err
	}
	s.mu.Lock()
	b := s.backlog
	s.mu.Unlock()
	if now := s.deps.Now(); b.at.IsZero() || now.Sub(b.at) > time.Second || now.Before(b.at) {
		b = backlog{at: now}
		for _, lane := range []string{LaneHigh, LaneNormal, LaneLow} {
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
	if b.tasks*taskImages < s.cfg.Backlog {
		return nil
	}
	return fault.New(fault.QueueFull, "prewarm.Accept", "too many images are waiting; try again later", nil).
		After(30 * time.Second)
}

// lookers is how many images of a call are looked up at the same time: of a bucket, each takes a round trip.
const lookers = 16

// lookUp marks what is stored already as present, as far as the store answers in time. The workers find the rest.
func (s *Service) lookUp(ctx context.Context, d *draft) {
	ctx, cancel := context.WithTimeout(ctx, s.times.known)
	defer cancel()
	parser, now := s.deps.Parser(), s.deps.Now().UTC()
	todo := make(chan *drafted)
	var looking sync.WaitGroup
	for range lookers {
		looking.Go(func() {
			for x := range todo {
				refs, err := x.plan.refs(parser, x.work.Source, x.work.Share, d.job.Within)
				if err != nil || ctx.Err() != nil {
					continue
				}
				s.caught("looking an image up", func() {
					found := s.deps.Known(ctx, refs)
					for i, w := range found {
						if w.Err == nil && w.Present {
							x.work.store(i, w, Present, now)
						}
					}
					if s.deps.Improve != nil {
						s.deps.Improve(found)
					}
				})
			}
		})
	}
	for _, x := range d.works {
		if ctx.Err() != nil {
			break
		}
		if x.work.Hash != "" {
			todo <- x
		}
	}
	close(todo)
	looking.Wait()
}

// commit writes the call down. The job's record is the last: with it, and not before, the job exists. Then its tickets
// are put; if the process dies before that, tend puts them, for the job is among the active ones.
func (s *Service) commit(ctx context.Context, d *draft, id, token string) error {
	j := d.job
	j.Trace = trace.From(ctx).Parent()
	j.ID, j.Owner, j.Token, j.CreatedAt, j.State = id, token, token, s.deps.Now().UTC(), Queued
	var tickets []Ticket
	for n, t := range d.tasks {
		if !t.ended() {
			tickets = append(tickets, Ticket{Lane: j.Lane, ID: ticketID(id, n, j.Round)})
		}
	}
	last, err := j.record()
	if err != nil {
		return err
	}
	if len(last.Body) > MaxBody {
		return fault.New(fault.BodyTooLarge, "prewarm.Accept", "the call asks for too many different lists of variants", nil)
	}
	// What was begun is ended, also when the caller hangs up.
	ctx = context.WithoutCancel(ctx)
	if err := s.writeTasks(ctx, d, id); err != nil {
		return err
	}
	v := s.expect(id)
	if err := s.deps.Ledger.Write(ctx, last); err != nil {
		s.drop(id, v)
		return err
	}
	j.revision = last.Revision
	s.install(v, d)
	for _, t := range d.tasks {
		s.heard(j, t.Works)
	}
	if len(tickets) == 0 {
		return s.finish(ctx, id)
	}
	return s.deps.Queue.Put(ctx, tickets...)
}

// writeBatch is how many tasks are written at a time: not all records of a large call are in memory together.
const writeBatch = 128

// writeTasks writes the tasks of a call that is accepted, and at last that its job is active.
func (s *Service) writeTasks(ctx context.Context, d *draft, id string) error {
	for from, last := 0, false; !last; from += writeBatch {
		last = from+writeBatch >= len(d.tasks)
		some := d.tasks[from:min(from+writeBatch, len(d.tasks))]
		var records []*Record
		for i, t := range some {
			r, err := t.record(id, from+i)
			if err != nil {
				return err
			}
			records = append(records, r)
		}
		if last {
			records = append(records, activeRecord(id, d.job.Owner))
		}
		if err := s.deps.Ledger.Write(ctx, records...); err != nil {
			return err
		}
		for i, t := range some {
			t.revision = records[i].Revision
		}
	}
	return nil
}

// activeRecord says that a job has not ended, so that it is found without reading all jobs.
func activeRecord(id, owner string) *Record {
	return &Record{Key: "active." + id, Mark: activeOf + ownerMark(owner)}
}

// activeOf begins the mark of an active job whose owner it tells.
const activeOf = "active of "

// ticketID names a task in the queue. A retried task gets a ticket of its own: the old one may be about to be taken
// away.
func ticketID(job string, n, round int) string { return fmt.Sprintf("%s.%05d.%d", job, n, round) }

// expect begins the view of a job that is about to be written. With the job's record any instance may work on the job
// and end it, before this one goes on: a view that began only then would have missed that, and nothing would tell it
// again.
func (s *Service) expect(id string) *view {
	v := newView()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.views[id] = v
	return v
}

// install fills the view of a job with what was written just now, so that it need not be read. What it has heard of
// since is later, and stays.
func (s *Service) install(v *view, d *draft) {
	v.loading.Lock()
	defer v.loading.Unlock()
	for n, t := range d.tasks {
		v.apply(n, t.revision, t.tally(), s.deps.Now())
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.job == nil {
		v.job = d.job
	}
	v.loaded = true
}
