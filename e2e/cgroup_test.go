package e2e

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// controlGroup is a real control group, made for a test.
type controlGroup struct {
	dir           string
	current, told string // files: the memory in use, and the count of OOM kills
}

// startGroup makes a control group with a memory limit, and skips the test if this process may not.
func startGroup(t *testing.T, limit int64) *controlGroup {
	t.Helper()
	name := fmt.Sprintf("goldcrest-test-%d", os.Getpid())
	var reasons []string
	for _, v := range []struct{ base, limit, current, told string }{
		{"/sys/fs/cgroup", "memory.max", "memory.current", "memory.events"},
		{"/sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.usage_in_bytes", "memory.oom_control"},
	} {
		g := &controlGroup{filepath.Join(v.base, name), v.current, v.told}
		err := os.Mkdir(g.dir, 0o700)
		if err == nil {
			t.Cleanup(func() { os.Remove(g.dir) })
			if _, err = os.Stat(filepath.Join(g.dir, v.current)); err == nil {
				err = os.WriteFile(filepath.Join(g.dir, v.limit), []byte(strconv.FormatInt(limit, 10)), 0o600)
			}
		}
		if err == nil {
			return g
		}
		reasons = append(reasons, err.Error())
	}
	t.Skip("needs control groups that it may make:", strings.Join(reasons, "; "))
	return nil
}

// killed is the number of processes of the group that the kernel has OOM-killed.
func (g *controlGroup) killed(t *testing.T) int {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(g.dir, g.told))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if n, ok := strings.CutPrefix(line, "oom_kill "); ok {
			count, err := strconv.Atoi(strings.TrimSpace(n))
			if err != nil {
				t.Fatal(err)
			}
			return count
		}
	}
	t.Skip("this kernel does not count the processes that it kills")
	return 0
}

// A real control group of 256 MiB, a memory tier of twice that, and pictures of 49 MP, large responses and Data Units
// at once: work is shed in steps, no process is killed, and the server keeps responding.
func TestFault34ControlGroup(t *testing.T) {
	corpus(t)
	g := startGroup(t, 256<<20)
	o, large := startOrigin(t), plainPNG(t, 7000, 8, 0, 1)
	o.on("/large.png", func(w http.ResponseWriter, _ *http.Request) { w.Write(large) })
	shell := []string{"/bin/sh", "-c", `echo $$ >"$0" && exec "$@"`, filepath.Join(g.dir, "cgroup.procs"), binary}
	s := startCommand(t, t.TempDir(), shell, append([]string{"GOLDCREST_CACHE_MEMORY=512MiB"}, prewarmEnv...)...)
	var units strings.Builder
	for i := range 200 {
		fmt.Fprintf(&units, "{\"photo\":\"%s/alias/unit-%d/groceries.jpg\"}\n", o.URL, i)
	}
	s.prewarm("?variants=small", units.String(), "Content-Type", "application/x-ndjson")

	var stop, made, other atomic.Int64
	var wg sync.WaitGroup
	for c := range 12 {
		wg.Go(func() {
			for n := 0; stop.Load() == 0; n++ {
				source, options := fmt.Sprintf("%s/alias/%d-%d/nightsky-24mp.jpg", o.URL, c, n), "w:1800/q:97/f:jpg"
				if c == 0 {
					source, options = fmt.Sprintf("%s/large.png?n=%d", o.URL, n), "w:300/f:jpg"
				}
				a, err := request("GET", s.public+signed(options, source))
				switch {
				case err == nil && a.StatusCode == 200:
					made.Add(1)
				case err == nil && (a.StatusCode == 503 || a.StatusCode == 504):
					other.Add(1)
					time.Sleep(50 * time.Millisecond) // Sooner than Retry-After says.
				case err != nil:
					t.Errorf("no answer: %v", err)
				default:
					t.Errorf("got %d %s", a.StatusCode, a.Header.Get("X-Error"))
				}
			}
		})
	}
	steps, peak := map[float64]int{}, 0
	least, most := time.Now().Add(8*time.Second), time.Now().Add(time.Minute)
	enough := func() bool { return made.Load() >= 10 && steps[1]+steps[2]+steps[3] > 0 && time.Now().After(least) }
	for ; !enough() && time.Now().Before(most); time.Sleep(100 * time.Millisecond) {
		steps[s.metric("goldcrest_memory_step")]++
		text, _ := os.ReadFile(filepath.Join(g.dir, g.current))
		now, _ := strconv.Atoi(strings.TrimSpace(string(text)))
		peak = max(peak, now)
	}
	stop.Store(1)
	wg.Wait()
	t.Logf("%d made, %d refused; steps %v; at most %d MB with file pages", made.Load(), other.Load(), steps, peak>>20)
	if n := g.killed(t); n != 0 {
		t.Errorf("the kernel killed %d processes, want none", n)
	}
	if !enough() {
		t.Errorf("got %d pictures and steps %v, want some of them made, and work given up", made.Load(), steps)
	}
	eventually(t, "work is taken up again", func() bool {
		return s.get(signed("w:90/f:jpg", o.URL+"/photos/groceries.jpg")).StatusCode == 200
	})
}
