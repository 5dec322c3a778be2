package webhook

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/goldcrest/goldcrest/fault"
	"github.com/goldcrest/goldcrest/prewarm/ledger"
)

// Callbacks report broken sources in batches while the job runs. A batch is sent when it is full, or brokenPatience
// after its first source was found.
const (
	brokenBatch      = 100
	brokenPatience   = 10 * time.Second
	brokenEventBytes = 400 << 10 // of the text of sources, so that the record fits a message
)

// toldRecord lists the broken sources of a job that are already in events. An event is written into this record before
// it is put, together with the bits of the images that it covers. So each source is in one event, and an event that is
// put twice is the same one.
//
//  1. A writes event 1 into the record, and crashes.
//  2. B finds event 1 in the record and puts it. Its name is fixed, so it is in the ledger once.
//  3. B adds the images found since to event 2. If A were still alive and did the same, one of the two writes would
//     fail.
type toldRecord struct {
	Round  int          `json:"round"`
	Events int          `json:"events"`         // number of events in this round
	Tasks  []uint16     `json:"tasks"`          // by task, one bit for each image that is in an event
	Last   *eventRecord `json:"last,omitempty"` // possibly not put yet
}

// Every image of a task has a bit in a uint16.
const _ = uint(16 - ledger.TaskImages)

// tellBroken puts events for broken sources of a job that are in no event yet. v is a loaded view; now describes
// the job at this moment.
func (s *Events) tellBroken(ctx context.Context, v *ledger.View, now ledger.Job) error {
	j := v.Record()
	if s.Tell == nil || !j.Hook.Wants(ImageBroken) {
		return nil
	}
	s.telling.Lock()
	defer s.telling.Unlock()
	for {
		r, told, err := s.told(ctx, j)
		if err != nil {
			return err
		}
		some, looked, err := s.untold(ctx, v, &told)
		if err != nil || len(some) == 0 && told.Last == nil {
			return err
		}
		if told.Last = nil; len(some) > 0 {
			e := Event{ID: fmt.Sprintf("%s-%d-broken-%d", j.ID, j.Round, told.Events), Type: ImageBroken, Job: now, Broken: some, At: s.Now().UTC()}
			told.Last = &eventRecord{Event: e, Hook: j.Hook, Trace: j.Trace}
			told.Events++
		}
		if r.Body, err = json.Marshal(told); err != nil {
			return err
		}
		switch err := s.Views.Store.Write(ctx, &r); {
		case err == nil:
			v.Looked(looked)
		case !errors.Is(err, ledger.ErrConflict): // after a conflict with another writer the loop reads again
			return err
		}
	}
}

// told reads what is in events in the job's round, and puts the last event of the record, which may not be put yet.
func (s *Events) told(ctx context.Context, j *ledger.JobRecord) (r ledger.Record, told toldRecord, err error) {
	key := "told." + j.ID
	r, err = s.Views.Store.Read(ctx, key)
	if errors.Is(err, ledger.ErrNoRecord) {
		return ledger.Record{Key: key}, toldRecord{Round: j.Round}, nil
	}
	if err == nil {
		err = json.Unmarshal(r.Body, &told)
	}
	if err == nil && told.Last != nil {
		err = s.putEvent(ctx, told.Last)
	}
	if told.Round < j.Round {
		told = toldRecord{Round: j.Round}
	}
	return r, told, err
}

// untold finds a batch of broken sources that are in no event, and sets their bits. looked are the tasks, with their
// revisions, that contain no others.
func (s *Events) untold(ctx context.Context, v *ledger.View, told *toldRecord) (some []BrokenImage, looked map[int]uint64, err error) {
	j, at := v.Record(), v.Unlooked()
	looked = map[int]uint64{}
	seen, size := map[string]int{}, 0
	for _, n := range slices.Sorted(maps.Keys(at)) {
		t, err := ledger.TaskSince(ctx, s.Views.Store, j.ID, n, at[n])
		if errors.Is(err, ledger.ErrNoRecord) {
			continue
		}
		if err != nil {
			return nil, nil, err
		}
		told.Tasks = append(told.Tasks, make([]uint16, max(n+1-len(told.Tasks), 0))...)
		for i, w := range t.Images {
			b, ok := brokenImage(w, j.Round)
			if !ok || told.Tasks[n]&(1<<i) != 0 {
				continue
			}
			if size += b.size(); len(some) == brokenBatch || len(some) > 0 && size > brokenEventBytes {
				return some, looked, nil
			}
			told.Tasks[n] |= 1 << i
			if at, known := seen[b.Source]; known {
				some[at].merge(b)
			} else {
				seen[b.Source] = len(some)
				some = append(some, b)
			}
		}
		looked[n] = t.Revision
	}
	return some, looked, nil
}

// brokenImage returns the image if any of its variants is broken in this round, with the units in which it counts as
// broken; else false.
func brokenImage(w *ledger.Image, round int) (BrokenImage, bool) {
	if w.Hash == "" && round > 0 {
		return BrokenImage{}, false // no retry can repair it, and the first round reported it
	}
	for _, o := range w.Verdicts {
		if !w.IsBroken(o) {
			continue
		}
		b := BrokenImage{BrokenSource: ledger.BrokenSource{Source: w.Told(), Reason: o.Reason, At: o.At}}
		for _, at := range w.Spots {
			if o.In(at) == ledger.Broken {
				b.add(at.ID)
			}
		}
		return b, true
	}
	return BrokenImage{}, false
}

// merge adds the units in which another task has the same source.
func (b *BrokenImage) merge(other BrokenImage) {
	for _, unit := range other.Units {
		b.add(unit)
	}
	b.Omitted += other.Omitted
}

// size estimates the length of the image as JSON.
func (b *BrokenImage) size() int {
	n := len(b.Source) + 100
	for _, unit := range b.Units {
		n += len(unit) + 3
	}
	return n
}

// brokenNews says how many sources of a job were just found broken.
type brokenNews struct {
	job string
	n   int
}

// Heard passes news to batch. If there are too many they are dropped, and the next sweep finds those sources.
func (s *Events) Heard(j *ledger.JobRecord, works []*ledger.Image) {
	n := 0
	for _, w := range works {
		if slices.ContainsFunc(w.Verdicts, func(o *ledger.Outcome) bool { return o.Ours && w.IsBroken(o) }) {
			n++
		}
	}
	if n == 0 || !j.Hook.Wants(ImageBroken) {
		return
	}
	select {
	case s.news <- brokenNews{j.ID, n}:
	default:
	}
}

// batch tells backends of broken sources while their jobs run, until ctx ends. What is left then, the next process
// finds.
func (s *Events) batch(ctx context.Context) {
	type waiting struct {
		n     int
		until time.Time
	}
	jobs := map[string]waiting{}
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case news := <-s.news:
			w, known := jobs[news.job]
			if !known {
				w.until = s.Now().Add(brokenPatience)
			}
			w.n += news.n
			jobs[news.job] = w
		case <-tick.C:
		}
		for id, w := range jobs {
			if w.n < brokenBatch && s.Now().Before(w.until) {
				continue
			}
			delete(jobs, id)
			if err := s.TellBrokenOf(ctx, id); err != nil && ctx.Err() == nil && fault.KindOf(err) != fault.NoSuchJob {
				s.Log.Warn("broken sources could not be reported; trying again", "job", id, "error", err)
				jobs[id] = waiting{until: s.Now().Add(hiccup)}
			}
		}
	}
}

// TellBrokenOf is tellBroken for the current state of a job. The end of a job reports the rest itself.
func (s *Events) TellBrokenOf(ctx context.Context, id string) error {
	v, err := s.Views.View(ctx, id)
	if err != nil || v.Record().Ended {
		return err
	}
	return s.tellBroken(ctx, v, v.Describe(s.Now()))
}
