package server

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/goldcrest/goldcrest/fault"
	"github.com/goldcrest/goldcrest/prewarm"
	"github.com/goldcrest/goldcrest/prewarm/unit"
	"github.com/goldcrest/goldcrest/variant"
	"github.com/labstack/echo/v4"
)

// Calls takes prewarm calls and acts on their jobs.
type Calls interface {
	Accept(ctx context.Context, token, idem string, bodyHash [32]byte, call unit.Call) (prewarm.Accepted, error)
	// Refresh brings the answer to a call up to date.
	Refresh(ctx context.Context, a prewarm.Accepted, call unit.Call) (prewarm.Accepted, error)
	// Check gives tell what is known of each ask, in their order.
	Check(ctx context.Context, asks []prewarm.CheckAsk, tell func(prewarm.Checked) error) error
	Retry(ctx context.Context, id string) (prewarm.Job, error)
	Cancel(ctx context.Context, id string) (prewarm.Job, error)
}

// Jobs tells about jobs.
type Jobs interface {
	Job(ctx context.Context, id string, wait time.Duration) (prewarm.Job, error)
	Jobs(ctx context.Context, who prewarm.Caller, limit int, cursor string) ([]prewarm.Job, string, error)
	Results(ctx context.Context, id string, f prewarm.ResultFilter, cursor string, limit int) ([]prewarm.Verdict, string, error)
	Watch(ctx context.Context, id string) (<-chan prewarm.Job, error)
	Broken(ctx context.Context, who prewarm.Caller, since time.Time, limit int) ([]prewarm.BrokenCount, error)
}

// Owners tells about those who post jobs.
type Owners interface {
	// Sources finds the sources of a unit or a tag in the kept jobs that who may see.
	Sources(ctx context.Context, who prewarm.Caller, unit, tag string) ([]variant.Ref, error)
	// Usage tells what an owner ("" = all that who may see) has used in the last days.
	Usage(ctx context.Context, who prewarm.Caller, owner string, days int) ([]prewarm.OwnerUsage, error)
}

// Prewarm is the prewarm door as HTTP speaks for it. Implemented by prewarm.Service.
type Prewarm interface {
	Calls
	Jobs
	Owners
	// Weigh counts the variants that a call asks for, or refuses it.
	Weigh(call unit.Call) (int, error)
	Stats(ctx context.Context) (prewarm.Stats, error)
}

var _ Prewarm = (*prewarm.Service)(nil)

const (
	maxWait = 60 * time.Second // of a call for its verdicts, and of a long poll
	maxKey  = 255              // bytes of an idempotency key
)

// prewarmCall is POST /v1/prewarm.
func (s *Server) prewarmCall(c echo.Context) error {
	key := c.Request().Header.Get("Idempotency-Key")
	if len(key) > maxKey {
		return fault.New(fault.BadOption, "server.prewarmCall", fmt.Sprintf("the Idempotency-Key is longer than %d bytes", maxKey), nil)
	}
	wait := preferWait(c.Request().Header)
	place := s.enterIntake(c.Request().Context(), callOf(c).who)
	defer place.leave()
	call, sum, err := s.readCall(c, place)
	if err != nil {
		return err
	}
	asked, err := s.deps.Prewarm.Weigh(call)
	if err == nil {
		err = place.ask(asked)
	}
	if err != nil {
		return err
	}
	ctx := c.Request().Context()
	call.Request, call.Key, call.Rights = callOf(c).id, callOf(c).who.key, s.rules.Load().rightsOf(callOf(c).who)
	accepted, err := s.deps.Prewarm.Accept(ctx, callOf(c).who.name, key, sum, call)
	if err != nil {
		return err
	}
	if wait > 0 && !ended(accepted.Job) {
		// Where too many of the token's requests wait already, the answer comes at once: the call is accepted all the
		// same.
		if leave, full := s.stay(callOf(c).who); full == nil {
			defer leave()
			accepted.Units = nil // Nobody needs it any more: a caller that waits must not hold memory.
			place.keep(thin(call))
			if accepted, err = s.waitFor(ctx, accepted, call, wait, func() error { return place.again(asked) }); err != nil {
				return err
			}
			c.Response().Header().Set("Preference-Applied", "wait="+seconds(wait))
		}
	}
	status := http.StatusAccepted
	if ended(accepted.Job) {
		status = http.StatusOK
	}
	if accepted.Job.ID != "" {
		c.Response().Header().Set("Location", "/v1/jobs/"+accepted.Job.ID)
	}
	return writeAccepted(c, status, accepted)
}

// thin drops the text of a call's units, unless the answer needs it, and gives the bytes that are left of the call.
func thin(call unit.Call) (left int64) {
	for i := range call.Units {
		u := &call.Units[i]
		if call.Return != "rewritten" && call.Return != "enriched" {
			u.Data = nil
		}
		left += int64(len(u.Data)) + int64(len(u.Images))*imageBytes
	}
	return left
}

// waitFor holds the answer back until the job ends or wait is over, and brings it up to date when there is room for it.
func (s *Server) waitFor(
	ctx context.Context, a prewarm.Accepted, call unit.Call, wait time.Duration, room func() error,
) (prewarm.Accepted, error) {
	waiting, stop := s.untilStop(ctx)
	defer stop()
	if _, err := s.deps.Prewarm.Job(waiting, a.Job.ID, wait); err != nil && (waiting.Err() == nil || ctx.Err() != nil) {
		return a, err
	}
	if err := room(); err != nil {
		return a, err
	}
	return s.deps.Prewarm.Refresh(ctx, a, call)
}

// untilStop is ctx that ends early when the server stops, for requests that only wait.
func (s *Server) untilStop(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	stop := context.AfterFunc(s.stopping, cancel)
	return ctx, func() { stop(); cancel() }
}

// ended reports whether nothing more will happen to the job by itself.
func ended(j prewarm.Job) bool { return j.State != prewarm.Queued && j.State != prewarm.Running }

// preferWait reads "Prefer: wait=20" (RFC 7240); 0 = not asked for. Other preferences are none of ours and ignored, as
// the RFC wants, and so is a wait that is no number.
func preferWait(h http.Header) time.Duration {
	for preference := range strings.SplitSeq(joined(h, "Prefer"), ",") {
		name, value, _ := strings.Cut(preference, "=")
		if !strings.EqualFold(strings.TrimSpace(name), "wait") {
			continue
		}
		value, _, _ = strings.Cut(value, ";")
		wait, _ := parseWait(strings.Trim(strings.TrimSpace(value), `"`))
		return wait
	}
	return 0
}

// parseWait reads a number of seconds and cuts it to what is held at most.
func parseWait(text string) (time.Duration, error) {
	if text == "" {
		return 0, nil
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil && !errors.Is(err, strconv.ErrRange) {
		return 0, fault.New(fault.BadOption, "server.parseWait", "wait is not a number of seconds", nil)
	}
	return min(time.Duration(min(n, 3600))*time.Second, maxWait), nil
}

// readCall reads and parses the body of a call. The sum is over the decoded body and all else that the call depends on,
// so that a caller who compresses the same units again sends the same call.
func (s *Server) readCall(c echo.Context, room *place) (call unit.Call, sum [32]byte, err error) {
	body, err := s.readBody(c, room)
	if err != nil {
		return call, sum, err
	}
	if call, err = s.parseCall(c, body); err != nil {
		return call, sum, err
	}
	hash := sha256.New()
	// Each field ends with a NUL, which none of them can hold.
	fmt.Fprintf(hash, "%s\x00%s\x00%s", c.Request().Header.Get("Content-Type"), c.QueryParams().Encode(), body)
	return call, [32]byte(hash.Sum(nil)), nil
}

// readBody reads and decompresses a body as far as calls may be long, and as there is room for it.
func (s *Server) readBody(c echo.Context, room *place) ([]byte, error) {
	r := c.Request()
	body, err := unit.ReadBody(r.Body, joined(r.Header, "Content-Encoding"), s.rules.Load().Prewarm.Limits.Body, room.grow)
	return body, unreadable(c, err)
}

// parseCall reads a decoded body by the request's other parts.
func (s *Server) parseCall(c echo.Context, body []byte) (unit.Call, error) {
	rules := s.rules.Load().Prewarm
	rules.Bodies = callOf(c).who.bodies
	call, err := unit.ParseText(c.Request().Context(), body, c.Request().Header.Get("Content-Type"), c.QueryParams(), rules)
	return call, unreadable(c, err)
}

// unreadable makes a bad request of a body in which nothing could be read. Where one unit could be, there is no error:
// the others say for themselves what is wrong with them.
func unreadable(c echo.Context, err error) error {
	if fault.KindOf(err) == fault.BadUnit {
		callOf(c).status = http.StatusBadRequest
	}
	return err
}

// routePrewarm lays out the API for backends and operators.
func (s *Server) routePrewarm(e *echo.Echo) {
	if s.deps.Purge != nil {
		e.POST("/v1/purge", s.purge, s.need(ScopePurge, ScopeAdmin), query())
	}
	if s.deps.Overview != nil {
		e.GET("/v1/stats", s.stats, s.need(ScopeAdmin, ScopeExplain), query())
		e.GET("/v1/history", s.history, s.need(ScopeAdmin, ScopeExplain), query("since"))
		e.GET("/v1/config", s.config, s.need(ScopeAdmin), query())
	}
	if s.deps.Predecessor != nil {
		e.POST("/v1/compat/lambda", s.compat, s.need(ScopeCompat), s.spare)
	}
	if s.deps.Prewarm == nil {
		return
	}
	e.POST("/v1/prewarm", s.prewarmCall, s.need(ScopePrewarm), s.spare)
	see := s.need(ScopePrewarm, ScopeAdmin)
	e.GET("/v1/jobs", s.listJobs, see, query("limit", "cursor"))
	e.GET("/v1/jobs/:id", s.job, see, query("wait"), s.owned)
	e.DELETE("/v1/jobs/:id", s.cancelJob, see, query(), s.owned)
	e.GET("/v1/jobs/:id/results", s.jobResults, see, query("state", "limit", "cursor"), s.owned)
	e.GET("/v1/jobs/:id/events", s.jobEvents, see, query(), s.owned)
	e.POST("/v1/jobs/:id/retry", s.retryJob, see, query(), s.owned)
	e.GET("/v1/broken", s.broken, s.need(ScopePrewarm, ScopeCheck, ScopeAdmin), query("since", "limit"))
	e.GET("/v1/usage", s.usage, s.need(ScopePrewarm, ScopeCompat, ScopeAdmin), query("days", "owner"))
	e.POST("/v1/check", s.check, s.need(ScopeCheck))
}
