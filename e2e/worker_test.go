package e2e

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// workers are the process ids of a server's worker processes. A child that has not yet executed the worker's program is
// excluded: the thread that starts it waits for that, so stopping the child would freeze the server.
func (s *server) workers() (pids []int) {
	dirs, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, stat := range dirs {
		text, err := os.ReadFile(stat)
		if err != nil {
			continue
		}
		// The fields after the name in brackets: state, parent.
		rest := string(text[bytes.LastIndexByte(text, ')')+1:])
		field := strings.Fields(rest)
		if len(field) > 1 && field[0] != "Z" && field[1] == strconv.Itoa(s.cmd.Process.Pid) {
			command, _ := os.ReadFile(filepath.Join(filepath.Dir(stat), "cmdline")) // It may have ended.
			pid, err := strconv.Atoi(filepath.Base(filepath.Dir(stat)))
			if err == nil && bytes.HasSuffix(command, []byte("\x00worker\x00")) {
				pids = append(pids, pid)
			}
		}
	}
	return pids
}

// crew returns the workers of a server once both are ready: "serving" is logged after the first.
func (s *server) crew() (pids []int) {
	s.t.Helper()
	within(s.t, time.Minute, "both workers are ready", func() bool {
		pids = s.workers()
		return s.metric("goldcrest_workers") == 2 && len(pids) == 2
	})
	return pids
}

// A worker that is killed, crashes or hangs fails only its own request, and is replaced at once.
func TestFault18WorkerDies(t *testing.T) {
	corpus(t)
	o := startOrigin(t)
	s := start(t)
	width := 200
	// Each signal uses a separate original, and the request after it another one. A crash after the last byte was made
	// counts against the picture too. An idle worker may take time to die and be lent meanwhile. Two crashes make a
	// picture poison.
	for photo, sig := range map[string]syscall.Signal{"product-saw": syscall.SIGKILL, "cardinal": syscall.SIGSEGV, "faces-progressive": syscall.SIGABRT} {
		ask := func(photo string) answer {
			width++
			return s.get(signed(fmt.Sprintf("w:%d/f:webp", width), o.URL+"/photos/"+photo+".jpg"))
		}
		before := s.crew()
		done := make(chan answer, 1)
		go func() { done <- ask(photo) }()
		time.Sleep(30 * time.Millisecond) // Usually in the middle of the transform; the assertions hold in any case.
		for _, pid := range before {
			syscall.Kill(pid, sig)
		}
		if a := <-done; a.StatusCode != 200 {
			t.Errorf("%v: the request in work got %d %s, want a second try", sig, a.StatusCode, a.Header.Get("X-Error"))
		}
		if a := ask("groceries"); a.StatusCode != 200 {
			t.Errorf("%v: the next request got %d", sig, a.StatusCode)
		}
		s.crew() // Both are ready again.
	}
}

// Every worker is used if there is work for all, from the first request on.
func TestAllWorkersAreUsed(t *testing.T) {
	corpus(t)
	o := startOrigin(t)
	s := start(t)
	done := make(chan struct{})
	go func() {
		defer close(done)
		var wg sync.WaitGroup
		for w := range 12 {
			wg.Go(func() {
				request("GET", s.public+signed(fmt.Sprintf("w:%d/f:avif", 700+w), o.URL+"/photos/nightsky-24mp.jpg"))
			})
		}
		wg.Wait()
	}()
	eventually(t, "two transforms run at a time", func() bool { return s.metric("goldcrest_gate_running", `gate="transform"`) == 2 })
	<-done
}

// A worker that hangs is killed at the deadline.
func TestFault18WorkerHangs(t *testing.T) {
	corpus(t)
	o := startOrigin(t)
	s := start(t, "GOLDCREST_TRANSFORM_TIMEOUT=2s")
	for _, pid := range s.crew() {
		syscall.Kill(pid, syscall.SIGSTOP)
	}
	begin := time.Now()
	a := s.get(signed("w:300/f:webp", o.URL+"/photos/product-saw.jpg"))
	if a.StatusCode != 200 && a.Header.Get("X-Error") != "transform_timeout" {
		t.Errorf("got %d %s", a.StatusCode, a.Header.Get("X-Error"))
	}
	if took := time.Since(begin); took > 10*time.Second {
		t.Errorf("took %s", took)
	}
	tries := 0
	within(t, time.Minute, "the pool works again", func() bool {
		tries++ // A picture that took too long is remembered for a minute, and the other worker hangs too.
		return s.get(signed("w:301/f:webp", fmt.Sprintf("%s/photos/exif-portrait-%d.jpg", o.URL, 1+tries%8))).StatusCode == 200
	})
}

// Workers end with their server, also when it is killed.
func TestWorkersDieWithTheServer(t *testing.T) {
	s := start(t)
	pids := s.crew()
	s.cmd.Process.Kill()
	<-s.done
	eventually(t, "the workers are gone", func() bool {
		for _, pid := range pids {
			if syscall.Kill(pid, 0) == nil {
				return false
			}
		}
		return true
	})
}

// Rotated photos under concurrency: always the same bytes, for both engines.
func TestFault28RotatedPhotos(t *testing.T) {
	corpus(t)
	for _, engine := range []string{"vips", "bimg"} {
		t.Run(engine, func(t *testing.T) {
			o := startOrigin(t)
			// Repeated requests would be answered from the cache, so widths differ.
			one := start(t, "GOLDCREST_TRANSFORM_ENGINE="+engine)
			two := start(t, "GOLDCREST_TRANSFORM_ENGINE="+engine)
			var wg sync.WaitGroup
			for worker := range 8 {
				wg.Go(func() {
					for i := range 12 {
						path := signed(fmt.Sprintf("w:%d/f:jpg", 200+worker*20+i), fmt.Sprintf("%s/photos/exif-portrait-%d.jpg", o.URL, 1+i%8))
						a, errA := request("GET", one.public+path)
						b, errB := request("GET", two.public+path)
						if errA != nil || errB != nil || a.StatusCode != 200 || !bytes.Equal(a.body, b.body) {
							t.Errorf("two servers disagree about a rotated photo (%v, %v)", errA, errB)
						}
					}
				})
			}
			wg.Wait()
		})
	}
}

// healthcheck succeeds while every worker is busy and requests wait. It fails once workers, and all their replacements,
// hang. An orchestrator must restart the process only in the second case.
func TestFault18Healthcheck(t *testing.T) {
	corpus(t)
	o := startOrigin(t)
	s := start(t, "GOLDCREST_TRANSFORM_TIMEOUT=2s")
	health := func() int {
		_, code := runBinary(t, "healthcheck", "-url", s.admin+"/healthz")
		return code
	}
	stop := make(chan struct{})
	var load sync.WaitGroup
	for client := range 6 {
		load.Go(func() {
			for w := 600; ; w++ {
				select {
				case <-stop:
					return
				default:
					request("GET", s.public+signed(fmt.Sprintf("w:%d/h:%d/rt:force/f:avif", w, 500+client), o.URL+"/photos/nightsky-24mp.jpg"))
				}
			}
		})
	}
	eventually(t, "both workers have work and somebody waits", func() bool {
		return s.metric("goldcrest_workers_busy") == 2 && s.metric("goldcrest_gate_waiting", `gate="transform"`) > 0
	})
	for range 8 {
		if code := health(); code != 0 {
			t.Errorf("a busy server: exit %d", code)
		}
	}
	hung := make(chan struct{})
	go func() {
		defer close(hung)
		for {
			for _, pid := range s.workers() {
				syscall.Kill(pid, syscall.SIGSTOP)
			}
			select {
			case <-stop:
				return
			case <-time.After(20 * time.Millisecond):
			}
		}
	}()
	begin := time.Now()
	within(t, 30*time.Second, "the check tells that nothing is made", func() bool { return health() != 0 })
	if took := time.Since(begin); took < 4*time.Second {
		t.Errorf("reported after %v: one deadline of 2 s proves nothing", took)
	}
	close(stop)
	<-hung
	for _, pid := range s.workers() {
		syscall.Kill(pid, syscall.SIGCONT)
	}
	load.Wait()
	eventually(t, "the server is well again", func() bool { return health() == 0 })
}
