package api

import (
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/goldcrest/goldcrest/fault"
	"github.com/goldcrest/goldcrest/intake/bucketevents"
	"github.com/goldcrest/goldcrest/pipeline"
	"github.com/goldcrest/goldcrest/prewarm/unit"
	"github.com/goldcrest/goldcrest/server/access"
	"github.com/goldcrest/goldcrest/server/exchange"
	"github.com/goldcrest/goldcrest/variant"
)

// eventsAnswer is the response to events.
type eventsAnswer struct {
	Objects int      `json:"objects"` // that are prewarmed
	Purged  int      `json:"purged"`  // sources
	Ignored int      `json:"ignored"` // events without a rule
	Jobs    []string `json:"jobs"`
}

// bucketEvents is POST /v1/events/s3: an object store reports written and deleted objects. It purges before it accepts
// the calls, which then make all variants again.
func (s *API) bucketEvents(c echo.Context) error {
	r, who := c.Request(), exchange.CallOf(c).Who
	place := s.access.Enter(r.Context(), who)
	defer place.Leave()
	body, err := unit.ReadBody(r.Body, r.Header.Get("Content-Encoding"), maxBody, place.Grow)
	if err != nil {
		return unreadable(c, err)
	}
	events, err := bucketevents.Read(body)
	if err != nil {
		return unreadable(c, err)
	}
	rules := s.access.Current()
	plan, err := rules.Buckets.Plan(r.Context(), events, rules.Prewarm)
	if err != nil {
		return err
	}
	answer := eventsAnswer{Objects: plan.Objects, Purged: len(plan.Purge), Ignored: plan.Ignored, Jobs: []string{}}
	if err := s.purgeEvents(c, plan.Purge); err != nil {
		return err
	}
	for _, call := range plan.Calls {
		job, err := s.acceptEvents(c, place, call)
		if err != nil {
			return err
		}
		answer.Jobs = append(answer.Jobs, job)
	}
	if len(answer.Jobs) == 0 {
		return c.JSON(http.StatusOK, answer)
	}
	return c.JSON(http.StatusAccepted, answer)
}

// purgeEvents purges sources, all at once.
func (s *API) purgeEvents(c echo.Context, sources []string) error {
	if len(sources) == 0 {
		return nil
	}
	if s.deps.Purge == nil {
		return fault.New(fault.Overloaded, "api.bucketEvents", "this instance cannot purge", nil)
	}
	var refs []variant.Ref
	for _, source := range sources {
		found, err := s.purgeRefs(c.Request().Context(), exchange.CallOf(c).Who, purgeRequest{Source: source})
		if err != nil {
			return err
		}
		refs = append(refs, found...)
	}
	_, err := s.deps.Purge(c.Request().Context(), pipeline.Selector{Refs: refs})
	if err != nil {
		return purgeFault(err)
	}
	return nil
}

// acceptEvents accepts the call for the objects of one rule. It has no idempotency key: a duplicate event has purged
// twice, so its variants are made twice.
func (s *API) acceptEvents(c echo.Context, place *access.Place, call unit.Call) (job string, err error) {
	asked, err := s.deps.Prewarm.Weigh(call)
	if err == nil {
		err = place.Ask(asked)
	}
	if err != nil {
		return "", err
	}
	who := exchange.CallOf(c).Who
	call.Request, call.Key, call.Rights = exchange.CallOf(c).ID, who.Key, s.access.Current().RightsOf(who)
	accepted, err := s.deps.Prewarm.Accept(c.Request().Context(), who.Name, "", [32]byte{}, call)
	return accepted.Job.ID, err
}

// basicAsBearer takes a token from the password of Basic authentication, which is all that some object stores support.
func basicAsBearer(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		if _, password, ok := c.Request().BasicAuth(); ok {
			c.Request().Header.Set("Authorization", "Bearer "+password)
		}
		return next(c)
	}
}
