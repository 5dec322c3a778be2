package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// pressed is a server whose memory limit the test changes.
type pressed struct {
	*server
	file string
}

// press sets the limit so that the server uses the given share of it, until that step is reached. The usage varies a
// little, also because of the step.
func (p *pressed) press(share float64, step float64) {
	p.t.Helper()
	for range 10 {
		if p.metric("goldcrest_memory_step") > step { // It would not go back to this step, since that needs a clearly lower usage.
			p.limit(0)
			eventually(p.t, "no step holds", func() bool { return p.metric("goldcrest_memory_step") == 0 })
		}
		limit := int64(p.metric("goldcrest_memory_used_bytes") / share)
		p.limit(limit)
		for end := time.Now().Add(6 * time.Second); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
			if p.metric("goldcrest_memory_limit_bytes") == float64(limit) && p.metric("goldcrest_memory_step") == step {
				return
			}
		}
	}
	p.t.Fatalf("step %v was not reached: %v of %v\n%s", step, p.metric("goldcrest_memory_used_bytes"), p.metric("goldcrest_memory_limit_bytes"), p.log)
}

// limit reloads the server with another limit; 0 = none.
func (p *pressed) limit(bytes int64) {
	p.t.Helper()
	text := configText(p.dir, fmt.Sprintf("memory: {limit: %d}\n", bytes))
	if err := os.WriteFile(p.file, []byte(text), 0o600); err != nil {
		p.t.Fatal(err)
	}
	p.cmd.Process.Signal(syscall.SIGHUP)
}

// A server close to its memory limit first stops prewarm, then misses, then everything, and resumes later.
func TestFault34MemoryLadder(t *testing.T) {
	corpus(t)
	o := startOrigin(t)
	s := start(t, prewarmEnv...)
	p := &pressed{s, filepath.Join(s.dir, "config.yaml")}
	source := func(n int) string { return fmt.Sprintf("%s/alias/%d/groceries.jpg", o.URL, n) }
	want := func(what string, n, status int) {
		t.Helper()
		before := o.total()
		a := s.get(signed("w:100/f:jpg", source(n)))
		if a.StatusCode != status {
			t.Errorf("%s: got %d %s, want %d", what, a.StatusCode, a.Header.Get("X-Error"), status)
		}
		if status == 503 && (a.Header.Get("X-Error") != "overloaded" || a.Header.Get("Retry-After") == "" || o.total() != before) {
			t.Errorf("%s: refused as %s, Retry-After %q, with %d fetches", what, a.Header.Get("X-Error"), a.Header.Get("Retry-After"), o.total()-before)
		}
	}
	ready := func(status int) {
		t.Helper()
		if a := s.do("GET", s.admin+"/readyz"); a.StatusCode != status {
			t.Errorf("/readyz: got %d, want %d", a.StatusCode, status)
		}
	}
	for i := range 20 { // Until its memory use is stable.
		want("before", 200+i, 200)
	}
	s.ended(s.prewarm("?variants=small", fmt.Sprintf(`{"photo_url": %q}`, source(99))).Job)
	want("before", 1, 200)

	p.press(0.85, 1)
	j := s.prewarm("?variants=small", fmt.Sprintf(`{"photo_url": %q}`, source(100)))
	want("new, while prewarm is stopped", 2, 200)
	ready(200)
	time.Sleep(time.Second)
	if n := o.count("/alias/100/groceries.jpg"); n != 0 {
		t.Errorf("got %d fetches for a Data Unit while prewarm is stopped", n)
	}

	p.press(0.92, 2)
	want("cached, while only the cache is", 1, 200)
	want("new, while only the cache is", 3, 503)
	ready(200)
	if a := s.call("POST", "/v1/prewarm", `{"photo_url": "https://c.example/a.jpg"}`); a.StatusCode != 503 {
		t.Errorf("a Data Unit while only the cache is: got %d", a.StatusCode)
	}

	p.press(1.2, 3)
	want("cached, while all is refused", 1, 503)
	ready(503)
	if a := s.get("/health"); a.StatusCode != 503 {
		t.Errorf("/health: got %d, want 503", a.StatusCode)
	}
	if a := s.do("GET", s.admin+"/healthz"); a.StatusCode != 200 { // It must not be restarted.
		t.Errorf("/healthz: got %d %s", a.StatusCode, a.body)
	}

	p.limit(0)
	eventually(t, "no step holds", func() bool { return s.metric("goldcrest_memory_step") == 0 })
	want("new, afterwards", 4, 200)
	ready(200)
	if got := s.ended(j.Job); got.State != "done" {
		t.Errorf("the job that waited: %+v, want it done", got)
	}
}
