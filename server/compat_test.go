package server

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/labstack/echo/v4"
)

// fakePredecessor keeps what was posted.
type fakePredecessor struct {
	got string
	err error
}

func (f *fakePredecessor) Post(_ context.Context, body io.Reader) error {
	b, err := io.ReadAll(body)
	f.got = string(b)
	return errors.Join(err, f.err)
}

func TestCompat(t *testing.T) {
	f := &fakePredecessor{}
	post := func() (*httptest.ResponseRecorder, error) {
		w := httptest.NewRecorder()
		r := httptest.NewRequest(http.MethodPost, "/v1/compat/lambda", strings.NewReader(`{"bucket_name": "b"}`))
		return w, compat(f)(echo.New().NewContext(r, w))
	}
	w, err := post()
	if err != nil || w.Code != http.StatusAccepted || strings.TrimSpace(w.Body.String()) != "true" || f.got != `{"bucket_name": "b"}` {
		t.Errorf("%v, %d %q; posted %q", err, w.Code, w.Body, f.got)
	}
	f.err = errors.New("refused")
	if w, err := post(); !errors.Is(err, f.err) || w.Body.Len() != 0 {
		t.Errorf("%v, %q", err, w.Body)
	}
}
