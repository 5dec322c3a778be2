package server

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/goldcrest/goldcrest/fault"
	"github.com/goldcrest/goldcrest/prewarm/ledger"
	"github.com/goldcrest/goldcrest/server/access"
)

func noSuchJob() error { return fault.New(fault.NoSuchJob, "test", "there is no such job", nil) }

func TestJobRoutes(t *testing.T) {
	a := newAPI(t, nil)
	var asked struct {
		id, cursor string
		limit      int
		wait       time.Duration
	}
	a.prewarm.onJob = func(_ context.Context, id string, wait time.Duration) (ledger.Job, error) {
		asked.id, asked.wait = id, wait
		if id != "j1" {
			return ledger.Job{}, noSuchJob()
		}
		return aJob(), nil
	}
	a.prewarm.onJobs = func(_ context.Context, _ ledger.Caller, limit int, cursor string) ([]ledger.Job, string, error) {
		asked.limit, asked.cursor = limit, cursor
		return []ledger.Job{aJob()}, "next", nil
	}
	a.prewarm.onRetry = func(_ context.Context, id string) (ledger.Job, error) { return aJob(), nil }
	a.prewarm.onCancel = func(_ context.Context, id string) (ledger.Job, error) {
		j := aJob()
		j.State = ledger.Cancelled
		return j, nil
	}
	for _, tc := range []struct {
		method, path string
		status       int
		want         string
	}{
		{"GET", "/v1/jobs/j1", 200, `"state":"running"`},
		{"GET", "/v1/jobs/j1?wait=25", 200, `"job":"j1"`},
		{"GET", "/v1/jobs/j1?wait=x", 400, "bad_option"},
		{"GET", "/v1/jobs/j2", 404, "no_such_job"},
		{"GET", "/v1/jobs", 200, `"cursor":"next"`},
		{"GET", "/v1/jobs?limit=100000&cursor=c", 200, `"jobs":[{`},
		{"GET", "/v1/jobs?limit=0", 400, "bad_option"},
		{"POST", "/v1/jobs/j1/retry", 202, `"job":"j1"`},
		{"DELETE", "/v1/jobs/j1", 200, `"state":"cancelled"`},
		{"PUT", "/v1/jobs/j1", 405, "method_not_allowed"},
	} {
		w := a.private(tc.method, tc.path, "", bearer)
		if w.Code != tc.status || !strings.Contains(w.Body.String(), tc.want) {
			t.Errorf("%s %s: status %d, want %d with %s: %s", tc.method, tc.path, w.Code, tc.status, tc.want, w.Body)
		}
		if w := a.private(tc.method, tc.path, "", checkBearer); tc.status != 405 && w.Code != 403 {
			t.Errorf("%s %s without the scope: status %d", tc.method, tc.path, w.Code)
		}
	}
	if asked.limit != 500 || asked.cursor != "c" {
		t.Errorf("asked %+v", asked)
	}
	a.private("GET", "/v1/jobs/j1?wait=25", "", bearer)
	if asked.wait != 25*time.Second {
		t.Errorf("waited %v", asked.wait)
	}
}

func TestResultsByPage(t *testing.T) {
	a := newAPI(t, nil)
	a.prewarm.onResults = func(_ context.Context, id string, f ledger.ResultFilter, cursor string, limit int) ([]ledger.Verdict, string, error) {
		if id != "j1" || f.State != ledger.Broken || limit != 2 {
			t.Errorf("asked for %s %v %d", id, f, limit)
		}
		rows := []ledger.Verdict{{Source: "https://c.example/a.jpg?x=1&y=2", State: ledger.Broken, Reason: fault.SourceNotFound}, {Unit: 1, State: ledger.Broken}}
		if cursor == "" {
			return rows, "c2", nil
		}
		return rows[:1], "", nil
	}
	w := a.private("GET", "/v1/jobs/j1/results?state=broken&limit=2", "", bearer)
	header(t, w, "Content-Type", "application/x-ndjson")
	header(t, w, "Link", `</v1/jobs/j1/results?cursor=c2&limit=2&state=broken>; rel="next"`)
	lines := strings.Split(strings.TrimSpace(w.Body.String()), "\n")
	var v ledger.Verdict
	if err := json.Unmarshal([]byte(lines[0]), &v); err != nil || len(lines) != 2 || v.Reason != fault.SourceNotFound || !strings.Contains(lines[0], "x=1&y=2") {
		t.Errorf("%v: %s", err, w.Body)
	}
	w = a.private("GET", "/v1/jobs/j1/results?cursor=c2&limit=2&state=broken", "", bearer)
	header(t, w, "Link", "")
	if w := a.private("GET", "/v1/jobs/j1/results?state=sad", "", bearer); w.Code != 400 {
		t.Errorf("a state that does not exist: status %d", w.Code)
	}
	a.prewarm.onResults = func(context.Context, string, ledger.ResultFilter, string, int) ([]ledger.Verdict, string, error) {
		return nil, "", noSuchJob()
	}
	if w := a.private("GET", "/v1/jobs/j2/results", "", bearer); w.Code != 404 {
		t.Errorf("no such job: status %d", w.Code)
	}
}

func TestBrokenSince(t *testing.T) {
	a := newAPI(t, nil)
	var since time.Time
	a.prewarm.onBroken = func(_ context.Context, _ ledger.Caller, at time.Time, limit int) ([]ledger.BrokenCount, error) {
		since = at
		return []ledger.BrokenCount{{BrokenSource: ledger.BrokenSource{Source: "https://c.example/a.jpg", Reason: fault.SourceNotFound, At: testNow}, Count: 2}}, nil
	}
	for text, want := range map[string]time.Time{"": {}, "24h": testNow.Add(-24 * time.Hour), "2026-11-23T12:00:00Z": testNow, "2026-11-23T13:00:00.5%2B01:00": testNow.Add(500 * time.Millisecond)} {
		w := a.private("GET", "/v1/broken?since="+text, "", checkBearer)
		if w.Code != 200 || !since.Equal(want) || !strings.Contains(w.Body.String(), `"count":2`) {
			t.Errorf("%q: status %d, since %v, want %v: %s", text, w.Code, since, want, w.Body)
		}
	}
	if w := a.private("GET", "/v1/broken?since=yesterday", "", checkBearer); w.Code != 400 {
		t.Errorf("yesterday: status %d", w.Code)
	}
}

// sseServer serves the access.API on a real connection and opens a stream of events.
func sseServer(t *testing.T, watch func(ctx context.Context, id string) (<-chan ledger.Job, error)) (stream *bufio.Reader, hangUp func(), stop func() error) {
	t.Helper()
	a := newAPI(t, func(c *Config, _ *access.Rules) {
		c.Listen, c.Admin, c.Drain = "127.0.0.1:0", "127.0.0.1:0", 200*time.Millisecond
	})
	a.prewarm.onWatch = watch
	if err := a.Listen(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- a.Serve(ctx) }()
	_, admin := a.Addrs()
	req, _ := http.NewRequest("GET", "http://"+admin.String()+"/v1/jobs/j1/events", nil)
	req.Header.Set("Authorization", strings.TrimPrefix(bearer, "Authorization: "))
	res, err := http.DefaultClient.Do(req)
	if err != nil || res.StatusCode != 200 || res.Header.Get("Content-Type") != "text/event-stream" {
		t.Fatalf("%v: %+v", err, res)
	}
	stop = func() error { cancel(); return <-served }
	return bufio.NewReader(res.Body), func() { res.Body.Close() }, stop
}

// event reads the next one.
func event(t *testing.T, stream *bufio.Reader) string {
	t.Helper()
	text := ""
	for {
		line, err := stream.ReadString('\n')
		if err != nil {
			t.Fatalf("after %q: %v", text, err)
		}
		if line == "\n" {
			return text
		}
		text += line
	}
}

func TestEventsFollowAJob(t *testing.T) {
	changes := make(chan ledger.Job, 2)
	stream, _, stop := sseServer(t, func(context.Context, string) (<-chan ledger.Job, error) { return changes, nil })
	changes <- aJob()
	if got := event(t, stream); got != "retry: 2000\n" {
		t.Errorf("got %q", got)
	}
	if got := event(t, stream); !strings.HasPrefix(got, "event: job\ndata: {") || !strings.Contains(got, `"made":1`) {
		t.Errorf("got %q", got)
	}
	changes <- doneJob()
	close(changes)
	if got := event(t, stream); !strings.Contains(got, `"state":"done"`) {
		t.Errorf("got %q", got)
	}
	if got := event(t, stream); got != "event: end\ndata:\n" {
		t.Errorf("got %q", got)
	}
	if rest, err := io.ReadAll(stream); err != nil || len(rest) != 0 {
		t.Errorf("after the end: %q, %v", rest, err)
	}
	if err := stop(); err != nil {
		t.Errorf("stop: %v", err)
	}
}

// A listener that leaves ends its watch, and a server that stops ends the streams of those who stay.
func TestEventsEnd(t *testing.T) {
	watched := make(chan context.Context, 1)
	watch := func(ctx context.Context, _ string) (<-chan ledger.Job, error) {
		watched <- ctx
		return make(chan ledger.Job), nil
	}
	stream, hangUp, stop := sseServer(t, watch)
	event(t, stream)
	hangUp()
	<-(<-watched).Done()
	if err := stop(); err != nil {
		t.Errorf("stop: %v", err)
	}
	stream, _, stop = sseServer(t, watch)
	event(t, stream)
	if err := stop(); err != nil {
		t.Errorf("stop with a listener: %v", err)
	}
	if rest, err := io.ReadAll(stream); err != nil || len(rest) != 0 {
		t.Errorf("after the stop: %q, %v", rest, err)
	}
}

// A silent stream shows that it lives.
func TestEventsHeartbeat(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAPI(t, nil)
		changes := make(chan ledger.Job)
		a.prewarm.onWatch = func(context.Context, string) (<-chan ledger.Job, error) { return changes, nil }
		go func() {
			time.Sleep(2*beat + time.Second)
			close(changes)
		}()
		w := a.private("GET", "/v1/jobs/j1/events", "", bearer)
		if got := strings.Count(w.Body.String(), "\n:\n"); got != 2 {
			t.Errorf("%d beats, want 2: %q", got, w.Body)
		}
	})
}

// A long poll is answered with how far the job has come when the server stops.
func TestLongPollEndsWithTheServer(t *testing.T) {
	a := newAPI(t, func(c *Config, _ *access.Rules) {
		c.Listen, c.Admin, c.Drain = "127.0.0.1:0", "127.0.0.1:0", 200*time.Millisecond
	})
	polling := make(chan struct{}, 1)
	a.prewarm.onJob = func(ctx context.Context, _ string, wait time.Duration) (ledger.Job, error) {
		if wait == 0 {
			return aJob(), nil
		}
		polling <- struct{}{}
		<-ctx.Done()
		return ledger.Job{}, ctx.Err()
	}
	if err := a.Listen(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- a.Serve(ctx) }()
	_, admin := a.Addrs()
	answered := make(chan int, 1)
	go func() {
		req, _ := http.NewRequest("GET", "http://"+admin.String()+"/v1/jobs/j1?wait=60", nil)
		req.Header.Set("Authorization", strings.TrimPrefix(bearer, "Authorization: "))
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			answered <- 0
			return
		}
		res.Body.Close()
		answered <- res.StatusCode
	}()
	<-polling
	cancel()
	if got := <-answered; got != 200 {
		t.Errorf("the poll was answered %d, want 200", got)
	}
	if err := <-served; err != nil {
		t.Errorf("stop: %v", err)
	}
}
