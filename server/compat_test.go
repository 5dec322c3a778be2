package server

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/goldcrest/goldcrest/fault"
	"github.com/goldcrest/goldcrest/server/access"
)

// fakePredecessor keeps what was posted.
type fakePredecessor struct {
	got string
	err error
}

func (f *fakePredecessor) Post(_ context.Context, _ string, body io.Reader, room func(pictures int) error) error {
	b, err := io.ReadAll(body)
	f.got = string(b)
	return errors.Join(err, room(1), f.err)
}

func TestCompat(t *testing.T) {
	f := &fakePredecessor{}
	s := newFixtureWith(t, func(_ *Config, r *access.Rules) {
		r.API.Tokens = []access.Token{{Name: "old", Token: testToken, Scopes: []string{access.ScopeCompat}}}
	}, func(d *Deps) { d.Predecessor = f })
	post := func() *httptest.ResponseRecorder {
		return s.private("POST", "/v1/compat/lambda", `{"bucket_name": "b"}`, bearer)
	}
	if w := post(); w.Code != http.StatusAccepted || strings.TrimSpace(w.Body.String()) != "true" || f.got != `{"bucket_name": "b"}` {
		t.Errorf("%d %q; posted %q", w.Code, w.Body, f.got)
	}
	f.err = fault.New(fault.QueueFull, "test", "refused", nil)
	if w := post(); w.Code != http.StatusTooManyRequests || code(t, w) != fault.QueueFull {
		t.Errorf("%d %q", w.Code, w.Body)
	}
}
