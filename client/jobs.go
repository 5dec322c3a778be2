package client

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"iter"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// Counts sums up a job: Made to Expired count variants, one per format; with Pending they add up to Variants.
type Counts struct {
	DataUnits int `json:"data_units"`
	Images    int `json:"images"`
	Variants  int `json:"variants"`
	Made      int `json:"made"`
	Present   int `json:"present"`
	Broken    int `json:"broken"`
	Failed    int `json:"failed"`
	Pending   int `json:"pending"`
	Skipped   int `json:"skipped"`
	Cancelled int `json:"cancelled"`
	Expired   int `json:"expired"`
	Over      int `json:"over"` // of those made or present: larger than their share of the unit's budget
}

// Bytes sums up the sizes of a job's stored variants: Source of the originals, each once; Stored of the variants; Saved
// is by how much each variant is smaller than its original, so Stored plus Saved is what the originals would take
// instead of the variants.
type Bytes struct {
	Source int64 `json:"source"`
	Stored int64 `json:"stored"`
	Saved  int64 `json:"saved"`
}

// Job is the state of one accepted call.
type Job struct {
	ID         string    `json:"job"`
	State      string    `json:"state"` // queued, running, done, partial, failed, cancelled or expired
	Counts     Counts    `json:"counts"`
	Bytes      Bytes     `json:"bytes"`
	Tags       []string  `json:"tags"`
	Priority   string    `json:"priority"`
	Deadline   time.Time `json:"deadline"`
	CreatedAt  time.Time `json:"created_at"`
	StartedAt  time.Time `json:"started_at"`
	FinishedAt time.Time `json:"finished_at"`
	ETA        int       `json:"eta_s"`      // seconds; 0 = not known, or done
	RequestID  string    `json:"request_id"` // of the call, as in the server's log
	Owner      string    `json:"owner"`      // token that posted it, by name; "" = the caller lacks the scope admin
}

// Ended reports whether the job is finished, unless it is retried.
func (j Job) Ended() bool { return j.State != "queued" && j.State != "running" }

// Verdict is the result for one variant of one image in one format.
type Verdict struct {
	Unit    int    `json:"index"`
	UnitID  string `json:"id"`
	Pointer string `json:"pointer"`
	Source  string `json:"source"`
	Name    string `json:"name"`
	Format  string `json:"format"`
	Key     string `json:"key"`
	State   string `json:"state"`
	Reason  string `json:"reason"`
	Bytes   int64  `json:"bytes"`
	Width   int    `json:"width"`
	Height  int    `json:"height"`
	// Placeholder is a ThumbHash in base64, a blurred preview. "" = not known.
	Placeholder string    `json:"placeholder"`
	Score       float64   `json:"score"`  // measured SSIMULACRA2; 0 = not measured
	Budget      int64     `json:"budget"` // the variant's share of its unit's budget; 0 = it has none
	Over        bool      `json:"over"`   // it is larger, even at the lowest quality
	From        int64     `json:"source_bytes"`
	At          time.Time `json:"at"`
}

// maxPoll is the timeout of one long poll.
const maxPoll = 25 * time.Second

// Job returns a job's state. With wait the server responds when the job ends, within a minute at most.
func (a *API) Job(ctx context.Context, id string, wait time.Duration) (Job, error) {
	r := request{method: http.MethodGet, path: "/v1/jobs/" + url.PathEscape(id)}
	if wait > 0 {
		r.query = url.Values{"wait": {wholeSeconds(wait)}}
	}
	var j Job
	err := a.fetch(ctx, r, &j)
	return j, err
}

// Wait polls until the job ends. each, if not nil, gets every state.
func (a *API) Wait(ctx context.Context, id string, each func(Job)) (Job, error) {
	for {
		asked := time.Now()
		j, err := a.Job(ctx, id, maxPoll)
		if err != nil {
			return j, err
		}
		if each != nil {
			each(j)
		}
		if j.Ended() {
			return j, nil
		}
		// A server that is stopping responds early; pause, so that it is not polled in a busy loop.
		if rest := time.Second - time.Since(asked); rest > 0 {
			if err := a.pause(ctx, rest); err != nil {
				return j, err
			}
		}
	}
}

// Jobs lists jobs, the latest first.
func (a *API) Jobs(ctx context.Context) iter.Seq2[Job, error] {
	return func(yield func(Job, error) bool) {
		query := url.Values{}
		for {
			var page struct {
				Jobs   []Job  `json:"jobs"`
				Cursor string `json:"cursor"`
			}
			if err := a.fetch(ctx, request{method: http.MethodGet, path: "/v1/jobs", query: query}, &page); err != nil {
				yield(Job{}, err)
				return
			}
			for _, j := range page.Jobs {
				if !yield(j, nil) {
					return
				}
			}
			if page.Cursor == "" {
				return
			}
			query.Set("cursor", page.Cursor)
		}
	}
}

// Results lists a job's verdicts; state selects one state, "" means all. It reads page by page.
func (a *API) Results(ctx context.Context, id, state string) iter.Seq2[Verdict, error] {
	return func(yield func(Verdict, error) bool) {
		r := request{method: http.MethodGet, path: "/v1/jobs/" + url.PathEscape(id) + "/results", query: url.Values{"limit": {"1000"}}}
		if state != "" {
			r.query.Set("state", state)
		}
		for {
			res, err := a.send(ctx, r)
			if err != nil {
				yield(Verdict{}, err)
				return
			}
			next := nextPage(res.header)
			if !verdicts(res.body, yield) || next == "" {
				return
			}
			r.query.Set("cursor", next)
		}
	}
}

// verdicts yields the lines of a page; false: stop.
func verdicts(page []byte, yield func(Verdict, error) bool) bool {
	for line := range bytes.Lines(page) {
		var v Verdict
		err := io.ErrUnexpectedEOF // every line of a complete response ends with a newline
		if bytes.HasSuffix(line, []byte("\n")) {
			err = json.Unmarshal(line, &v)
		}
		if err != nil {
			yield(v, fmt.Errorf("client: the verdicts cannot be read: %w", err))
			return false
		}
		if !yield(v, nil) {
			return false
		}
	}
	return true
}

// nextPage is the cursor in a header such as `Link: </v1/jobs/1/results?cursor=x>; rel="next"`; "" = it was the last
// page.
func nextPage(h http.Header) string {
	link, rel, _ := strings.Cut(h.Get("Link"), ">")
	if !strings.Contains(rel, `rel="next"`) {
		return ""
	}
	u, err := url.Parse(strings.TrimPrefix(link, "<"))
	if err != nil {
		return ""
	}
	return u.Query().Get("cursor")
}

// Retry starts a job's failed and broken variants again.
func (a *API) Retry(ctx context.Context, id string) (Job, error) {
	var j Job
	err := a.fetch(ctx, request{method: http.MethodPost, path: "/v1/jobs/" + url.PathEscape(id) + "/retry"}, &j)
	return j, err
}

// Cancel cancels the part of a job that has not started.
func (a *API) Cancel(ctx context.Context, id string) (Job, error) {
	var j Job
	err := a.fetch(ctx, request{method: http.MethodDelete, path: "/v1/jobs/" + url.PathEscape(id)}, &j)
	return j, err
}

// BrokenSource is an image URL that has to be corrected.
type BrokenSource struct {
	Source string    `json:"source"`
	Reason string    `json:"reason"`
	At     time.Time `json:"at"`    // when it was last found broken
	Count  int       `json:"count"` // how often it was found broken
}

// Broken lists the sources found broken since a time, the latest last. limit 0 = the server's maximum.
func (a *API) Broken(ctx context.Context, since time.Time, limit int) ([]BrokenSource, error) {
	query := url.Values{"since": {since.UTC().Format(time.RFC3339Nano)}}
	if limit > 0 {
		query.Set("limit", strconv.Itoa(limit))
	}
	var out struct {
		Broken []BrokenSource `json:"broken"`
	}
	err := a.fetch(ctx, request{method: http.MethodGet, path: "/v1/broken", query: query}, &out)
	return out.Broken, err
}
