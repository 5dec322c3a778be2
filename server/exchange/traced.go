package exchange

import (
	"net/http"
	"strconv"
	"strings"

	"github.com/goldcrest/goldcrest/trace"
)

// Traced starts a trace in the request's context, if the request is traced; otherwise it returns r. On the public
// listener the client's traceparent is used only with TrustTraces. Probes and scrapes are not traced.
func (s *Responder) Traced(r *http.Request, d Door) *http.Request {
	if d == Public && r.URL.Path == "/health" || d == Private && !strings.HasPrefix(r.URL.Path, "/v1/") {
		return r
	}
	parent := ""
	if d == Private || s.TrustTraces {
		parent = r.Header.Get("Traceparent")
	}
	ctx, span := trace.Begin(r.Context(), s.Tracer, string(d)+" request", parent, s.Now())
	if span == nil {
		return r
	}
	return r.WithContext(ctx)
}

// tell writes the log line's attributes to the request's span, and ends it.
func (k *Call) tell(method string, status int, said []pair) {
	if k.span == nil {
		return
	}
	route := said[0].value
	if route == "" {
		route = "image"
	}
	k.span.Rename(method + " " + route)
	k.span.Set("id", k.ID)
	k.span.Set("door", string(k.Door))
	k.span.Set("method", method)
	k.span.Set("status", strconv.Itoa(status))
	for _, a := range said {
		k.span.Set(a.name, a.value)
	}
	failed := ""
	if status >= http.StatusInternalServerError {
		failed = string(k.Kind)
	}
	k.span.EndAt(failed, k.ended)
}
