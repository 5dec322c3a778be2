package api

import (
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/goldcrest/goldcrest/server/exchange"
)

// heartbeat is how often a silent stream shows that it lives: proxies cut connections that are silent for a minute, and
// a listener that is gone is noticed only by writing to it.
const heartbeat = 15 * time.Second

// jobEvents is GET /v1/jobs/{id}/events: the job as server-sent events whenever it changed, until it ends.
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
	h.Set("X-Accel-Buffering", "no") // nginx would hold the events back
	w.WriteHeader(http.StatusOK)
	// A browser whose stream ends comes back after this, also when the server was restarted.
	if _, err := fmt.Fprint(w, "retry: 2000\n\n"); err != nil {
		return err
	}
	w.Flush()
	beat := time.NewTicker(heartbeat)
	defer beat.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil // The listener left, or the server stops: either way the stream has ended as it may.
		case <-beat.C:
			if _, gone := s.access.Identify(c.Request()); gone != nil {
				return nil // The session has ended, or the token was taken away.
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
