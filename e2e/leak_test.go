package e2e

import (
	"fmt"
	"net/http"
	"os"
	"strings"
	"syscall"
	"testing"
)

// holdings counts what a server has open and could leak.
type holdings struct{ files, threads, children, goroutines int }

func (s *server) holdings() (h holdings) {
	workers := s.workers()
	h.children, h.goroutines = len(workers), int(s.metric("go_goroutines"))
	for _, pid := range append(workers, s.cmd.Process.Pid) {
		for folder, n := range map[string]*int{"fd": &h.files, "task": &h.threads} {
			list, _ := os.ReadDir(fmt.Sprintf("/proc/%d/%s", pid, folder)) // A worker may end meanwhile; then the caller polls again.
			*n += len(list)
		}
	}
	return h
}

// settled reports whether hardly more is open than before: the runtime keeps some connections and goroutines for a
// while.
func (h holdings) settled(before holdings) bool {
	return h.children == before.children && h.files <= before.files+5 && h.threads <= before.threads+4 && h.goroutines <= before.goroutines+10
}

// After many kinds of failures, a server has no more files, threads, workers and goroutines than before.
func TestFault35NothingLeaks(t *testing.T) {
	corpus(t)
	o := startOrigin(t)
	o.on("/slow.jpg", func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	s := start(t, append([]string{"GOLDCREST_TRANSFORM_RECYCLE=40", "GOLDCREST_ORIGIN_TIMEOUT=2s"}, prewarmEnv...)...)
	round := func(n int) {
		for i := range 20 {
			source := fmt.Sprintf("%s/alias/%d-%d/groceries.jpg", o.URL, n, i)
			for _, format := range []string{"jpg", "webp", "gif"} {
				if a := s.get(signed("w:80/f:"+format, source)); a.StatusCode != 200 {
					t.Fatalf("got %d %s\n%s", a.StatusCode, a.Header.Get("X-Error"), s.log)
				}
			}
			for _, path := range []string{signed("w:80", fmt.Sprintf("%s/none/%d", o.URL, i)), signed("w:80", o.URL+"/hostile/empty"), "/x/y"} {
				if a := s.get(path); a.StatusCode < 400 {
					t.Fatalf("%s: got %d", path, a.StatusCode)
				}
			}
		}
		hangUp := crowd(t, s, 50, "w:100/f:webp", fmt.Sprintf("%s/slow.jpg?round=%d", o.URL, n))
		eventually(t, "all wait", func() bool { return s.metric("goldcrest_fills_in_flight") == 50 })
		hangUp()
		syscall.Kill(s.crew()[0], syscall.SIGKILL)
		var units strings.Builder
		for i := range 20 {
			fmt.Fprintf(&units, "{\"id\":\"u%d-%d\",\"photo\":\"%s/alias/job-%d-%d/groceries.jpg\",\"gone\":\"%s/none/%d.jpg\"}\n", n, i, o.URL, n, i, o.URL, i)
		}
		if j := s.ended(s.prewarm("", units.String(), "Content-Type", "application/x-ndjson").Job); j.State != "partial" { // Half of its pictures are missing.
			t.Fatalf("got a job that is %s", j.State)
		}
		s.cmd.Process.Signal(syscall.SIGHUP)
		eventually(t, "the workers are back", func() bool { return len(s.workers()) == 2 && s.metric("goldcrest_fills_in_flight") == 0 })
	}
	round(0)
	round(1) // Pools, connection caches and the runtime's threads grow to their final size.
	client.CloseIdleConnections()
	before := s.holdings()
	for n := range 4 {
		round(2 + n)
	}
	client.CloseIdleConnections()
	var after holdings
	defer func() { t.Logf("before %+v, after four more rounds %+v", before, after) }()
	eventually(t, "as little is open as before", func() bool { after = s.holdings(); return after.settled(before) })
}
