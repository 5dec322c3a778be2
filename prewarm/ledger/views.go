package ledger

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/goldcrest/goldcrest/fault"
	"github.com/goldcrest/goldcrest/variant"
)

// Deps are the dependencies of Views. All must be set.
type Deps struct {
	Store Store
	Keep  time.Duration // how long jobs are kept
	// Parser returns the current parser.
	Parser func() *variant.Parser
	// Basis identifies everything besides the source that a verdict depends on, such as limits and decoders. When it
	// changes, nothing is known to be broken any more.
	Basis func() string
	// MayHaveEnded is called with jobs that seem to have nothing left to do.
	MayHaveEnded func(id string)
	Now          func() time.Time
}

// Views are the jobs of a ledger as this instance sees them. It is safe for concurrent use.
type Views struct {
	Deps
	bare *variant.Parser // knows no presets

	mu        sync.Mutex
	following bool
	all       map[string]*View
	reported  map[string]uint64 // the latest revisions of jobs' records that were reported, by id
}

// NewViews returns views that are loaded on each use until Follow is called.
func NewViews(p Deps) (*Views, error) {
	bare, err := variant.NewParser(nil, false)
	return &Views{Deps: p, bare: bare, all: map[string]*View{}, reported: map[string]uint64{}}, err
}

// NoSuchJob is the error for an unknown job.
func NoSuchJob() error {
	return fault.New(fault.NoSuchJob, "ledger.Job", "there is no such job", nil)
}

// ReadJob reads a job's record. It is not older than what Noticed was called with.
func (s *Views) ReadJob(ctx context.Context, id string) (*JobRecord, error) {
	return s.readSince(ctx, id, 0)
}

// readJob reads a job's record, which may be an older one.
func (s *Views) readJob(ctx context.Context, id string) (*JobRecord, error) {
	key, ok := JobKey(id)
	if !ok {
		return nil, NoSuchJob()
	}
	r, err := s.Store.Read(ctx, key)
	if errors.Is(err, ErrNoRecord) {
		return nil, NoSuchJob()
	}
	if err != nil {
		return nil, err
	}
	return s.parseJob(r)
}

func (s *Views) parseJob(r Record) (*JobRecord, error) {
	j := &JobRecord{Revision: r.Revision}
	err := json.Unmarshal(r.Body, j)
	for _, p := range j.Plans {
		if err == nil {
			err = p.Resolve(s.bare)
		}
	}
	if err != nil {
		return nil, fault.New(fault.Internal, "ledger.readJob", "an internal error", fmt.Errorf("the record %s: %w", r.Key, err))
	}
	j.Callback, j.Token = j.Hook, j.Owner
	return j, nil
}

// WriteJob writes a job's record by compare-and-set.
func (s *Views) WriteJob(ctx context.Context, j *JobRecord) error {
	r, err := j.Record()
	if err != nil {
		return err
	}
	err = s.Store.Write(ctx, r)
	j.Revision = r.Revision
	return err
}

// ChangeJob changes a job's record. change reports whether there is anything to write.
func (s *Views) ChangeJob(ctx context.Context, id string, change func(*JobRecord) bool) error {
	for {
		j, err := s.ReadJob(ctx, id)
		if err != nil || !change(j) {
			return err
		}
		if err = s.WriteJob(ctx, j); err == nil {
			s.notice(id, j.Revision, j.Cancel)
			return nil
		}
		if !errors.Is(err, ErrConflict) {
			return err
		}
	}
}

// known returns the view that a job has; nil = none.
func (s *Views) known(id string) *View {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.all[id]
}

// View returns the view of a job, and loads what is missing. The view of an ended job has no tasks.
func (s *Views) View(ctx context.Context, id string) (*View, error) {
	if _, ok := JobKey(id); !ok {
		return nil, NoSuchJob()
	}
	s.mu.Lock()
	v := s.all[id]
	if v == nil {
		v = newView()
		s.all[id] = v
	}
	following := s.following
	s.mu.Unlock()
	v.loading.Lock()
	defer v.loading.Unlock()
	if !following { // no changes are reported: the view is loaded each time
		v.mu.Lock()
		v.loaded = false
		v.mu.Unlock()
	}
	if err := s.load(ctx, id, v); err != nil {
		s.Drop(id, v)
		return nil, err
	}
	if v.job.Ended {
		s.Drop(id, v)
	}
	return v, nil
}

// load updates a view from the ledger. The caller holds loading.
func (s *Views) load(ctx context.Context, id string, v *View) error {
	v.mu.Lock()
	noticed, loaded := v.noticed, v.loaded
	fresh := loaded && v.job.Revision >= noticed
	v.mu.Unlock()
	if !fresh {
		j, err := s.readSince(ctx, id, noticed)
		if err != nil {
			return err
		}
		v.take(j)
	}
	if loaded || v.job.Ended {
		return nil
	}
	var bad error
	err := s.Store.List(ctx, Scan{Prefix: "task." + id}, func(r Record) bool {
		_, n, ok := ParseTaskKey(r.Key)
		t, err := ReadTally(r.Mark)
		if !ok || err != nil {
			bad = errors.Join(bad, err)
			return true
		}
		v.apply(n, r.Revision, t, s.Now())
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

// Fresh loads a new view of a job. It receives no changes.
func (s *Views) Fresh(ctx context.Context, id string) (*View, error) {
	v := newView()
	return v, s.load(ctx, id, v)
}

// Drop discards a view, and makes its waiting callers look again.
func (s *Views) Drop(id string, v *View) {
	s.mu.Lock()
	if s.all[id] == v {
		delete(s.all, id)
	}
	s.mu.Unlock()
	v.mu.Lock()
	v.wake()
	v.mu.Unlock()
}

// loadUnlisted reads tasks that were missing in a list, which may come from a server that lags behind. Only tasks that
// cannot be read either are lost.
func (s *Views) loadUnlisted(ctx context.Context, id string, v *View) error {
	v.mu.Lock()
	var lacking []int
	for n := range v.job.Tasks {
		if _, ok := v.tasks[n]; !ok {
			lacking = append(lacking, n)
		}
	}
	v.mu.Unlock()
	for _, n := range lacking {
		r, err := s.Store.Read(ctx, TaskKey(id, n))
		if errors.Is(err, ErrNoRecord) {
			continue
		}
		if err != nil {
			return err
		}
		t, err := ReadTally(r.Mark)
		if err != nil {
			return err
		}
		v.apply(n, r.Revision, t, s.Now())
	}
	return nil
}

// Tallied applies what this instance has written itself, without waiting for the ledger to report it.
func (s *Views) Tallied(job string, n int, revision uint64, t tally) {
	if v := s.known(job); v != nil {
		v.apply(n, revision, t, s.Now())
	}
}

// Finished discards the view of a job that has ended.
func (s *Views) Finished(id string) {
	if v := s.known(id); v != nil {
		s.Drop(id, v)
	}
}

// Expect creates the view of a job before its record is written. Once the record exists, any instance may work on the
// job and end it. A view that is created later would miss that, and would not be notified again.
func (s *Views) Expect(id string) *View {
	v := newView()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all[id] = v
	return v
}

// Install fills the view of a job with what was just written, so that it need not be read. Changes that were reported
// since are later, and stay.
func (s *Views) Install(v *View, j *JobRecord, tasks []*Task) {
	v.loading.Lock()
	defer v.loading.Unlock()
	for n, t := range tasks {
		v.apply(n, t.Revision, t.Tally(), s.Now())
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.job == nil {
		v.job = j
	}
	v.loaded = true
}

// EachTask reads the tasks of a job one by one.
func (s *Views) EachTask(ctx context.Context, id string, each func(n int, t *Task) error) error {
	var bad error
	err := s.Store.List(ctx, Scan{Prefix: "task." + id, Bodies: true}, func(r Record) bool {
		var t *Task
		_, n, ok := ParseTaskKey(r.Key)
		if t, bad = ReadTask(r); bad == nil && ok {
			bad = each(n, t)
		}
		return bad == nil
	})
	if bad != nil {
		return bad
	}
	return err
}

// EachActive calls each with the view of every job that has not ended.
func (s *Views) EachActive(ctx context.Context, each func(*View)) error {
	var ids []string
	err := s.Store.List(ctx, Scan{Prefix: "active"}, func(r Record) bool {
		ids = append(ids, r.Key[len("active."):])
		return true
	})
	if err != nil {
		return err
	}
	for _, id := range ids {
		v, err := s.View(ctx, id)
		if fault.KindOf(err) == fault.NoSuchJob {
			continue
		}
		if err != nil {
			return err
		}
		if !v.Record().Ended {
			each(v)
		}
	}
	return nil
}

// Activate makes a job active, under a new revision.
func (s *Views) Activate(ctx context.Context, id string) error {
	for {
		r := &Record{Key: "active." + id}
		now, err := s.Store.Read(ctx, r.Key)
		if err != nil && !errors.Is(err, ErrNoRecord) {
			return err
		}
		// A unique mark, so that the ledger does not mistake it for the existing record.
		r.Revision, r.Mark = now.Revision, fmt.Sprintf("active again after %d", now.Revision)
		if err := s.Store.Write(ctx, r); !errors.Is(err, ErrConflict) {
			return err
		}
	}
}

// Erase deletes the current version of a record. If it is written again meanwhile, it stays.
func (s *Views) Erase(ctx context.Context, key string) error {
	r, err := s.Store.Read(ctx, key)
	if errors.Is(err, ErrNoRecord) {
		return nil
	}
	if err != nil {
		return err
	}
	return s.Store.Write(ctx, &Record{Key: key, Revision: r.Revision})
}
