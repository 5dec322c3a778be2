package server

import (
	"errors"
	"io"
	"net/http"
	"os"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/goldcrest/goldcrest/fault"
	"github.com/goldcrest/goldcrest/server/wire"
)

// bodyGrace is the time that every body gets before wire.LeastRate applies.
const bodyGrace = 10 * time.Second

// rated is the time by which n bytes of a body must have arrived.
func rated(n int64) time.Duration {
	return bodyGrace + time.Duration(n)*time.Second/wire.LeastRate
}

// expired is a deadline that has passed.
var expired = time.Unix(1, 0)

// dropBody makes net/http respond without waiting for the rest of the request's body. By default it reads on before and
// after the response, without a deadline, with "Connection: close" or not.
func dropBody(w http.ResponseWriter) {
	w.Header().Set("Connection", "close")
	_ = http.NewResponseController(w).SetReadDeadline(expired) // a test's recorder has no connection
}

// hasBody reports whether a body was announced.
func hasBody(r *http.Request) bool { return r.ContentLength != 0 }

// finish lets the connection of a finished request be closed for another one, if it is to be closed.
func (s *Server) finish(c *crowd, r *http.Request) {
	if conn := wire.Of(r); conn != nil {
		c.finish(conn)
	}
}

// asideKey marks the requests of connections that are reserved for probes.
type asideKey struct{}

// probeOnly refuses every request but probes on the connections reserved for them.
func probeOnly(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		r := c.Request()
		if r.Context().Value(asideKey{}) == nil || r.URL.Path == "/healthz" || r.URL.Path == "/readyz" || r.URL.Path == "/metrics" {
			return next(c)
		}
		return fault.New(fault.Overloaded, "server.probeOnly", "the private listener has no connection to spare; try again shortly", nil).
			After(time.Second)
	}
}

// pacedBody is a request body that must arrive at wire.LeastRate. It belongs to one request.
type pacedBody struct {
	io.ReadCloser
	control *http.ResponseController
	begun   time.Time
	read    int64
	due     time.Time // the current deadline
	ended   bool      // with EOF or an error
}

// Read reads until the deadline that the bytes so far allow; then its error is body_timeout.
func (b *pacedBody) Read(p []byte) (int, error) {
	if due := b.begun.Add(rated(b.read)); due.Sub(b.due) >= time.Second {
		b.due = due
		_ = b.control.SetReadDeadline(due)
	}
	n, err := b.ReadCloser.Read(p)
	b.read += int64(n)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		err = fault.New(fault.BodyTimeout, "server.pacedBody", "the body does not arrive", err)
	}
	if err != nil && !b.ended {
		b.ended = true
		// The next request on the connection has its own deadline, and one that passes while the handler works would
		// cancel the request.
		_ = b.control.SetReadDeadline(time.Time{})
	}
	return n, err
}

// paceBody makes bodies on the private listener arrive at a minimum rate, and does not wait for those that handlers
// leave unread.
func (s *Server) paceBody(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		r, w := c.Request(), c.Response()
		if !hasBody(r) {
			return next(c)
		}
		b := &pacedBody{ReadCloser: r.Body, control: http.NewResponseController(w), begun: time.Now()}
		r.Body = b
		w.Before(func() {
			if !b.ended {
				dropBody(w)
			}
		})
		defer func() {
			if !b.ended {
				s.finish(s.adminCrowd, r)
			}
		}()
		return next(c)
	}
}
