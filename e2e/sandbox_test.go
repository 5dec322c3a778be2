package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// sandboxed starts a server whose workers must be sandboxed, or skips the test if the kernel does not support it.
func sandboxed(t *testing.T, env ...string) *server {
	t.Helper()
	if out, _ := runBinary(t, "version"); !strings.Contains(out, "Landlock") || !strings.Contains(out, ", seccomp") || strings.Contains(out, "without") {
		t.Skipf("this kernel lacks a part of the sandbox:\n%s", out)
	}
	return start(t, append(env, "GOLDCREST_TRANSFORM_SANDBOX=required")...)
}

// Every photo of the corpus is made in each of the five formats by a worker that cannot open files, and no worker ends.
func TestSandboxedWorkersMakeEveryFormat(t *testing.T) {
	dir := corpus(t)
	o := startOrigin(t)
	s := sandboxed(t)
	photos, err := filepath.Glob(filepath.Join(dir, "photos", "*.*"))
	if err != nil || len(photos) == 0 {
		t.Fatalf("no photos: %v", err)
	}
	sources, made := map[string]bool{}, 0
	for _, photo := range photos {
		name := filepath.Base(photo)
		if ext := filepath.Ext(name); ext == ".tsv" || ext == ".svg" || ext == ".md" {
			continue
		}
		sources[filepath.Ext(name)] = true
		var wg sync.WaitGroup
		for i, f := range []string{"jpg", "png", "webp", "avif", "gif"} {
			made++
			wg.Go(func() {
				a, err := request("GET", s.public+signed(fmt.Sprintf("w:%d/f:%s", 240+i, f), o.URL+"/photos/"+name))
				if err != nil || a.StatusCode != 200 {
					t.Errorf("%s as %s: %v, %d %s", name, f, err, a.StatusCode, a.Header.Get("X-Error"))
				}
			})
		}
		wg.Wait()
	}
	ended := s.metric("goldcrest_workers_ended_total")
	recycled := s.metric("goldcrest_workers_ended_total", `reason="memory"`) + s.metric("goldcrest_workers_ended_total", `reason="recycle"`)
	if ended != recycled || strings.Contains(s.log.String(), "bad system call") {
		t.Errorf("%.0f workers ended, %.0f of them to be replaced:\n%s", ended, recycled, s.log)
	}
	if on := s.metric("goldcrest_worker_sandbox"); on != 2 {
		t.Errorf("the metric tells %.0f of 2 parts", on)
	}
	if a := s.do("GET", s.admin+"/healthz"); !strings.Contains(string(a.body), "seccomp") {
		t.Errorf("/healthz: %s", a.body)
	}
	t.Logf("%d variants of %d kinds of source", made, len(sources))
}

// The kernel's view of the sandbox of a worker of the real program: it covers every thread, and the worker has nothing
// of the server's own.
func TestSandboxOfEveryThread(t *testing.T) {
	s := sandboxed(t, "GOLDCREST_API_TOKENS=[{name: x, token: planted-in-the-environment, scopes: [check]}]")
	for _, pid := range s.crew() {
		threads, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", pid))
		if len(threads) < 2 {
			t.Errorf("worker %d has %d threads; this test cannot tell", pid, len(threads))
		}
		for _, path := range threads {
			text, err := os.ReadFile(path)
			if err != nil {
				continue // a thread that ended
			}
			for _, want := range []string{"NoNewPrivs:\t1\n", "Seccomp:\t2\n", "Seccomp_filters:\t1\n"} {
				if !strings.Contains(string(text), want) {
					t.Errorf("%s lacks %q", path, want)
				}
			}
		}
		environ, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", pid))
		if err != nil || strings.Contains(string(environ), "planted") || strings.Contains(string(environ), "PATH=/") {
			t.Errorf("worker %d sees the server's environment: %v\n%q", pid, err, environ)
		}
		limits, err := os.ReadFile(fmt.Sprintf("/proc/%d/limits", pid))
		if err != nil || strings.Contains(string(limits), "Max address space      unlimited") || !strings.Contains(string(limits), "Max open files            64 ") {
			t.Errorf("worker %d: %v\n%s", pid, err, limits)
		}
	}
}
