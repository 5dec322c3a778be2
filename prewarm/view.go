package prewarm

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/goldcrest/goldcrest/fault"
	"github.com/goldcrest/goldcrest/prewarm/unit"
	"github.com/goldcrest/goldcrest/reach"
)

// jobRecord is what the ledger keeps of a job. While the job runs its counts are those of the tasks; at its end they
// are written into it.
type jobRecord struct {
	Job
	Owner  string         `json:"token"`
	Hook   *unit.Callback `json:"callback,omitempty"`
	Lane   string         `json:"lane"`
	Plans  []*plan        `json:"plans"`
	Tasks  int            `json:"tasks"`
	Round  int            `json:"round"` // rises with every Retry
	Cancel bool           `json:"cancel,omitempty"`
	// Within are the hosts that its originals may come from.
	Within reach.Hosts `json:"within,omitempty"`
	Ended  bool        `json:"ended,omitempty"`
	Trace  string      `json:"trace,omitempty"` // traceparent of the call, if it is traced: by it every instance goes on with the trace

	revision uint64
}

// jobKey is where a job is kept: by the day of its beginning, which its id tells, so that the latest jobs are found
// without reading all. ok is false for what is no id of a job.
func jobKey(id string) (key string, ok bool) {
	u, err := uuid.Parse(id)
	if err != nil || u.Version() != 7 || u.String() != id {
		return "", false
	}
	sec, _ := u.Time().UnixTime()
	return "job." + dayOf(time.Unix(sec, 0)) + "." + id, true
}

// dayFormat is how keys name a day.
const dayFormat = "20060102"

// dayOf names a day.
func dayOf(t time.Time) string { return t.UTC().Format(dayFormat) }

func noSuchJob() error {
	return fault.New(fault.NoSuchJob, "prewarm.Job", "there is no such job", nil)
}

// readJob reads a job's record.
func (s *Service) readJob(ctx context.Context, id string) (*jobRecord, error) {
	key, ok := jobKey(id)
	if !ok {
		return nil, noSuchJob()
	}
	r, err := s.deps.Ledger.Read(ctx, key)
	if errors.Is(err, ErrNoRecord) {
		return nil, noSuchJob()
	}
	if err != nil {
		return nil, err
	}
	return s.parseJob(r)
}

func (s *Service) parseJob(r Record) (*jobRecord, error) {
	j := &jobRecord{revision: r.Revision}
	err := json.Unmarshal(r.Body, j)
	for _, p := range j.Plans {
		if err == nil {
			err = p.resolve(s.bare)
		}
	}
	if err != nil {
		return nil, fault.New(fault.Internal, "prewarm.readJob", "an internal error", fmt.Errorf("the record %s: %w", r.Key, err))
	}
	j.Callback, j.Token = j.Hook, j.Owner
	return j, nil
}

// writeJob writes a job's record under its revision.
func (s *Service) writeJob(ctx context.Context, j *jobRecord) error {
	r, err := j.record()
	if err != nil {
		return err
	}
	err = s.deps.Ledger.Write(ctx, r)
	j.revision = r.Revision
	return err
}

func (j *jobRecord) record() (*Record, error) {
	key, _ := jobKey(j.ID)
	body, err := json.Marshal(j)
	mark := string(j.State)
	if j.Owner != "" {
		mark += " " + ownerMark(j.Owner)
	}
	if j.Cancel && !j.Ended {
		mark = markCancel // As it is, so that instances of an older version hear of it too.
	}
	return &Record{Key: key, Revision: j.revision, Mark: mark, Body: body}, err
}

// markCancel marks the record of a job of which nothing is to be started any more.
const markCancel = "cancel"

// isCancelled reports whether the job was cancelled, as soon as this instance hears of it.
func (v *view) isCancelled() bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.cancel
}

// view is a running job as this instance sees it: the sum of the marks of its tasks, kept up to date by following the
// ledger.
type view struct {
	loading sync.Mutex // held while the view is read from the ledger

	mu      sync.Mutex
	job     *jobRecord // replaced, never changed
	stale   bool       // job was written since it was read
	cancel  bool       // nothing of the job is to be started any more
	loaded  bool
	tasks   map[int]taskMark
	sum     tally
	lost    int            // variants whose task the ledger has lost
	looked  map[int]uint64 // tasks whose broken sources all stand in events, by revision
	changed chan struct{}  // closed, and replaced, at every change
	moved   time.Time      // when the last change was seen
}

// taskMark is the last known of a task.
type taskMark struct {
	revision uint64
	tally    tally
}

func newView() *view {
	return &view{tasks: map[int]taskMark{}, looked: map[int]uint64{}, changed: make(chan struct{})}
}

// apply takes over a task's tally unless a later one is known, and reports whether the job has nothing left to do.
func (v *view) apply(n int, revision uint64, t tally, now time.Time) (done bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	old, known := v.tasks[n]
	if known && old.revision >= revision {
		return false
	}
	if known {
		v.sum.add(old.tally, -1)
	}
	v.sum.add(t, 1)
	v.tasks[n] = taskMark{revision, t}
	v.moved = now
	v.wake()
	return v.loaded && v.pending() == 0
}

// wake tells those who wait that something changed. The caller holds mu.
func (v *view) wake() {
	close(v.changed)
	v.changed = make(chan struct{})
}

// pending counts the variants still to be done. The caller holds mu; the view is loaded.
func (v *view) pending() int { return v.sum.Pending }

// loadUnlisted reads the tasks that a listing lacked: it may have come from a server that lags behind. Only what cannot
// be read either is lost.
func (s *Service) loadUnlisted(ctx context.Context, id string, v *view) error {
	v.mu.Lock()
	var lacking []int
	for n := range v.job.Tasks {
		if _, ok := v.tasks[n]; !ok {
			lacking = append(lacking, n)
		}
	}
	v.mu.Unlock()
	for _, n := range lacking {
		r, err := s.deps.Ledger.Read(ctx, taskKey(id, n))
		if errors.Is(err, ErrNoRecord) {
			continue
		}
		if err != nil {
			return err
		}
		t, err := readTally(r.Mark)
		if err != nil {
			return err
		}
		v.apply(n, r.Revision, t, s.deps.Now())
	}
	return nil
}

// reckon finds what the ledger has lost: tasks that the job says it has. They will never end by themselves.
func (v *view) reckon() {
	v.lost = 0
	if len(v.tasks) < v.job.Tasks {
		v.lost = max(0, v.job.Counts.Variants-v.sum.Variants)
	}
}

// describe is the job as it is now.
func (v *view) describe(now time.Time) Job {
	v.mu.Lock()
	defer v.mu.Unlock()
	j := v.job.Job
	if v.job.Ended {
		return j
	}
	units, images, variants := j.Counts.DataUnits, j.Counts.Images, j.Counts.Variants
	j.Counts, j.Bytes = v.sum.Counts, v.sum.Bytes
	j.Counts.DataUnits, j.Counts.Images, j.Counts.Variants = units, images, variants
	j.Counts.Failed += v.lost
	j.State = Queued
	if v.sum.started != 0 {
		j.State, j.StartedAt = Running, time.Unix(v.sum.started, 0).UTC()
		j.ETA = eta(j, now)
	}
	return j
}

// eta is how many seconds the rest takes at the pace so far; 0 = nobody knows.
func eta(j Job, now time.Time) int {
	done := j.Counts.Variants - j.Counts.Pending - j.Counts.Present
	if done <= 0 || j.StartedAt.IsZero() {
		return 0
	}
	per := now.Sub(j.StartedAt).Seconds() / float64(done)
	return int(per*float64(j.Counts.Pending)) + 1
}

// view gives the view of a job, reading what is not known yet. An ended job's view has no tasks.
func (s *Service) view(ctx context.Context, id string) (*view, error) {
	if _, ok := jobKey(id); !ok {
		return nil, noSuchJob()
	}
	s.mu.Lock()
	v := s.views[id]
	if v == nil {
		v = newView()
		s.views[id] = v
	}
	following := s.following
	s.mu.Unlock()
	v.loading.Lock()
	defer v.loading.Unlock()
	if !following { // Nobody tells this view what changes: it is read each time.
		v.mu.Lock()
		v.stale, v.loaded = true, false
		v.mu.Unlock()
	}
	if err := s.load(ctx, id, v); err != nil {
		s.drop(id, v)
		return nil, err
	}
	if v.job.Ended {
		s.drop(id, v)
	}
	return v, nil
}

// load brings a view up to date. The caller holds loading.
func (s *Service) load(ctx context.Context, id string, v *view) error {
	v.mu.Lock()
	fresh, loaded := v.job != nil && !v.stale, v.loaded
	v.stale = false
	v.mu.Unlock()
	if !fresh {
		j, err := s.readJob(ctx, id)
		if err != nil {
			return err
		}
		v.mu.Lock()
		if v.job != nil && v.job.revision != j.revision {
			v.wake() // While the ledger is not followed, nobody else tells those who wait.
		}
		v.job, v.cancel = j, j.Cancel
		v.mu.Unlock()
	}
	if loaded || v.job.Ended {
		return nil
	}
	var bad error
	err := s.deps.Ledger.List(ctx, Scan{Prefix: "task." + id}, func(r Record) bool {
		_, n, ok := parseTaskKey(r.Key)
		t, err := readTally(r.Mark)
		if !ok || err != nil {
			bad = errors.Join(bad, err)
			return true
		}
		v.apply(n, r.Revision, t, s.deps.Now())
		return true
	})
	if err := errors.Join(err, bad); err != nil {
		return err
	}
	if err := s.loadUnlisted(ctx, id, v); err != nil {
		return err
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	v.reckon()
	v.loaded = true
	return nil
}

// drop forgets a view, and sends those who wait on it to look again.
func (s *Service) drop(id string, v *view) {
	s.mu.Lock()
	if s.views[id] == v {
		delete(s.views, id)
	}
	s.mu.Unlock()
	v.mu.Lock()
	v.wake()
	v.mu.Unlock()
}

// parseTaskKey reads "task.<job>.<n>".
func parseTaskKey(key string) (job string, n int, ok bool) {
	words := strings.Split(key, ".")
	if len(words) != 3 || words[0] != "task" {
		return "", 0, false
	}
	n, err := strconv.Atoi(words[2])
	return words[1], n, err == nil
}
