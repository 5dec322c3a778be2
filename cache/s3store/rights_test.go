package s3store

import (
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/goldcrest/goldcrest/cache"
	"github.com/goldcrest/goldcrest/cache/cachetest"
)

// A 403 on a read is a miss only where the self-test found that the bucket may not be listed. A key that is revoked
// while the server runs, or one that was bad from the start, hides nothing: every object would be made again.
func TestForbiddenIsAMissOnlyWithoutTheRightToList(t *testing.T) {
	denied := func(w http.ResponseWriter, r *http.Request) bool { refuse(w, r, 403, "AccessDenied"); return true }
	policy := func(w http.ResponseWriter, r *http.Request) bool { // S3 without the right to list
		if r.URL.Query().Has("list-type") || r.Method == "GET" && r.URL.Path == "/bucket/v1/absent" || r.Method == "HEAD" && r.URL.Path == "/bucket/v1/absent" {
			return denied(w, r)
		}
		return false
	}
	down := func(w http.ResponseWriter, r *http.Request) bool { refuse(w, r, 500, "InternalError"); return true }
	for _, tt := range []struct {
		name        string
		start, then func(http.ResponseWriter, *http.Request) bool
		miss        bool
	}{
		{"listing allowed, key revoked later", nil, denied, false},
		{"listing denied", policy, policy, true},
		{"listing denied, key revoked later", policy, denied, true}, // It cannot be told apart; writes say what is wrong.
		{"down at the start, listing denied", down, policy, true},
		{"down at the start, key revoked", down, denied, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f, cfg := newFake(t)
			s, _ := openStore(t, cfg)
			f.before = tt.start
			_ = s.SelfTest(t.Context())
			f.before = tt.then
			_, getErr := s.Get(t.Context(), "v1/absent")
			_, statErr := s.Stat(t.Context(), "v1/absent")
			if errors.Is(getErr, cache.ErrMiss) != tt.miss || errors.Is(statErr, cache.ErrMiss) != tt.miss || getErr == nil || statErr == nil {
				t.Errorf("Get = %v, Stat = %v, want a miss: %v", getErr, statErr, tt.miss)
			}
		})
	}
}

// A bucket that was down at the start and is healthy now is learnt about by its first 403, and not by every one.
func TestRightsAreAskedForOnceInAWhile(t *testing.T) {
	var r rights
	now := time.Now()
	for i, want := range []bool{true, false, false} {
		if _, ask := r.known(now); ask != want {
			t.Errorf("call %d: ask = %v", i, ask)
		}
	}
	if _, ask := r.known(now.Add(askAgain)); !ask {
		t.Error("it is not asked again")
	}
	r.learn(listingAllowed)
	r.learn(listingDenied)
	if l, ask := r.known(now.Add(2 * askAgain)); l != listingAllowed || ask {
		t.Errorf("learnt %v, ask %v", l, ask)
	}
}

// Without the right to list, what was put is read, and what was not is a miss.
func TestHiddenObjectsAreMisses(t *testing.T) {
	f, cfg := newFake(t)
	s, obs := openStore(t, cfg)
	f.before = func(w http.ResponseWriter, r *http.Request) bool {
		if r.URL.Query().Has("list-type") {
			refuse(w, r, 403, "AccessDenied")
			return true
		}
		if _, ok := f.objects[r.URL.Path[len("/bucket/"):]]; !ok && (r.Method == "GET" || r.Method == "HEAD") {
			refuse(w, r, 403, "AccessDenied")
			return true
		}
		return false
	}
	_ = s.SelfTest(t.Context())
	if _, err := s.Get(t.Context(), "v1/a"); !errors.Is(err, cache.ErrMiss) {
		t.Errorf("Get = %v", err)
	}
	obs.expect(t, "get forbidden", 1)
	want := cachetest.Entry("one", 50)
	if err := s.Put(t.Context(), "v1/a", want); err != nil {
		t.Fatal(err)
	}
	if got, err := s.Get(t.Context(), "v1/a"); err != nil || cachetest.Diff(got, want) != "" {
		t.Errorf("Get = %v, %s", err, cachetest.Diff(got, want))
	}
}
