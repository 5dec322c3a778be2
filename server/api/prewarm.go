package api

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/goldcrest/goldcrest/prewarm/ledger"
	"github.com/goldcrest/goldcrest/prewarm/usage"

	"github.com/labstack/echo/v4"

	"github.com/goldcrest/goldcrest/fault"
	"github.com/goldcrest/goldcrest/prewarm"
	"github.com/goldcrest/goldcrest/prewarm/unit"
	"github.com/goldcrest/goldcrest/server/access"
	"github.com/goldcrest/goldcrest/server/exchange"
	"github.com/goldcrest/goldcrest/server/fields"
	"github.com/goldcrest/goldcrest/variant"
)

// Calls accepts prewarm calls and acts on their jobs.
type Calls interface {
	Accept(ctx context.Context, token, idem string, bodyHash [32]byte, call unit.Call) (prewarm.Accepted, error)
	// Refresh updates the result of a call.
	Refresh(ctx context.Context, a prewarm.Accepted, call unit.Call) (prewarm.Accepted, error)
	// Check calls tell with the state of each ask, in their order.
	Check(ctx context.Context, asks []prewarm.CheckAsk, tell func(prewarm.Checked) error) error
	Retry(ctx context.Context, id string) (ledger.Job, error)
	Cancel(ctx context.Context, id string) (ledger.Job, error)
}

// Jobs returns the state of jobs.
type Jobs interface {
	Job(ctx context.Context, id string, wait time.Duration) (ledger.Job, error)
	Jobs(ctx context.Context, who ledger.Caller, limit int, cursor string) ([]ledger.Job, string, error)
	Results(ctx context.Context, id string, f ledger.ResultFilter, cursor string, limit int) ([]ledger.Verdict, string, error)
	Watch(ctx context.Context, id string) (<-chan ledger.Job, error)
	Broken(ctx context.Context, who ledger.Caller, since time.Time, limit int) ([]ledger.BrokenCount, error)
}

// Owners has the data of the tokens that post jobs.
type Owners interface {
	// Sources finds the sources of a unit or a tag in the kept jobs that who may see.
	Sources(ctx context.Context, who ledger.Caller, unit, tag string) ([]variant.Ref, error)
	// Usage returns the use of an owner ("" = all that who may see) in the last days.
	Usage(ctx context.Context, who ledger.Caller, owner string, days int) ([]usage.Owner, error)
}

// Prewarm is the prewarm service. Implemented by prewarm.Service.
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

	imageBytes = 256 // memory of one image while its call waits for the end of its job
)

// prewarmCall is POST /v1/prewarm.
func (s *API) prewarmCall(c echo.Context) error {
	key := c.Request().Header.Get("Idempotency-Key")
	if len(key) > maxKey {
		return fault.New(fault.BadOption, "api.prewarmCall",
			fmt.Sprintf("the Idempotency-Key is longer than %d bytes", maxKey), nil)
	}
	wait := preferWait(c.Request().Header)
	place := s.access.Enter(c.Request().Context(), exchange.CallOf(c).Who)
	defer place.Leave()
	call, sum, err := s.readCall(c, place)
	if err != nil {
		return err
	}
	asked, err := s.deps.Prewarm.Weigh(call)
	if err == nil {
		err = place.Ask(asked)
	}
	if err != nil {
		return err
	}
	ctx := c.Request().Context()
	call.Request, call.Key, call.Rights = exchange.CallOf(c).ID, exchange.CallOf(c).Who.Key, s.access.Current().RightsOf(exchange.CallOf(c).Who)
	accepted, err := s.deps.Prewarm.Accept(ctx, exchange.CallOf(c).Who.Name, key, sum, call)
	if err != nil {
		return err
	}
	if wait > 0 && !ended(accepted.Job) {
		// If too many requests of the token wait already, respond at once: the call is accepted in any case.
		if leave, full := exchange.CallOf(c).Who.Stay(); full == nil {
			defer leave()
			accepted.Units = nil // not needed any more: a caller that waits must not hold memory
			place.Keep(thin(call))
			if accepted, err = s.waitFor(ctx, accepted, call, wait, func() error { return place.Again(asked) }); err != nil {
				return err
			}
			c.Response().Header().Set("Preference-Applied", "wait="+exchange.Seconds(wait))
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

// thin drops the text of a call's units, unless the response needs it, and returns the remaining bytes.
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

// waitFor waits until the job ends or wait is over, and updates the result when there is memory for it.
func (s *API) waitFor(
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

// ended reports whether the job is finished, unless it is retried.
func ended(j ledger.Job) bool { return j.State != ledger.Queued && j.State != ledger.Running }

// preferWait parses "Prefer: wait=20" (RFC 7240); 0 = absent. Other preferences are ignored, as the RFC requires, and
// so is a wait that is not a number.
func preferWait(h http.Header) time.Duration {
	for preference := range strings.SplitSeq(fields.Joined(h, "Prefer"), ",") {
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

// parseWait parses a number of seconds, at most maxWait.
func parseWait(text string) (time.Duration, error) {
	if text == "" {
		return 0, nil
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil && !errors.Is(err, strconv.ErrRange) {
		return 0, fault.New(fault.BadOption, "api.parseWait", "wait is not a number of seconds", nil)
	}
	return min(time.Duration(min(n, 3600))*time.Second, maxWait), nil
}

// readCall reads and parses the body of a call. The sum covers the decoded body and everything else that the call
// depends on, so that the same units with another compression are the same call.
func (s *API) readCall(c echo.Context, room *access.Place) (call unit.Call, sum [32]byte, err error) {
	body, err := s.readBody(c, room)
	if err != nil {
		return call, sum, err
	}
	if call, err = s.parseCall(c, body); err != nil {
		return call, sum, err
	}
	hash := sha256.New()
	// Each field ends with a NUL, which it cannot contain.
	fmt.Fprintf(hash, "%s\x00%s\x00%s", c.Request().Header.Get("Content-Type"), c.QueryParams().Encode(), body)
	return call, [32]byte(hash.Sum(nil)), nil
}

// readBody reads and decompresses a body, within the limits of size and memory.
func (s *API) readBody(c echo.Context, room *access.Place) ([]byte, error) {
	r := c.Request()
	body, err := unit.ReadBody(r.Body, fields.Joined(r.Header, "Content-Encoding"), s.access.Current().Prewarm.Limits.Body, room.Grow)
	return body, unreadable(c, err)
}

// parseCall parses a decoded body with the request's other parts.
func (s *API) parseCall(c echo.Context, body []byte) (unit.Call, error) {
	rules := s.access.Current().Prewarm
	rules.Bodies = exchange.CallOf(c).Who.Bodies
	call, err := unit.ParseText(c.Request().Context(), body, c.Request().Header.Get("Content-Type"), c.QueryParams(), rules)
	return call, unreadable(c, err)
}

// unreadable is the fault of a body in which nothing could be parsed. If one unit could be, there is no error: the
// others have errors of their own.
func unreadable(c echo.Context, err error) error {
	if fault.KindOf(err) == fault.BadUnit {
		exchange.CallOf(c).Status = http.StatusBadRequest
	}
	return err
}
