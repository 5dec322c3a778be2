package e2e

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// A worker that crashes sends one report to Sentry, in a well-formed envelope and without what is secret in the
// request, and the request is answered nevertheless. A stop flushes it.
func TestWorkerCrashIsReported(t *testing.T) {
	corpus(t)
	o := startOrigin(t)
	var mu sync.Mutex
	var bodies [][]byte
	sentry := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil || r.URL.Path != "/api/42/envelope/" || !strings.Contains(r.Header.Get("X-Sentry-Auth"),
			"sentry_key=0123456789abcdef") {
			t.Errorf("%s of %v: %v", r.URL, r.Header, err)
		}
		mu.Lock()
		defer mu.Unlock()
		bodies = append(bodies, body)
	}))
	defer sentry.Close()
	dsn := filepath.Join(t.TempDir(), "dsn")
	if err := os.WriteFile(dsn, []byte(strings.Replace(sentry.URL, "://", "://0123456789abcdef@", 1)+"/42\n"),
		0o600); err != nil {
		t.Fatal(err)
	}
	s := start(t, "GOLDCREST_REPORTS_DSN_FILE="+dsn, "GOLDCREST_TRANSFORM_WORKERS=1")
	// A stopped worker cannot finish before it is killed.
	for _, pid := range s.workers() {
		if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
			t.Fatal(err)
		}
	}
	done := make(chan answer, 1)
	target := signed("w:300/f:avif", o.URL+"/photos/nightsky-24mp.jpg?token=hush-hush")
	go func() { done <- s.get(target) }()
	within(t, time.Minute, "a worker is busy", func() bool { return s.metric("goldcrest_workers_busy") == 1 })
	for _, pid := range s.workers() {
		for _, sig := range []syscall.Signal{syscall.SIGSEGV, syscall.SIGCONT} {
			if err := syscall.Kill(pid, sig); err != nil {
				t.Fatal(err)
			}
		}
	}
	if a := <-done; a.StatusCode != 200 {
		t.Errorf("the request got %d %s, want a second try", a.StatusCode, a.Header.Get("X-Error"))
	}
	s.stop()
	if len(bodies) != 1 {
		t.Fatalf("%d reports: %s", len(bodies), bodies)
	}
	reportsItsCrash(t, dsn)
	if len(bodies) != 2 || !bytes.Contains(bodies[1], []byte(`"type":"panic","value":"SIGSEGV: segmentation v`)) {
		t.Errorf("of the crash there is the report %s", bodies[1:])
	}
	head, rest, _ := bytes.Cut(bodies[0], []byte("\n"))
	item, payload, _ := bytes.Cut(rest, []byte("\n"))
	payload = bytes.TrimSuffix(payload, []byte("\n"))
	if want := fmt.Sprintf(`"length":%d`, len(payload)); !bytes.Contains(item, []byte(want)) || !bytes.Contains(item,
		[]byte(`"type":"event"`)) {
		t.Errorf("the item's headers are %s, want %s", item, want)
	}
	// The state depends on which thread gets the signal, one of Go or one of a library.
	bySignal, byGo := []byte(`"state":"signal: segmentation fault"`), []byte(`"state":"exit status 2"`)
	payload = bytes.ReplaceAll(payload, bySignal, byGo)
	for _, want := range []string{`"type":"worker crash"`, `"reason":"crash"`, `"state":"exit status 2"`,
		`"platform":"go"`} {
		if !bytes.Contains(payload, []byte(want)) {
			t.Errorf("the report lacks %s: %s", want, payload)
		}
	}
	for _, secret := range []string{"hush", "nightsky", strings.Split(target, "/")[1], string(key), string(salt)} {
		if bytes.Contains(bodies[0], []byte(secret)) {
			t.Errorf("the report contains %q: %s\n%s", secret, head, payload)
		}
	}
}

// reportsItsCrash crashes a server and starts the next one.
func reportsItsCrash(t *testing.T, dsn string) {
	t.Helper()
	env := []string{"GOLDCREST_REPORTS_DSN_FILE=" + dsn, "GOLDCREST_REPORTS_DIR=" + t.TempDir()}
	s := start(t, env...)
	if err := s.cmd.Process.Signal(syscall.SIGSEGV); err != nil {
		t.Fatal(err)
	}
	<-s.done
	next := start(t, env...)
	next.stop()
	if !strings.Contains(next.log.String(), "an earlier run of the server crashed") {
		t.Errorf("the log of the next run is\n%s", next.log)
	}
}
