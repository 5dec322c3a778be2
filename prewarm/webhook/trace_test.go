package webhook

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/goldcrest/goldcrest/trace"
	"github.com/goldcrest/goldcrest/trace/tracetest"
)

func TestCallbackGoesOnWithTheTrace(t *testing.T) {
	var got http.Header
	s := httptest.NewTLSServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got = r.Header }))
	defer s.Close()
	w := newHooks(t, s.Client(), "127.0.0.1")
	ctx, _ := trace.Begin(t.Context(), &tracetest.Tracer{}, "callback", "", time.Now())
	if err := w.Tell(ctx, eventTo(s.URL)); err != nil || got.Get("Traceparent") != "parent of callback" {
		t.Errorf("%v, Traceparent %q", err, got.Get("Traceparent"))
	}
	if err := w.Tell(t.Context(), eventTo(s.URL)); err != nil || got.Get("Traceparent") != "" {
		t.Errorf("untraced: %v, Traceparent %q", err, got.Get("Traceparent"))
	}
}
