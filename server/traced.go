package server

import (
	"net/http"
	"strconv"
	"strings"

	"github.com/goldcrest/goldcrest/trace"
)

// traced is a request in whose context its trace has begun, if it is traced; r as it is, else. A stranger may not
// decide that: the public listener takes the word of a request only where it was told to. Probes and what Prometheus
// asks for are no work.
func (s *Server) traced(r *http.Request, d door) *http.Request {
	if d == publicDoor && r.URL.Path == "/health" || d == privateDoor && !strings.HasPrefix(r.URL.Path, "/v1/") {
		return r
	}
	parent := ""
	if d == privateDoor || s.deps.TrustTraces {
		parent = r.Header.Get("Traceparent")
	}
	ctx, span := trace.Begin(r.Context(), s.deps.Tracer, string(d)+" request", parent, s.deps.Now())
	if span == nil {
		return r
	}
	return r.WithContext(ctx)
}

// tell says on a request's span what its log line says, and ends it.
func (k *call) tell(method string, status int, said []pair) {
	if k.span == nil {
		return
	}
	route := said[0].value
	if route == "" {
		route = "image"
	}
	k.span.Rename(method + " " + route)
	k.span.Set("id", k.id)
	k.span.Set("door", string(k.door))
	k.span.Set("method", method)
	k.span.Set("status", strconv.Itoa(status))
	for _, a := range said {
		k.span.Set(a.name, a.value)
	}
	failed := ""
	if status >= http.StatusInternalServerError {
		failed = string(k.kind)
	}
	k.span.EndAt(failed, k.ended)
}
