package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"
)

// backendToken has all scopes.
const backendToken = "e2e-backend-token-0001"

// prewarmEnv configures a server that accepts Data Units: one small JPEG of each image, and short retries.
var prewarmEnv = []string{
	"GOLDCREST_API_TOKENS=[{name: backend, token: " + backendToken + ", scopes: [prewarm, check, sign, explain, purge, admin]}]",
	`GOLDCREST_PRESETS={small: "rs:fit:160:0/f:jpg", std: "rs:fit:480:0"}`,
	"GOLDCREST_PREWARM_PRESETS=[small]",
	"GOLDCREST_PREWARM_RETRY=[200ms, 400ms]",
}

// call sends a request to the API.
func (s *server) call(method, path, body string, headers ...string) answer {
	s.t.Helper()
	a, err := s.tryCall(method, path, strings.NewReader(body), headers...)
	if err != nil {
		s.t.Fatalf("%s %s: %v\n%s", method, path, err, s.log)
	}
	return a
}

// tryCall is call for a server that may be dead.
func (s *server) tryCall(method, path string, body io.Reader, headers ...string) (answer, error) {
	return send(method, s.admin+path, body, append([]string{"Authorization", "Bearer " + backendToken}, headers...)...)
}

// accepted is the response to a prewarm call, as far as the tests use it.
type accepted struct {
	Job    string
	State  string
	Counts map[string]int
	Units  []struct {
		Index, Line int
		ID          string
		Error       *struct{ Code, Detail string }
		Data        json.RawMessage
		Images      []struct {
			Pointer, Source, State, Reason string
			Variants                       []struct{ Name, Format, URL, State string }
		}
	}
}

// verdict is a row of a job's results.
type verdict struct {
	Index                                                 int
	ID, Pointer, Source, Name, Format, Key, State, Reason string
	Bytes                                                 int64
}

// job is a job's state.
type job struct {
	Job, State string
	Counts     map[string]int
	Bytes      map[string]int64
}

// awaitQueue waits until the queue is open: before, the server refuses every call as retryable.
func (s *server) awaitQueue() {
	s.t.Helper()
	if !s.queueOpen {
		within(s.t, time.Minute, "the queue is open", func() bool { return s.call("GET", "/v1/jobs", "").StatusCode != 503 })
		s.queueOpen = true
	}
}

// prewarm posts a body that must be accepted.
func (s *server) prewarm(query, body string, headers ...string) (a accepted) {
	s.t.Helper()
	s.awaitQueue()
	res := s.call("POST", "/v1/prewarm"+query, body, headers...)
	if res.StatusCode != 202 && res.StatusCode != 200 {
		s.t.Fatalf("prewarm: got %d: %.500s\n%s", res.StatusCode, res.body, s.log)
	}
	if err := json.Unmarshal(res.body, &a); err != nil {
		s.t.Fatalf("prewarm: %v: %.500s", err, res.body)
	}
	return a
}

// ended waits for a job's end.
func (s *server) ended(id string) (j job) {
	s.t.Helper()
	for deadline := time.Now().Add(5 * time.Minute); time.Now().Before(deadline); {
		a := s.call("GET", "/v1/jobs/"+id+"?wait=20", "")
		if j = (job{}); a.StatusCode == 503 {
			continue // A queue that is too busy is asked again.
		}
		if err := json.Unmarshal(a.body, &j); err != nil || a.StatusCode != 200 {
			s.t.Fatalf("job %s: got %d, %v: %s", id, a.StatusCode, err, a.body)
		}
		if j.State != "queued" && j.State != "running" {
			return j
		}
	}
	s.t.Fatalf("job %s did not end: %+v\n%s", id, j, s.log)
	return j
}

// verdicts reads all results of a job.
func (s *server) verdicts(id string) (out []verdict) {
	s.t.Helper()
	for path := "/v1/jobs/" + id + "/results?limit=500"; path != ""; {
		a := s.call("GET", path, "")
		if a.StatusCode != 200 {
			s.t.Fatalf("%s: got %d: %s", path, a.StatusCode, a.body)
		}
		dec := json.NewDecoder(bytes.NewReader(a.body))
		for dec.More() {
			var v verdict
			if err := dec.Decode(&v); err != nil {
				s.t.Fatal(err)
			}
			out = append(out, v)
		}
		path, _, _ = strings.Cut(strings.TrimPrefix(a.Header.Get("Link"), "<"), ">")
	}
	return out
}

// urlPath is the path of a signed URL in a response: the server under test does not listen at its base_url.
func urlPath(t *testing.T, url string) string {
	t.Helper()
	_, rest, ok := strings.Cut(url, "://")
	if !ok {
		t.Fatalf("%q is no URL", url)
	}
	_, path, _ := strings.Cut(rest, "/")
	return "/" + path
}

// A unit's pictures are made before anyone requests them: the first GET after a restart causes no fetch, for a client
// of each format.
func TestPrewarmThenHitAfterRestart(t *testing.T) {
	corpus(t)
	o, dir := startOrigin(t), t.TempDir()
	env := append(prewarmEnv, "GOLDCREST_PREWARM_PRESETS=[std]")
	s := startIn(t, dir, env...)
	photos := []string{"product-saw.jpg", "gopher-alpha.png", "banana-anim.gif", "pigeon.avif", "exif-portrait-6.jpg", "receipt-tall.jpg"}
	var images []string
	for _, p := range photos {
		images = append(images, fmt.Sprintf("%q", o.URL+"/photos/"+p))
	}
	a := s.prewarm("", `{"id":"du-1","title":"x","images":[`+strings.Join(images, ",")+`]}`, "Prefer", "wait=60")
	if j := s.ended(a.Job); j.State != "done" || j.Counts["made"] != j.Counts["variants"] || j.Counts["images"] != len(photos) || j.Bytes["saved"] <= 0 {
		t.Fatalf("got %+v\n%s", j, s.log)
	}
	fetched := o.total()
	if fetched != len(photos) {
		t.Errorf("got %d fetches for %d originals", fetched, len(photos))
	}
	s.stop()

	again := startIn(t, dir, env...)
	for _, image := range a.Units[0].Images {
		for _, accept := range []string{chrome, "image/webp,*/*", "*/*"} {
			got := again.get(urlPath(t, image.Variants[0].URL), "Accept", accept)
			if got.StatusCode != 200 || got.Header.Get("Cache-Status") != "goldcrest; hit; detail=store" {
				t.Errorf("%s for %s: got %d, %s, %s", image.Source, accept, got.StatusCode, got.Header.Get("Content-Type"), got.Header.Get("Cache-Status"))
			}
		}
	}
	if o.total() != fetched || again.metric("goldcrest_transforms_total") != 0 {
		t.Errorf("after the restart: %d fetches, %v transforms, want none", o.total()-fetched, again.metric("goldcrest_transforms_total"))
	}
	if b := again.prewarm("", `{"id":"du-1","images":[`+strings.Join(images, ",")+`]}`); b.State != "done" || b.Counts["present"] != b.Counts["variants"] {
		t.Errorf("posted again: got %s, %v", b.State, b.Counts)
	}
}

// The same idempotency key with the same body is the same job, also after a crash; with another body it is refused.
func TestPrewarmIdempotencyKey(t *testing.T) {
	corpus(t)
	o, dir := startOrigin(t), t.TempDir()
	s := startIn(t, dir, prewarmEnv...)
	body := `{"id":"du-1","photo":"` + o.URL + `/photos/product-saw.jpg"}`
	first := s.prewarm("", body, "Idempotency-Key", "task-1")
	second := s.prewarm("", body, "Idempotency-Key", "task-1")
	other := s.prewarm("", body, "Idempotency-Key", "task-2")
	if first.Job == "" || first.Job != second.Job || other.Job == first.Job {
		t.Errorf("jobs %q, %q with one key, %q with another", first.Job, second.Job, other.Job)
	}
	if a := s.call("POST", "/v1/prewarm", `{"id":"du-2"}`, "Idempotency-Key", "task-1"); a.StatusCode != 409 || a.Header.Get("X-Error") != "idempotency_conflict" {
		t.Errorf("another body: got %d %s", a.StatusCode, a.body)
	}
	s.ended(first.Job)
	s.kill()
	again := startIn(t, dir, prewarmEnv...)
	if third := again.prewarm("", body, "Idempotency-Key", "task-1"); third.Job != first.Job {
		t.Errorf("after a crash: job %q, want %q", third.Job, first.Job)
	}
	if o.total() != 1 {
		t.Errorf("got %d fetches, want 1", o.total())
	}
}

// A purge by source, tag or unit removes everything, and returns the keys for the CDN.
func TestPrewarmPurge(t *testing.T) {
	corpus(t)
	o := startOrigin(t)
	s := start(t, prewarmEnv...)
	source := o.URL + "/photos/product-saw.jpg"
	body := `{"id":"du-1","photo":"` + source + `"}`
	for n, purge := range []string{`{"source":"` + source + `"}`, `{"unit":"du-1"}`, `{"tag":"spring"}`} {
		a := s.prewarm("?tag=spring", body)
		s.ended(a.Job)
		path := urlPath(t, a.Units[0].Images[0].Variants[0].URL)
		hit := s.get(path)
		if !strings.Contains(hit.Header.Get("Cache-Status"), "; hit;") || o.total() != n+1 {
			t.Fatalf("%s: before: %s after %d fetches", purge, hit.Header.Get("Cache-Status"), o.total())
		}
		var purged struct {
			Purged  int
			CDNTags []string `json:"cdn_tags"`
		}
		p := s.call("POST", "/v1/purge", purge)
		if err := json.Unmarshal(p.body, &purged); err != nil || p.StatusCode != 200 || purged.Purged != 1 {
			t.Fatalf("%s: got %d: %v: %s", purge, p.StatusCode, err, p.body)
		}
		if len(purged.CDNTags) != 1 || purged.CDNTags[0] != hit.Header.Get("Cache-Tag") {
			t.Errorf("%s: tags %v, the picture has %q", purge, purged.CDNTags, hit.Header.Get("Cache-Tag"))
		}
		if gone := s.get(path, "Cache-Control", "only-if-cached"); gone.StatusCode != 504 {
			t.Errorf("%s: after: got %d", purge, gone.StatusCode)
		}
	}
}

// Check reports what is present, broken or unknown, and does no work.
func TestPrewarmCheck(t *testing.T) {
	corpus(t)
	o := startOrigin(t)
	s := start(t, prewarmEnv...)
	a := s.prewarm("", `[{"photo":"`+o.URL+`/photos/product-saw.jpg"},{"photo":"`+o.URL+`/missing/1.jpg"}]`)
	if j := s.ended(a.Job); j.State != "partial" || j.Counts["broken"] != 1 || j.Counts["made"] != 1 {
		t.Fatalf("got %+v", j)
	}
	fetched := o.total()
	c := s.call("POST", "/v1/check", `{"urls":["`+o.URL+`/photos/product-saw.jpg","`+o.URL+`/missing/1.jpg","`+o.URL+`/photos/cardinal.jpg"]}`)
	var got struct{ Checked []verdict }
	if err := json.Unmarshal(c.body, &got); err != nil || len(got.Checked) != 3 {
		t.Fatalf("got %d: %v: %s", c.StatusCode, err, c.body)
	}
	for i, want := range []string{"present ", "broken source_not_found", "unknown "} {
		if state := got.Checked[i].State + " " + got.Checked[i].Reason; state != want {
			t.Errorf("%d: got %q, want %q", i, state, want)
		}
	}
	broken := s.call("GET", "/v1/broken?since=1h", "")
	if !strings.Contains(string(broken.body), "/missing/1.jpg") || strings.Contains(string(broken.body), "product-saw") {
		t.Errorf("the feed of broken sources: %s", broken.body)
	}
	if o.total() != fetched {
		t.Errorf("asking fetched %d originals", o.total()-fetched)
	}
}
