package prewarm

import (
	"context"
	"strings"
	"time"

	"github.com/goldcrest/goldcrest/pause"
)

// follow keeps the views up to date until ctx ends. Where that cannot be vouched for, all views are forgotten, and read
// anew.
func (s *Service) follow(ctx context.Context) {
	for ctx.Err() == nil {
		err := s.deps.Ledger.Follow(ctx, []string{"task", "job", "usage"}, func() { s.setFollowing(true) }, s.noticed)
		s.setFollowing(false)
		if err != nil && ctx.Err() == nil {
			s.deps.Log.Warn("the prewarm ledger cannot be followed; trying again", "error", err)
			_ = pause.For(ctx, time.Second)
		}
	}
}

func (s *Service) setFollowing(on bool) {
	s.accounts.follow(on)
	s.mu.Lock()
	old := s.views
	s.following, s.views = on, map[string]*view{}
	s.mu.Unlock()
	for _, v := range old {
		v.mu.Lock()
		v.wake()
		v.mu.Unlock()
	}
}

// noticed takes in a record that somebody has written.
func (s *Service) noticed(r Record) {
	s.accounts.noticed(r)
	words := strings.Split(r.Key, ".")
	if len(words) != 3 {
		return
	}
	id := words[2]
	if words[0] == "task" {
		id = words[1]
	}
	s.mu.Lock()
	v := s.views[id]
	s.mu.Unlock()
	if v == nil {
		return
	}
	if words[0] == "job" {
		v.mu.Lock()
		if v.job == nil || v.job.revision < r.Revision {
			v.stale, v.cancel = true, r.Mark == markCancel
			v.wake()
		}
		v.mu.Unlock()
		return
	}
	_, n, ok := parseTaskKey(r.Key)
	t, err := readTally(r.Mark)
	if ok && err == nil && v.apply(n, r.Revision, t, s.deps.Now()) {
		s.mayHaveEnded(id)
	}
}
