package ledger

import "strings"

// Follow records whether the ledger reports changes from now on. It discards all views.
func (s *Views) Follow(on bool) {
	s.mu.Lock()
	old := s.all
	s.following, s.all = on, map[string]*View{}
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
	v := s.known(id)
	if v == nil {
		return
	}
	if words[0] == "job" {
		v.mu.Lock()
		if v.job == nil || v.job.Revision < r.Revision {
			v.stale, v.cancel = true, r.Mark == markCancel
			v.wake()
		}
		v.mu.Unlock()
		return
	}
	_, n, ok := ParseTaskKey(r.Key)
	t, err := ReadTally(r.Mark)
	if ok && err == nil && v.apply(n, r.Revision, t, s.Now()) {
		s.MayHaveEnded(id)
	}
}
