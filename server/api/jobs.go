package api

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/goldcrest/goldcrest/prewarm/ledger"

	"github.com/labstack/echo/v4"

	"github.com/goldcrest/goldcrest/fault"
	"github.com/goldcrest/goldcrest/server/access"
	"github.com/goldcrest/goldcrest/server/exchange"
)

// The page sizes of the lists.
const (
	jobsPage    = 50
	maxJobsPage = 500
	resultsPage = 1000
	maxResults  = 5000
	brokenPage  = 1000
	maxBroken   = 10000
)

// owned admits only callers who may see the job. For others it does not exist, so that ids cannot be probed.
func (s *API) owned(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		j, err := s.deps.Prewarm.Job(c.Request().Context(), c.Param("id"), 0)
		if err == nil && !exchange.CallOf(c).Who.Owner().Owns(j.Token) {
			err = fault.New(fault.NoSuchJob, "api.owned", "there is no such job", nil)
		}
		if err != nil {
			return err
		}
		return next(c)
	}
}

// shownJob is a job as it is shown to a caller.
type shownJob struct {
	ledger.Job
	Owner string `json:"owner,omitempty"` // only for callers who see the jobs of all
}

// shownTo is a job as a caller may see it.
func shownTo(who access.Caller, j ledger.Job) shownJob {
	if who.Owner().All {
		return shownJob{j, j.Token}
	}
	return shownJob{Job: j}
}

// listJobs is GET /v1/jobs: the latest first.
func (s *API) listJobs(c echo.Context) error {
	limit, err := limitOf(c, jobsPage, maxJobsPage)
	if err != nil {
		return err
	}
	jobs, next, err := s.deps.Prewarm.Jobs(c.Request().Context(), exchange.CallOf(c).Who.Owner(), limit, c.QueryParam("cursor"))
	if err != nil {
		return err
	}
	shown := make([]shownJob, len(jobs))
	for i, j := range jobs {
		shown[i] = shownTo(exchange.CallOf(c).Who, j)
	}
	return c.JSON(http.StatusOK, struct {
		Jobs   []shownJob `json:"jobs"`
		Cursor string     `json:"cursor,omitempty"`
	}{shown, next})
}

// limitOf parses ?limit=; a value above most is reduced to it, since the cursor continues.
func limitOf(c echo.Context, usual, most int) (int, error) {
	text := c.QueryParam("limit")
	if text == "" {
		return usual, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		return 0, fault.New(fault.BadOption, "api.limitOf", "limit is not a number of rows", nil)
	}
	return min(n, most), nil
}

// job is GET /v1/jobs/{id}; with ?wait= it responds when the job ends, at the latest after so many seconds.
func (s *API) job(c echo.Context) error {
	wait, err := parseWait(c.QueryParam("wait"))
	if err != nil {
		return err
	}
	if wait > 0 {
		leave, err := exchange.CallOf(c).Who.Stay()
		if err != nil {
			return err
		}
		defer leave()
	}
	ctx := c.Request().Context()
	waiting, stop := s.untilStop(ctx)
	defer stop()
	j, err := s.deps.Prewarm.Job(waiting, c.Param("id"), wait)
	if err != nil && waiting.Err() != nil && ctx.Err() == nil {
		j, err = s.deps.Prewarm.Job(ctx, c.Param("id"), 0) // the server is stopping: return the state so far
	}
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, shownTo(exchange.CallOf(c).Who, j))
}

// retryJob is POST /v1/jobs/{id}/retry.
func (s *API) retryJob(c echo.Context) error {
	j, err := s.deps.Prewarm.Retry(c.Request().Context(), c.Param("id"))
	if err != nil {
		return err
	}
	c.Response().Header().Set("Location", "/v1/jobs/"+j.ID)
	return c.JSON(http.StatusAccepted, shownTo(exchange.CallOf(c).Who, j))
}

// cancelJob is DELETE /v1/jobs/{id}.
func (s *API) cancelJob(c echo.Context) error {
	j, err := s.deps.Prewarm.Cancel(c.Request().Context(), c.Param("id"))
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, shownTo(exchange.CallOf(c).Who, j))
}

// verdictStates are the states that verdicts can be filtered by.
var verdictStates = []ledger.State{
	ledger.Pending, ledger.Made, ledger.Present, ledger.Broken, ledger.Failed, ledger.Skipped, ledger.Cancelled, ledger.Expired,
}

// jobResults is GET /v1/jobs/{id}/results: a page of verdicts as NDJSON. The Link header has the next one.
func (s *API) jobResults(c echo.Context) error {
	limit, err := limitOf(c, resultsPage, maxResults)
	if err != nil {
		return err
	}
	filter := ledger.ResultFilter{For: exchange.CallOf(c).Who.Owner(), State: ledger.State(c.QueryParam("state"))}
	if filter.State != "" && !slices.Contains(verdictStates, filter.State) {
		return fault.New(fault.BadOption, "api.jobResults", fmt.Sprintf("state is none of %v", verdictStates), nil)
	}
	verdicts, next, err := s.deps.Prewarm.Results(c.Request().Context(), c.Param("id"), filter, c.QueryParam("cursor"), limit)
	if err != nil {
		return err
	}
	w := c.Response()
	if next != "" {
		query := url.Values{"cursor": {next}, "limit": {strconv.Itoa(limit)}}
		if filter.State != "" {
			query.Set("state", string(filter.State))
		}
		w.Header().Set("Link", fmt.Sprintf("</v1/jobs/%s/results?%s>; rel=\"next\"", url.PathEscape(c.Param("id")), query.Encode()))
	}
	w.Header().Set("Content-Type", "application/x-ndjson")
	w.WriteHeader(http.StatusOK)
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	for _, v := range verdicts {
		if err := enc.Encode(v); err != nil {
			return err
		}
	}
	return nil
}

// broken is GET /v1/broken: sources that have to be corrected, the latest last.
func (s *API) broken(c echo.Context) error {
	limit, err := limitOf(c, brokenPage, maxBroken)
	if err != nil {
		return err
	}
	since, err := s.since(c.QueryParam("since"))
	if err != nil {
		return err
	}
	rows, err := s.deps.Prewarm.Broken(c.Request().Context(), exchange.CallOf(c).Who.Owner(), since, limit)
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, struct {
		Broken []ledger.BrokenCount `json:"broken"`
	}{append([]ledger.BrokenCount{}, rows...)})
}

// since parses a time, or a duration back from now; "" = everything that is kept.
func (s *API) since(text string) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	if ago, err := time.ParseDuration(text); err == nil && ago >= 0 {
		return s.Now().Add(-ago), nil
	}
	at, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		return at, fault.New(fault.BadOption, "api.since",
			"since is neither a time such as 2026-11-23T12:00:00Z nor a duration such as 24h", nil)
	}
	return at, nil
}
