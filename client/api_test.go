package client

import (
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"
)

// sent is one request as a fake server got it, its body decoded.
type sent struct {
	*http.Request
	body string
}

// apiOn makes an API on a fake server that answers by script, and keeps the requests and the pauses between them.
func apiOn(t *testing.T, script func(n int, r sent, w http.ResponseWriter)) (api *API, requests *[]sent, pauses *[]time.Duration) {
	t.Helper()
	requests, pauses = &[]sent{}, &[]time.Duration{}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body := io.Reader(r.Body)
		if r.Header.Get("Content-Encoding") == "gzip" {
			z, err := gzip.NewReader(body)
			if err != nil {
				t.Error(err)
			}
			body = z
		}
		text, _ := io.ReadAll(body)
		*requests = append(*requests, sent{r, string(text)})
		script(len(*requests), (*requests)[len(*requests)-1], w)
	}))
	t.Cleanup(srv.Close)
	api, err := NewAPI(APIConfig{URL: srv.URL + "/", Token: "a-good-token", Attempts: 4})
	if err != nil {
		t.Fatal(err)
	}
	api.pause = func(ctx context.Context, d time.Duration) error {
		*pauses = append(*pauses, d)
		return ctx.Err()
	}
	return api, requests, pauses
}

// problem answers as the server does.
func problem(w http.ResponseWriter, status int, code string, retryable bool, retryAfter string) {
	w.Header().Set("Content-Type", "application/problem+json; charset=utf-8")
	if retryAfter != "" {
		w.Header().Set("Retry-After", retryAfter)
	}
	w.WriteHeader(status)
	fmt.Fprintf(w, `{"status":%d,"code":%q,"title":"T","detail":"the detail","retryable":%t,"request_id":"r1"}`, status, code, retryable)
}

func TestNewAPIRefuses(t *testing.T) {
	for _, cfg := range []APIConfig{
		{}, {URL: "http://h", Token: ""}, {URL: "ftp://h", Token: "t"}, {URL: "http://h?x", Token: "t"}, {URL: "h:80", Token: "t"}, {URL: "http://h", Token: "a b"},
		{URL: "http://u:s3cret@h", Token: "t"},
	} {
		if _, err := NewAPI(cfg); err == nil || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%+v: %v", cfg, err)
		}
	}
}

// A refusal that passes by itself is repeated after the pause that the server asks for, with the same key and body.
func TestRetries(t *testing.T) {
	api, requests, pauses := apiOn(t, func(n int, r sent, w http.ResponseWriter) {
		switch n {
		case 1:
			problem(w, 429, "queue_full", true, "7")
		case 2:
			problem(w, 503, "overloaded", true, "")
		case 3: // a proxy in between
			w.WriteHeader(502)
		default:
			w.WriteHeader(202)
			io.WriteString(w, `{"job":"j1","state":"queued","counts":{"data_units":1,"variants":2},"units":[]}`)
		}
	})
	got, err := api.Prewarm(t.Context(), Call{Units: []Unit{{Data: json.RawMessage(`{"a":1}`)}}})
	if err != nil || got.Job != "j1" || got.Counts.Variants != 2 {
		t.Fatalf("%+v, %v", got, err)
	}
	if len(*requests) != 4 || len(*pauses) != 3 {
		t.Fatalf("%d requests, %d pauses", len(*requests), len(*pauses))
	}
	first := (*requests)[0]
	for _, r := range *requests {
		if key := r.Header.Get("Idempotency-Key"); key == "" || key != first.Header.Get("Idempotency-Key") || r.body != first.body {
			t.Errorf("key %q, body %s", key, r.body)
		}
		if r.Header.Get("Authorization") != "Bearer a-good-token" || r.Header.Get("Content-Type") != "application/json" {
			t.Errorf("headers %v", r.Header)
		}
	}
	for i, bounds := range [][2]time.Duration{{7 * time.Second, 8 * time.Second}, {0, 2 * time.Second}, {0, 4 * time.Second}} {
		if d := (*pauses)[i]; d < bounds[0] || d > bounds[1] {
			t.Errorf("pause %d is %v, want %v", i, d, bounds)
		}
	}
}

// A pause that is longer than all that are left is not begun: the quota of a day is free again tomorrow.
func TestNoRetryOfWhatComesTooLate(t *testing.T) {
	for after, want := range map[string]int{"20": 4, "80": 2, "3600": 1} {
		api, requests, _ := apiOn(t, func(_ int, _ sent, w http.ResponseWriter) { problem(w, 429, "quota_exceeded", true, after) })
		_, err := api.Prewarm(t.Context(), Call{URLs: []string{"https://c.example/a.jpg"}})
		var refused *Error
		if !errors.As(err, &refused) || refused.Code != "quota_exceeded" {
			t.Errorf("after %s s: %v", after, err)
		}
		if len(*requests) != want {
			t.Errorf("after %s s: %d requests, want %d", after, len(*requests), want)
		}
	}
}

// An answer that breaks off is asked for again, as one that did not come is.
func TestRetriesOfAnswersThatBreakOff(t *testing.T) {
	api, requests, pauses := apiOn(t, func(n int, _ sent, w http.ResponseWriter) {
		if n%2 == 1 {
			w.Header().Set("Content-Length", "999")
		}
		io.WriteString(w, `{"job":"j1","index":7}`+"\n")
	})
	if j, err := api.Job(t.Context(), "j1", 0); err != nil || j.ID != "j1" {
		t.Errorf("%+v, %v", j, err)
	}
	for v, err := range api.Results(t.Context(), "j1", "") {
		if err != nil || v.Unit != 7 {
			t.Errorf("%+v, %v", v, err)
		}
	}
	if len(*requests) != 4 || len(*pauses) != 2 {
		t.Errorf("%d requests, %d pauses", len(*requests), len(*pauses))
	}
}

func TestNoRetry(t *testing.T) {
	for _, tc := range []struct {
		status    int
		code      string
		retryable bool
		requests  int
	}{
		{401, "unauthorized", false, 1}, {422, "bad_selector", false, 1}, {409, "idempotency_conflict", false, 1}, {507, "disk_full", true, 4},
	} {
		api, requests, _ := apiOn(t, func(_ int, _ sent, w http.ResponseWriter) { problem(w, tc.status, tc.code, tc.retryable, "1") })
		_, err := api.Prewarm(t.Context(), Call{URLs: []string{"https://c.example/a.jpg"}})
		var e *Error
		if !errors.As(err, &e) || e.Code != tc.code || e.Status != tc.status || e.RetryAfter != time.Second || len(*requests) != tc.requests {
			t.Errorf("%s: %v after %d requests", tc.code, err, len(*requests))
		}
		if text := fmt.Sprint(err); !strings.Contains(text, "the detail") || !strings.Contains(text, "request r1") {
			t.Errorf("the error says %q", text)
		}
	}
	api, requests, _ := apiOn(t, func(_ int, _ sent, w http.ResponseWriter) { problem(w, 503, "overloaded", true, "") })
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := api.Job(ctx, "j1", 0); err == nil || len(*requests) != 0 {
		t.Errorf("a cancelled call: %v after %d requests", err, len(*requests))
	}
}

// No connection is a failure that passes; the pause is never longer than allowed.
func TestRetriesWithoutConnection(t *testing.T) {
	tries := 0
	api, err := NewAPI(APIConfig{URL: "http://127.0.0.1:1", Token: "t", Attempts: 3, MaxPause: time.Millisecond, HTTP: &http.Client{
		Transport: roundTrip(func(*http.Request) (*http.Response, error) { tries++; return nil, errors.New("connection refused") }),
	}})
	if err != nil {
		t.Fatal(err)
	}
	api.pause = func(_ context.Context, d time.Duration) error {
		if d > time.Millisecond {
			t.Errorf("paused %v", d)
		}
		return nil
	}
	if _, err := api.Job(t.Context(), "j1", 0); err == nil || !strings.Contains(err.Error(), "connection refused") || tries != 3 {
		t.Errorf("%v after %d tries", err, tries)
	}
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func TestPrewarmSaysWhatTheContractSays(t *testing.T) {
	api, requests, _ := apiOn(t, func(_ int, _ sent, w http.ResponseWriter) { io.WriteString(w, `{"job":"j1","units":[]}`) })
	call := Call{
		Units:    []Unit{{ID: "u1", Data: json.RawMessage(`{"a":"` + strings.Repeat("x", 5000) + `"}`), Select: []string{"$.a"}}},
		Variants: []Variant{{Name: "lite"}, {Name: "w", Options: "rs:fit:9:0"}}, Select: []string{"$..url"}, Again: true, Priority: "low",
		Deadline: time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC), TTL: 168 * time.Hour, Round: 24 * time.Hour, Tags: []string{"t"}, Return: "rewritten",
		Callback: &Callback{URL: "https://b.example/h", Events: []string{"job.done"}}, Key: "task-1", Wait: 1500 * time.Millisecond,
	}
	if _, err := api.Prewarm(t.Context(), call); err != nil {
		t.Fatal(err)
	}
	r := (*requests)[0]
	want := `{"variants":["lite",{"name":"w","options":"rs:fit:9:0"}],"select":["$..url"],"priority":"low","deadline":"2026-11-23T12:00:00Z","ttl":"168h0m0s","round":"24h0m0s",` +
		`"tags":["t"],"return":"rewritten","callback":{"url":"https://b.example/h","events":["job.done"]},"again":true,"data_units":[{"id":"u1","data":{"a":"` + strings.Repeat("x", 5000) + `"},"select":["$.a"]}],"wrapped":true}`
	if r.body != want {
		t.Errorf("got  %s\nwant %s", r.body, want)
	}
	if r.Header.Get("Idempotency-Key") != "task-1" || r.Header.Get("Prefer") != "wait=2" || r.Header.Get("Content-Encoding") != "gzip" {
		t.Errorf("headers %v", r.Header)
	}
	if _, err := api.PrewarmLines(t.Context(), []byte("{}\n{}\n"), Call{Variants: []Variant{{Name: "lite"}, {Name: "std"}}, Select: []string{"/a", "$.b,c"}, Tags: []string{"t", "u"}, Budget: 200_000, Again: true, Return: "none"}); err != nil {
		t.Fatal(err)
	}
	r = (*requests)[1]
	q := r.URL.Query()
	if q.Get("variants") != "lite,std" || !slices.Equal(q["select"], []string{"/a", "$.b,c"}) || !slices.Equal(q["tag"], []string{"t", "u"}) || q.Get("return") != "none" || q.Get("budget") != "200000" || q.Get("again") != "true" || r.Header.Get("Content-Type") != "application/x-ndjson" {
		t.Errorf("query %v, headers %v", q, r.Header)
	}
	for _, bad := range []Call{{}, {Units: []Unit{{}}, URLs: []string{"x"}}} {
		if _, err := api.Prewarm(t.Context(), bad); err == nil {
			t.Errorf("%+v was sent", bad)
		}
	}
}

func TestWaitFollowsAJob(t *testing.T) {
	api, requests, pauses := apiOn(t, func(n int, _ sent, w http.ResponseWriter) {
		state := "running"
		if n == 3 {
			state = "partial"
		}
		fmt.Fprintf(w, `{"job":"j 1","state":%q,"counts":{"made":%d}}`, state, n)
	})
	var seen []int
	j, err := api.Wait(t.Context(), "j 1", func(j Job) { seen = append(seen, j.Counts.Made) })
	if err != nil || !j.Ended() || j.State != "partial" || !slices.Equal(seen, []int{1, 2, 3}) {
		t.Errorf("%+v, %v, seen %v", j, err, seen)
	}
	if r := (*requests)[0]; r.URL.EscapedPath() != "/v1/jobs/j%201" || r.URL.Query().Get("wait") != "25" {
		t.Errorf("asked for %s", r.URL)
	}
	if len(*pauses) != 2 { // The fake answers at once: it must not be asked without pause.
		t.Errorf("paused %v", *pauses)
	}
}

func TestResultsReadsEveryPage(t *testing.T) {
	page := func(w http.ResponseWriter, r sent) {
		if r.URL.Query().Get("cursor") == "" {
			w.Header().Set("Link", `</v1/jobs/j1/results?cursor=c2&state=broken>; rel="next"`)
		}
		io.WriteString(w, `{"index":1,"source":"a","state":"broken","reason":"source_not_found"}`+"\n"+`{"index":2,"state":"broken"}`+"\n")
	}
	api, requests, _ := apiOn(t, func(_ int, r sent, w http.ResponseWriter) { page(w, r) })
	var got []Verdict
	for v, err := range api.Results(t.Context(), "j1", "broken") {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, v)
	}
	if len(got) != 4 || got[2].Reason != "source_not_found" || len(*requests) != 2 || (*requests)[1].URL.Query().Get("state") != "broken" {
		t.Errorf("%+v in %d requests", got, len(*requests))
	}
	for range api.Results(t.Context(), "j1", "") {
		break // Leaving early asks for no further page.
	}
	if len(*requests) != 3 {
		t.Errorf("%d requests", len(*requests))
	}
	cut, _, _ := apiOn(t, func(_ int, _ sent, w http.ResponseWriter) { io.WriteString(w, `{"index":1}`+"\n"+`{"index":2`) })
	var last error
	for _, err := range cut.Results(t.Context(), "j1", "") {
		last = err
	}
	if !errors.Is(last, io.ErrUnexpectedEOF) {
		t.Errorf("half a verdict: %v", last)
	}
}

func TestCallsOfJobsChecksPurgesAndUsage(t *testing.T) {
	answers := map[string]string{
		"GET /v1/jobs":                 `{"jobs":[{"job":"j1"}],"cursor":"c"}`,
		"GET /v1/jobs?cursor=c":        `{"jobs":[{"job":"j2"}]}`,
		"POST /v1/jobs/j1/retry":       `{"job":"j1","state":"running"}`,
		"DELETE /v1/jobs/j1":           `{"job":"j1","state":"cancelled"}`,
		"POST /v1/check?body=envelope": `{"checked":[{"source":"s","state":"present","variants":[{"name":"lite"}]}],"errors":[]}`,
		"POST /v1/purge":               `{"purged":3,"sources":1,"cdn_tags":["s-1"],"cdn_all":false}`,
		"GET /v1/broken?limit=5&since=2026-11-23T12%3A00%3A00Z": `{"broken":[{"source":"s","reason":"r","count":2}]}`,
		"GET /v1/usage?days=3&owner=shop":                       `{"usage":[{"owner":"shop","quota":{"images_a_day":{"limit":9,"used":2,"remaining":7}},"days":[{"day":"2026-11-23","made":4}]}]}`,
		"GET /v1/usage":                                         `{"usage":[]}`,
	}
	api, requests, _ := apiOn(t, func(_ int, r sent, w http.ResponseWriter) {
		text, ok := answers[r.Method+" "+r.URL.RequestURI()]
		if !ok {
			t.Errorf("unexpected %s %s", r.Method, r.URL)
		}
		io.WriteString(w, text)
	})
	ctx := t.Context()
	var ids []string
	for j, err := range api.Jobs(ctx) {
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, j.ID)
	}
	retried, err1 := api.Retry(ctx, "j1")
	cancelled, err2 := api.Cancel(ctx, "j1")
	checked, err3 := api.Check(ctx, CheckCall{URLs: []string{"s"}, Variants: []Variant{{Name: "lite"}}})
	purged, err4 := api.Purge(ctx, PurgeCall{Tag: "spring"})
	broken, err5 := api.Broken(ctx, time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC), 5)
	usage, err6 := api.Usage(ctx, "shop", 3)
	_, err7 := api.Usage(ctx, "", 0)
	if err := errors.Join(err1, err2, err3, err4, err5, err6, err7); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(ids, []string{"j1", "j2"}) || retried.State != "running" || cancelled.State != "cancelled" ||
		len(checked.Checked) != 1 || checked.Checked[0].Variants[0].Name != "lite" || purged.Entries != 3 || purged.CDNTags[0] != "s-1" || broken[0].Count != 2 ||
		usage[0].Quota.ImagesADay.Remaining != 7 || usage[0].Quota.UnitsQueued != nil || usage[0].Days[0].Made != 4 {
		t.Errorf("%v %v %v %v %v %v %v", ids, retried, cancelled, checked, purged, broken, usage)
	}
	bodies := []string{(*requests)[4].body, (*requests)[5].body}
	if !slices.Equal(bodies, []string{`{"variants":["lite"],"urls":["s"]}`, `{"tag":"spring"}`}) {
		t.Errorf("bodies %v", bodies)
	}
	if _, err := api.Check(ctx, CheckCall{}); err == nil {
		t.Error("a check about nothing was sent")
	}
}
