package ledger

import (
	"context"
	"strings"
	"time"

	"github.com/goldcrest/goldcrest/fault"
	"github.com/goldcrest/goldcrest/pause"
)

// Follow records whether the ledger reports changes from now on. It discards all views.
func (s *Views) Follow(on bool) {
	s.mu.Lock()
	old := s.all
	s.following, s.all, s.reported = on, map[string]*View{}, map[string]uint64{}
	s.mu.Unlock()
	for _, v := range old {
		v.mu.Lock()
		v.wake()
		v.mu.Unlock()
	}
}

// Noticed applies a record that any instance has written.
func (s *Views) Noticed(r Record) {
	words := strings.Split(r.Key, ".")
	if len(words) != 3 {
		return
	}
	id := words[2]
	if words[0] == "task" {
		id = words[1]
	}
	if words[0] == "job" {
		s.notice(id, r.Revision, r.Mark == markCancel)
		return
	}
	v := s.known(id)
	if v == nil {
		return
	}
	_, n, ok := ParseTaskKey(r.Key)
	t, err := ReadTally(r.Mark)
	if ok && err == nil && v.apply(n, r.Revision, t, s.Now()) {
		s.MayHaveEnded(id)
	}
}

// maxReported bounds reported. Entries matter only until the ledger returns their revisions, usually milliseconds.
const maxReported = 4096

// notice takes note of a write of a job's record, also if the job has no view yet: a view that is created next might
// read an older record, and would not be notified again.
func (s *Views) notice(id string, revision uint64, cancel bool) {
	s.mu.Lock()
	v := s.all[id]
	if len(s.reported) >= maxReported {
		clear(s.reported)
	}
	s.reported[id] = max(s.reported[id], revision)
	s.mu.Unlock()
	if v != nil {
		v.notice(revision, cancel)
	}
}

// readSince reads a job's record of at least this revision, and of the latest one that was reported.
func (s *Views) readSince(ctx context.Context, id string, revision uint64) (j *JobRecord, err error) {
	s.mu.Lock()
	revision = max(revision, s.reported[id])
	s.mu.Unlock()
	err = since(ctx, revision, func() (uint64, error) {
		if j, err = s.readJob(ctx, id); err != nil {
			return 0, err
		}
		return j.Revision, nil
	})
	if err == nil || j == nil {
		return j, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.reported[id] <= revision { // if the ledger was made again, it never gets there
		delete(s.reported, id)
	}
	return nil, err
}

// How often, and how many times at most, an older record is read again.
const (
	lagPause = 50 * time.Millisecond
	lagTries = 40
)

// since repeats read, which returns the revision that it got, until that is not below the one given. The ledger reports
// and lists a write as soon as one of its servers has it, and the server that answers a read may be another one.
func since(ctx context.Context, revision uint64, read func() (uint64, error)) error {
	for range lagTries {
		if got, err := read(); err != nil || got >= revision {
			return err
		}
		_ = pause.For(ctx, lagPause) // if ctx ends, the next read says so
	}
	return fault.New(fault.Overloaded, "ledger.Read", "the prewarm ledger lags behind; try again shortly", nil).
		After(time.Second)
}
