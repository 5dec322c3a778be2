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
	Over      int `json:"over"` // of those made or present: larger than their share of their unit's budget
}

// Bytes sums up the sizes of what a job has stored: Source those of the originals, each once; Stored those of the
// variants; Saved what each variant is smaller than its original, so that Stored and Saved are together what the
// originals take in the place of the variants.
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
	RequestID  string    `json:"request_id"` // of the call, as it stands in the server's log
	Owner      string    `json:"owner"`      // name of the token that posted it; "" = the own token has not the scope admin
}

// Ended reports whether nothing more will happen to the job by itself.
func (j Job) Ended() bool { return j.State != "queued" && j.State != "running" }

// Verdict is what became of one variant of one image in one format.
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
	// Placeholder is a ThumbHash in base64: how the picture looks through frosted glass. "" = not known.
	Placeholder string    `json:"placeholder"`
	Score       float64   `json:"score"`  // SSIMULACRA2 that was measured; 0 = not measured
	Budget      int64     `json:"budget"` // the variant's share of its unit's budget; 0 = it has none
	Over        bool      `json:"over"`   // it is larger, even in the lowest quality
	From        int64     `json:"source_bytes"`
	At          time.Time `json:"at"`
}

// maxPoll is how long one long poll is held by the server.
const maxPoll = 25 * time.Second

// Job asks for a job's state. With wait the server holds the answer back until the job ends, up to a minute.
func (a *API) Job(ctx context.Context, id string, wait time.Duration) (Job, error) {
	r := request{method: http.MethodGet, path: "/v1/jobs/" + url.PathEscape(id)}
	if wait > 0 {
		r.query = url.Values{"wait": {wholeSeconds(wait)}}
	}
	var j Job
	err := a.fetch(ctx, r, &j)
	return j, err
}

// Wait polls until the job ends. each, if not nil, sees every state on the way.
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
		// A server that is about to stop answers early; it must not be asked without pause until it has.
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

// Results lists a job's verdicts, those of one state only unless state is "". It reads page by page.
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

// verdicts yields the lines of a page; false: there is no point in another.
func verdicts(page []byte, yield func(Verdict, error) bool) bool {
	for line := range bytes.Lines(page) {
		var v Verdict
		err := io.ErrUnexpectedEOF // Every line of a whole answer ends.
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

// nextPage is the cursor in a header such as `Link: </v1/jobs/1/results?cursor=x>; rel="next"`; "" = the page was the
// last.
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

// Retry drives a job's failed and broken variants again.
func (a *API) Retry(ctx context.Context, id string) (Job, error) {
	var j Job
	err := a.fetch(ctx, request{method: http.MethodPost, path: "/v1/jobs/" + url.PathEscape(id) + "/retry"}, &j)
	return j, err
}

// Cancel gives up what has not been started of a job.
func (a *API) Cancel(ctx context.Context, id string) (Job, error) {
	var j Job
	err := a.fetch(ctx, request{method: http.MethodDelete, path: "/v1/jobs/" + url.PathEscape(id)}, &j)
	return j, err
}

// BrokenSource is an image URL that has to be mended.
type BrokenSource struct {
	Source string    `json:"source"`
	Reason string    `json:"reason"`
	At     time.Time `json:"at"`    // when it was found broken last
	Count  int       `json:"count"` // how often it was
}

// Broken lists the sources found broken since a time, the latest last. limit 0 = as many as the server gives at once.
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
