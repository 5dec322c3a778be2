package api

import (
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/goldcrest/goldcrest/server/exchange"
)

// heartbeat is the interval of comments in a silent stream: proxies close connections that are silent for a minute, and
// only a write detects a client that is gone.
const heartbeat = 15 * time.Second

// jobEvents is GET /v1/jobs/{id}/events: server-sent events with the job whenever it changed, until it ends.
func (s *API) jobEvents(c echo.Context) error {
	leave, err := exchange.CallOf(c).Who.Stay()
	if err != nil {
		return err
	}
	defer leave()
	ctx, stop := s.untilStop(c.Request().Context())
	defer stop()
	changes, err := s.deps.Prewarm.Watch(ctx, c.Param("id"))
	if err != nil {
		return err
	}
	w := c.Response()
	h := w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("X-Accel-Buffering", "no") // nginx would buffer the events
	w.WriteHeader(http.StatusOK)
	// A browser reconnects after this time, also after a restart of the server.
	if _, err := fmt.Fprint(w, "retry: 2000\n\n"); err != nil {
		return err
	}
	w.Flush()
	beat := time.NewTicker(heartbeat)
	defer beat.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil // the client left, or the server stops
		case <-beat.C:
			if _, gone := s.access.Identify(c.Request()); gone != nil {
				return nil // the session has ended, or the token was removed
			}
			_, err = fmt.Fprint(w, ":\n\n")
		case job, more := <-changes:
			if !more {
				_, err = fmt.Fprint(w, "event: end\ndata:\n\n")
				return err
			}
			text, bad := json.Marshal(shownTo(exchange.CallOf(c).Who, job))
			if bad != nil {
				return bad
			}
			_, err = fmt.Fprintf(w, "event: job\ndata: %s\n\n", text)
		}
		if err != nil {
			return err
		}
		w.Flush()
	}
}
