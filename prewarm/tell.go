package prewarm

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/goldcrest/goldcrest/fault"
	"github.com/goldcrest/goldcrest/prewarm/unit"
)

// eventRecord is what the ledger keeps of an event until it was told. Then a bare record with the mark toldMark takes
// its place: whoever finishes the job at the same time, or again after a restart, finds it there and tells nothing
// twice.
type eventRecord struct {
	Event
	Hook  *unit.Callback `json:"callback"`
	Trace string         `json:"trace,omitempty"` // as the job's
	Tries int            `json:"tries,omitempty"`
	Next  time.Time      `json:"next,omitzero"`
}

// toldMark marks an event that was told, or given up.
const toldMark = "told"

// longestSilence bounds the wait for a further try: more is due to a clock that was set back.
const longestSilence = 12 * time.Hour

// announce puts the events of a job's end into the ledger and the queue: what of its broken sources was not told
// before, and that it is done. Their names follow from the job, so that doing it twice changes nothing.
func (s *Service) announce(ctx context.Context, v *view, j *jobRecord) error {
	if j.Hook == nil || s.deps.Tell == nil {
		return nil
	}
	if err := s.tellBroken(ctx, v, j.Job); err != nil || !j.Hook.Wants(JobDone) {
		return err
	}
	e := Event{ID: fmt.Sprintf("%s-%d-done", j.ID, j.Round), Type: JobDone, Job: j.Job, At: j.FinishedAt}
	return s.putEvent(ctx, &eventRecord{Event: e, Hook: j.Hook, Trace: j.Trace})
}

// checkCallback says why a callback cannot be taken. Outlets are for the configuration to choose.
func (s *Service) checkCallback(c *unit.Callback) error {
	switch {
	case c == nil || c.Outlet != "":
		return nil
	case s.deps.CheckCallback == nil:
		return badCallback("callbacks are off")
	}
	return s.deps.CheckCallback(*c)
}

// putEvent puts an event into the ledger, if it is not there, and its ticket into the queue.
func (s *Service) putEvent(ctx context.Context, e *eventRecord) error {
	body, err := json.Marshal(e)
	if err == nil {
		err = s.deps.Ledger.Write(ctx, &Record{Key: "event." + e.ID, Mark: e.Type, Body: body})
	}
	if err != nil && !errors.Is(err, ErrConflict) {
		return err
	}
	return s.deps.Queue.Put(ctx, Ticket{Lane: LaneTell, ID: e.ID})
}

// outletPause is the longest pause before an outlet is told again. It is never given up: its broker comes back, and a
// verdict that is lost is lost for good.
const outletPause = 30 * time.Second

// givesUp reports whether an event had its last try.
func (s *Service) givesUp(e *eventRecord) bool {
	return e.Tries >= len(s.times.retell) && e.Hook.Outlet == ""
}

// pauseOf is the pause before the next try of an event.
func (s *Service) pauseOf(e *eventRecord, asked time.Duration) time.Duration {
	if e.Hook.Outlet != "" {
		return min(time.Second<<min(e.Tries, 5), outletPause)
	}
	return min(max(s.times.retell[e.Tries], asked), longestSilence)
}

// tell is the Handler of the tell lane: it tells one event, or says when to try again.
func (s *Service) tell(ctx context.Context, t Ticket) (again time.Duration) {
	again, err := s.tellEvent(ctx, "event."+t.ID)
	switch {
	case err == nil:
		return again
	case errors.Is(err, ErrNoRecord):
		return 0 // Its time is over.
	case ctx.Err() != nil:
		return time.Millisecond // Whoever is there next goes on.
	}
	s.deps.Log.Warn("an event could not be read or kept; trying again", "event", t.ID, "error", err)
	return hiccup
}

func (s *Service) tellEvent(ctx context.Context, key string) (again time.Duration, err error) {
	r, err := s.deps.Ledger.Read(ctx, key)
	if err != nil || r.Mark == toldMark {
		return 0, err
	}
	var e eventRecord
	if err := json.Unmarshal(r.Body, &e); err != nil {
		return 0, fault.New(fault.Internal, "prewarm.tell", "an internal error", err)
	}
	if wait := e.Next.Sub(s.deps.Now()); wait > 0 && wait <= longestSilence {
		return wait, nil
	}
	if s.deps.Tell == nil {
		return time.Hour, nil // An instance that has somebody to tell it may come.
	}
	e.Job.Callback = e.Hook
	telling, span := s.resume(ctx, "callback", e.Trace)
	span.Set("event", e.Type)
	span.Set("job", e.Job.ID)
	span.Set("id", e.Job.Request)
	err = s.deps.Tell.Tell(telling, e.Event)
	span.End(string(fault.KindOf(err)))
	if err != nil && ctx.Err() != nil {
		return time.Millisecond, nil // We were stopped: that was no try.
	}
	f := fault.Of(err)
	switch {
	case f == nil:
		s.deps.Observer.Told("ok")
	case !f.Kind.Retryable() || s.givesUp(&e):
		s.deps.Observer.Told("given_up")
		s.deps.Log.Warn("a backend was not told", "event", e.ID, "request", e.Job.Request, "tries", e.Tries+1, "error", err)
	default:
		s.deps.Observer.Told("again")
		again = s.pauseOf(&e, f.RetryAfter)
		e.Tries++
		e.Next = s.deps.Now().Add(again)
		if r.Body, err = json.Marshal(e); err != nil {
			return 0, err
		}
		return again, s.deps.Ledger.Write(ctx, &r)
	}
	return 0, s.deps.Ledger.Write(ctx, &Record{Key: key, Revision: r.Revision, Mark: toldMark})
}
