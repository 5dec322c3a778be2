package e2e

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// celeryTasks is the number of tasks, of one unit each, for the example.
const celeryTasks = 12

// pythonWith is an interpreter that has the given modules. The test is skipped without it, or without Redis.
func pythonWith(t *testing.T, modules string) string {
	t.Helper()
	if _, err := exec.LookPath("redis-server"); err != nil {
		t.Skip("redis-server is not installed (make test installs it)")
	}
	for _, python := range []string{"python3", "/usr/bin/python3"} {
		if exec.Command(python, "-c", "import "+modules).Run() == nil {
			return python
		}
	}
	t.Skip("Python has not " + modules + " (make test installs them)")
	return ""
}

// startRedis starts a broker without persistence.
func startRedis(t *testing.T) (addr string) {
	t.Helper()
	addr = freePort(t)
	_, port, _ := net.SplitHostPort(addr)
	cmd := exec.Command("redis-server", "--port", port, "--bind", "127.0.0.1", "--save", "", "--dir", t.TempDir())
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	eventually(t, "Redis answers", func() bool {
		c, err := net.Dial("tcp", addr)
		if err == nil {
			c.Close()
		}
		return err == nil
	})
	return addr
}

// readmeScript is the block of an example's README that a test runs, with this run's addresses. It fails if a
// background process of it has ended.
func readmeScript(t *testing.T, readme string, replaced *strings.Replacer) string {
	t.Helper()
	blocks, faults := docBlocks(readme)
	i := slices.IndexFunc(blocks, func(b docBlock) bool { return strings.Contains(b.skipped(), t.Name()) })
	if i < 0 || len(faults) > 0 {
		t.Fatalf("%s has no block that this test runs, %v", readme, faults)
	}
	return "set -euo pipefail\n" + replaced.Replace(blocks[i].text) + "for pid in $(jobs -p); do kill -0 $pid; done\n"
}

// Write lets a command write into the buffer.
func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

// linesWith counts the lines that contain all parts.
func (b *logBuffer) linesWith(parts ...string) (n int) {
	for line := range strings.Lines(b.String()) {
		if !slices.ContainsFunc(parts, func(part string) bool { return !strings.Contains(line, part) }) {
			n++
		}
	}
	return n
}

// celeryVerdicts sums up the server's jobs. There must be one for each task.
func celeryVerdicts(s *server) (made, broken int) {
	s.t.Helper()
	var list struct{ Jobs []job }
	a := s.call("GET", "/v1/jobs?limit=1000", "")
	if err := json.Unmarshal(a.body, &list); err != nil || len(list.Jobs) != celeryTasks {
		s.t.Errorf("there are %d jobs, %v, want %d", len(list.Jobs), err, celeryTasks)
	}
	for _, j := range list.Jobs {
		made, broken = made+j.Counts["made"]+j.Counts["present"], broken+j.Counts["broken"]
	}
	return made, broken
}

// celeryUnits is a file of units: the first waits for the origin's gate, the source of the last is missing.
func celeryUnits(t *testing.T, o *origin) string {
	t.Helper()
	paths := slices.Repeat([]string{"/photos/cardinal.jpg"}, celeryTasks)
	paths[0], paths[celeryTasks-1] = "/gated.jpg", "/missing/1.jpg"
	var lines strings.Builder
	for i, path := range paths {
		fmt.Fprintf(&lines, "{\"id\":\"u%d\",\"photo\":\"%s%s?unit=%d\"}\n", i, o.URL, path, i)
	}
	file := filepath.Join(t.TempDir(), "units.jsonl")
	write(t, file, lines.String())
	return file
}

// The example runs in a real Celery worker, started as in its README. The server is down twice for six seconds: before
// it has the units, and, after a kill, while jobs are awaited. The worker stays alive, no task is lost, none makes two
// jobs, and each broken image is reported once.
func TestCelery(t *testing.T) {
	corpus(t)
	python, o, broker := pythonWith(t, "celery, redis"), startOrigin(t), startRedis(t)
	gate := make(chan struct{})
	o.on("/gated.jpg", func(w http.ResponseWriter, r *http.Request) {
		select {
		case <-gate:
			o.corpusFile(w, r, "/photos/cardinal.jpg")
		case <-r.Context().Done():
		}
	})
	env := append(slices.Clone(prewarmEnv), "GOLDCREST_PREWARM_PRESETS=[small, std]", "GOLDCREST_SERVER_LISTEN="+freePort(t), "GOLDCREST_SERVER_ADMIN="+freePort(t))
	s := start(t, env...)
	s.kill()

	cmd := exec.Command("bash", "-c", readmeScript(t, "../examples/celery/README.md", strings.NewReplacer("127.0.0.1:6379", broker, "http://goldcrest.internal:8081", s.admin,
		"units.jsonl", celeryUnits(t, o)+" 1", "python3", python)))
	var out, log logBuffer
	cmd.Dir, cmd.Stdout, cmd.Stderr = "..", &out, &log
	cmd.Env = append(os.Environ(), "GOLDCREST_TOKEN="+backendToken, "PYTHONDONTWRITEBYTECODE=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.WaitDelay = time.Second // The worker stays and keeps the pipes open.
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) })
	seen := func(n int, parts ...string) func() bool {
		return func() bool { return log.linesWith(parts...) >= n }
	}
	within(t, time.Minute, "every task is refused", seen(celeryTasks, "goldcrest.prewarm[", "retry: Retry in", "connect_failed"))
	time.Sleep(6 * time.Second)

	s = startIn(t, s.dir, env...)
	within(t, time.Minute, "the gated job is waited for", seen(1, "goldcrest.collect[", "retry: Retry in"))
	s.kill()
	within(t, time.Minute, "the wait is refused", seen(1, "goldcrest.collect[", "retry: Retry in", "connect_failed"))
	time.Sleep(6 * time.Second)

	s = startIn(t, s.dir, env...)
	close(gate)
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	select {
	case err := <-ended:
		if cmd.ProcessState.ExitCode() != 0 {
			t.Errorf("%v\n%s%s", err, &out, &log)
		}
	case <-time.After(2 * time.Minute):
		t.Fatalf("the tasks do not end\n%s%s", &out, &log)
	}
	if text := out.String(); strings.Count(text, ": 1 units, 1 images\n") != celeryTasks ||
		strings.Count(text, "broken ") != 1 || !strings.Contains(text, fmt.Sprintf("broken u%d /photo source_not_found\n", celeryTasks-1)) {
		t.Errorf("send.py printed\n%s", text)
	}
	for _, bad := range []string{"Unrecoverable", "exited prematurely", "WorkerLostError", "Traceback"} {
		if strings.Contains(log.String(), bad) {
			t.Errorf("the worker says %s:\n%s", bad, &log)
		}
	}
	made, broken := celeryVerdicts(s)
	if made != 4*(celeryTasks-1) || broken != 4 {
		t.Errorf("%d variants are made and %d broken, want %d and 4", made, broken, 4*(celeryTasks-1))
	}
}
