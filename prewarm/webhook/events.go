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

// eventRecord is the ledger's record of an event until it has been delivered. Then a bare record with the mark toldMark
// replaces it. An instance that finishes the job at the same time, or again after a restart, finds that mark and does
// not deliver twice.
type eventRecord struct {
	Event
	Hook  *unit.Callback `json:"callback"`
	Trace string         `json:"trace,omitempty"` // the job's
	Tries int            `json:"tries,omitempty"`
	Next  time.Time      `json:"next,omitzero"`
}

// toldMark marks an event that was delivered or given up.
const toldMark = "told"

// longestSilence bounds the wait for another try. A longer wait means that the clock was set back.
const longestSilence = 12 * time.Hour

// Deps are the dependencies of Events. All but Tell and Tracer must be set.
type Deps struct {
	Views  *ledger.Views
	Queue  ledger.Queue
	Tell   Teller               // nil = no callbacks
	Told   func(outcome string) // counts tries: ok, again, given_up
	Log    *slog.Logger
	Tracer trace.Tracer // nil = nothing is traced
	Now    func() time.Time
}

// Events stores events until backends have received them. It is safe for concurrent use, also by several processes that
// share a ledger and a queue.
type Events struct {
	Deps
	retell  []time.Duration
	news    chan brokenNews // sources just found broken
	telling sync.Mutex      // held while tellBroken runs: two at once would put an event twice
}

// NewEvents returns Events that deliver nothing before Run.
func NewEvents(p Deps) *Events {
	return &Events{Deps: p, retell: Delays(), news: make(chan brokenNews, 256)}
}

// Run delivers events until ctx ends.
func (s *Events) Run(ctx context.Context) error {
	var batching sync.WaitGroup
	batching.Go(func() { s.batch(ctx) })
	defer batching.Wait()
	return s.Queue.Consume(ctx, []string{ledger.LaneTell}, tellers, s.tell)
}

// tellers is the number of concurrent deliveries.
const tellers = 8

// hiccup is the pause before a ticket is delivered again when the ledger did not respond.
const hiccup = 5 * time.Second

// Announce puts the events of a job's end into the ledger and the queue: the broken sources that were not reported
// before, and that the job is done. The names of events are derived from the job, so doing it twice changes nothing.
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

// putEvent puts an event into the ledger if it is not there yet, and its ticket into the queue.
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

// outletPause is the longest pause between deliveries to an outlet. They are never given up: the broker will come back,
// and a lost verdict cannot be recovered.
const outletPause = 30 * time.Second

// givesUp reports whether an event is not tried again after a failure.
func (s *Events) givesUp(e *eventRecord, f *fault.Error) bool {
	return !f.Kind.Retryable() || e.Tries >= len(s.retell) && e.Hook.Outlet == ""
}

// pauseOf is the pause before the next try of an event.
func (s *Events) pauseOf(e *eventRecord, asked time.Duration) time.Duration {
	if e.Hook.Outlet != "" {
		return min(time.Second<<min(e.Tries, 5), outletPause)
	}
	return min(max(s.retell[e.Tries], asked), longestSilence)
}

// tell is the Handler of the tell lane. It delivers one event, or returns when to try again.
func (s *Events) tell(ctx context.Context, t ledger.Ticket) (again time.Duration) {
	again, err := s.tellEvent(ctx, "event."+t.ID)
	switch {
	case err == nil:
		return again
	case errors.Is(err, ledger.ErrNoRecord):
		return 0 // the record has expired
	case ctx.Err() != nil:
		return time.Millisecond // the next process continues
	}
	s.Log.Warn("an event could not be read or saved; trying again", "event", t.ID, "error", err)
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
		return time.Hour, nil // an instance with a Teller may start
	}
	e.Job.Callback = e.Hook
	telling, span := trace.Resume(ctx, s.Tracer, "callback", e.Trace)
	span.Set("event", e.Type)
	span.Set("job", e.Job.ID)
	span.Set("id", e.Job.Request)
	err = s.Tell.Tell(telling, e.Event)
	span.End(string(fault.KindOf(err)))
	if err != nil && ctx.Err() != nil {
		return time.Millisecond, nil // this process is stopping: it does not count as a try
	}
	f := fault.Of(err)
	switch {
	case f == nil:
		s.Told("ok")
	case s.givesUp(&e, f):
		s.Told("given_up")
		s.Log.Warn("a callback was given up", "event", e.ID, "request", e.Job.Request, "tries", e.Tries+1, "error", err)
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
