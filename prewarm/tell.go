package prewarm

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/goldcrest/goldcrest/fault"
)

// eventRecord is what the ledger keeps of an event until it was told.
type eventRecord struct {
	Event
	Hook  *Callback `json:"callback"`
	Tries int       `json:"tries,omitempty"`
	Next  time.Time `json:"next,omitzero"`
}

// A broken event is bounded, so that its record fits a message.
const (
	brokenEvent      = 1000      // sources
	brokenEventBytes = 400 << 10 // of their text
)

// longestSilence bounds the wait for a further try: more is due to a clock that was set back.
const longestSilence = 12 * time.Hour

// announce puts the events of a job's end into the ledger and the queue. Their names follow from the job, so that doing it twice
// changes nothing.
func (s *Service) announce(ctx context.Context, j *jobRecord) error {
	if j.Hook == nil || s.deps.Tell == nil {
		return nil
	}
	var events []*Record
	add := func(name string, e Event) error {
		e.ID = fmt.Sprintf("%s-%d-%s", j.ID, j.Round, name)
		e.Job, e.At = j.Job, j.FinishedAt
		body, err := json.Marshal(eventRecord{Event: e, Hook: j.Hook})
		events = append(events, &Record{Key: "event." + e.ID, Mark: e.Type, Body: body})
		return err
	}
	if j.Hook.Wants(ImageBroken) && j.Counts.Broken > 0 {
		all, err := s.brokenOf(ctx, j.ID)
		if err != nil {
			return err
		}
		for i, some := range portions(all) {
			if err := add(fmt.Sprintf("broken-%d", i), Event{Type: ImageBroken, Broken: some}); err != nil {
				return err
			}
		}
	}
	if j.Hook.Wants(JobDone) {
		if err := add("done", Event{Type: JobDone}); err != nil {
			return err
		}
	}
	if err := s.deps.Ledger.Write(ctx, events...); err != nil && !errors.Is(err, ErrConflict) {
		return err
	}
	var tickets []Ticket
	for _, r := range events {
		tickets = append(tickets, Ticket{Lane: LaneTell, ID: r.Key[len("event."):]})
	}
	return s.deps.Queue.Put(ctx, tickets...)
}

// brokenOf are the broken sources of a job, each once.
func (s *Service) brokenOf(ctx context.Context, id string) (all []BrokenSource, err error) {
	seen := map[string]bool{}
	err = s.eachTask(ctx, id, func(_ int, t *task) error {
		for _, w := range t.Works {
			for _, o := range w.Verdicts {
				if o.state(w.Spots[0]) == Broken && !seen[w.Source] {
					seen[w.Source] = true
					all = append(all, BrokenSource{Source: w.Source, Reason: o.Reason, At: o.At})
				}
			}
		}
		return nil
	})
	return all, err
}

// portions cuts a list so that each part fits an event.
func portions(all []BrokenSource) (parts [][]BrokenSource) {
	from, size := 0, 0
	for i, b := range all {
		if i > from && (i-from == brokenEvent || size+len(b.Source) > brokenEventBytes) {
			parts = append(parts, all[from:i])
			from, size = i, 0
		}
		size += len(b.Source) + 100
	}
	if from < len(all) {
		parts = append(parts, all[from:])
	}
	return parts
}

// tell is the Handler of the tell lane: it tells one event, or says when to try again.
func (s *Service) tell(ctx context.Context, t Ticket) (again time.Duration) {
	again, err := s.tellEvent(ctx, "event."+t.ID)
	switch {
	case err == nil:
		return again
	case errors.Is(err, ErrNoRecord):
		return 0 // It was told, or its time is over.
	case ctx.Err() != nil:
		return time.Millisecond // Whoever is there next goes on.
	}
	s.deps.Log.Warn("an event could not be read or kept; trying again", "event", t.ID, "error", err)
	return hiccup
}

func (s *Service) tellEvent(ctx context.Context, key string) (again time.Duration, err error) {
	r, err := s.deps.Ledger.Read(ctx, key)
	if err != nil {
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
	err = s.deps.Tell.Tell(ctx, e.Event)
	if err != nil && ctx.Err() != nil {
		return time.Millisecond, nil // We were stopped: that was no try.
	}
	f := fault.Of(err)
	switch {
	case f == nil:
		s.deps.Observer.Told("ok")
	case !f.Kind.Retryable() || e.Tries >= len(s.times.retell):
		s.deps.Observer.Told("given_up")
		s.deps.Log.Warn("a backend was not told", "event", e.ID, "tries", e.Tries+1, "error", err)
	default:
		s.deps.Observer.Told("again")
		again = min(max(s.times.retell[e.Tries], f.RetryAfter), longestSilence)
		e.Tries++
		e.Next = s.deps.Now().Add(again)
		if r.Body, err = json.Marshal(e); err != nil {
			return 0, err
		}
		return again, s.deps.Ledger.Write(ctx, &r)
	}
	return 0, s.deps.Ledger.Write(ctx, &Record{Key: key, Revision: r.Revision})
}
