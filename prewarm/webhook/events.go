package webhook

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/goldcrest/goldcrest/fault"
	"github.com/goldcrest/goldcrest/prewarm/ledger"
	"github.com/goldcrest/goldcrest/prewarm/unit"
	"github.com/goldcrest/goldcrest/trace"
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

// Deps is what Events work with. All but Tell and Tracer must be set.
type Deps struct {
	Views  *ledger.Views
	Queue  ledger.Queue
	Tell   Teller               // nil = nobody is told
	Told   func(outcome string) // counts tries: ok, again, given_up
	Log    *slog.Logger
	Tracer trace.Tracer // nil = nothing is traced
	Now    func() time.Time
}

// Events keep what backends are to be told until they have been. Safe for concurrent use, and by several processes that
// share a ledger and a queue.
type Events struct {
	Deps
	retell  []time.Duration
	news    chan brokenNews // what was found broken lately
	telling sync.Mutex      // held while what is broken is told: two at once would put an event twice
}

// NewEvents tells nothing before Run.
func NewEvents(p Deps) *Events {
	return &Events{Deps: p, retell: Delays(), news: make(chan brokenNews, 256)}
}

// Run tells backends until ctx ends.
func (s *Events) Run(ctx context.Context) error {
	var batching sync.WaitGroup
	batching.Go(func() { s.batch(ctx) })
	defer batching.Wait()
	return s.Queue.Consume(ctx, []string{ledger.LaneTell}, tellers, s.tell)
}

// tellers is how many backends are told at the same time.
const tellers = 8

// hiccup is when a ticket comes again after the ledger did not answer.
const hiccup = 5 * time.Second

// Announce puts the events of a job's end into the ledger and the queue: what of its broken sources was not told
// before, and that it is done. Their names follow from the job, so that doing it twice changes nothing.
func (s *Events) Announce(ctx context.Context, v *ledger.View, j *ledger.JobRecord) error {
	if j.Hook == nil || s.Tell == nil {
		return nil
	}
	if err := s.tellBroken(ctx, v, j.Job); err != nil || !j.Hook.Wants(JobDone) {
		return err
	}
	e := Event{ID: fmt.Sprintf("%s-%d-done", j.ID, j.Round), Type: JobDone, Job: j.Job, At: j.FinishedAt}
	return s.putEvent(ctx, &eventRecord{Event: e, Hook: j.Hook, Trace: j.Trace})
}

// putEvent puts an event into the ledger, if it is not there, and its ticket into the queue.
func (s *Events) putEvent(ctx context.Context, e *eventRecord) error {
	body, err := json.Marshal(e)
	if err == nil {
		err = s.Views.Store.Write(ctx, &ledger.Record{Key: "event." + e.ID, Mark: e.Type, Body: body})
	}
	if err != nil && !errors.Is(err, ledger.ErrConflict) {
		return err
	}
	return s.Queue.Put(ctx, ledger.Ticket{Lane: ledger.LaneTell, ID: e.ID})
}

// outletPause is the longest pause before an outlet is told again. It is never given up: its broker comes back, and a
// verdict that is lost is lost for good.
const outletPause = 30 * time.Second

// givesUp reports whether an event had its last try.
func (s *Events) givesUp(e *eventRecord) bool {
	return e.Tries >= len(s.retell) && e.Hook.Outlet == ""
}

// pauseOf is the pause before the next try of an event.
func (s *Events) pauseOf(e *eventRecord, asked time.Duration) time.Duration {
	if e.Hook.Outlet != "" {
		return min(time.Second<<min(e.Tries, 5), outletPause)
	}
	return min(max(s.retell[e.Tries], asked), longestSilence)
}

// tell is the Handler of the tell lane: it tells one event, or says when to try again.
func (s *Events) tell(ctx context.Context, t ledger.Ticket) (again time.Duration) {
	again, err := s.tellEvent(ctx, "event."+t.ID)
	switch {
	case err == nil:
		return again
	case errors.Is(err, ledger.ErrNoRecord):
		return 0 // Its time is over.
	case ctx.Err() != nil:
		return time.Millisecond // Whoever is there next goes on.
	}
	s.Log.Warn("an event could not be read or kept; trying again", "event", t.ID, "error", err)
	return hiccup
}

func (s *Events) tellEvent(ctx context.Context, key string) (again time.Duration, err error) {
	r, err := s.Views.Store.Read(ctx, key)
	if err != nil || r.Mark == toldMark {
		return 0, err
	}
	var e eventRecord
	if err := json.Unmarshal(r.Body, &e); err != nil {
		return 0, fault.New(fault.Internal, "webhook.tell", "an internal error", err)
	}
	if wait := e.Next.Sub(s.Now()); wait > 0 && wait <= longestSilence {
		return wait, nil
	}
	if s.Tell == nil {
		return time.Hour, nil // An instance that has somebody to tell it may come.
	}
	e.Job.Callback = e.Hook
	telling, span := trace.Resume(ctx, s.Tracer, "callback", e.Trace)
	span.Set("event", e.Type)
	span.Set("job", e.Job.ID)
	span.Set("id", e.Job.Request)
	err = s.Tell.Tell(telling, e.Event)
	span.End(string(fault.KindOf(err)))
	if err != nil && ctx.Err() != nil {
		return time.Millisecond, nil // We were stopped: that was no try.
	}
	f := fault.Of(err)
	switch {
	case f == nil:
		s.Told("ok")
	case !f.Kind.Retryable() || s.givesUp(&e):
		s.Told("given_up")
		s.Log.Warn("a backend was not told", "event", e.ID, "request", e.Job.Request, "tries", e.Tries+1, "error", err)
	default:
		s.Told("again")
		again = s.pauseOf(&e, f.RetryAfter)
		e.Tries++
		e.Next = s.Now().Add(again)
		if r.Body, err = json.Marshal(e); err != nil {
			return 0, err
		}
		return again, s.Views.Store.Write(ctx, &r)
	}
	return 0, s.Views.Store.Write(ctx, &ledger.Record{Key: key, Revision: r.Revision, Mark: toldMark})
}
