package e2e

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// hang mounts a file system that hangs at dir, until heal is called: a FUSE file system whose server does not read.
func hang(t *testing.T, dir string) (heal func()) {
	t.Helper()
	dev, err := os.OpenFile("/dev/fuse", os.O_RDWR, 0)
	if err != nil {
		t.Skip("there is no FUSE here: ", err)
	}
	if err := syscall.Mount("hung", dir, "fuse", 0, fmt.Sprintf("fd=%d,rootmode=40000,user_id=0,group_id=0", dev.Fd())); err != nil {
		t.Skip("a FUSE file system cannot be mounted here: ", err, dev.Close())
	}
	heal = sync.OnceFunc(func() {
		if err := errors.Join(syscall.Unmount(dir, syscall.MNT_DETACH), dev.Close()); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(heal)
	return heal
}

// threads is the number of the server's threads.
func (s *server) threads() int {
	s.t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.cmd.Process.Pid))
	if err != nil {
		s.t.Fatal(err)
	}
	_, rest, _ := bytes.Cut(status, []byte("Threads:"))
	text, _, _ := bytes.Cut(rest, []byte("\n"))
	n, err := strconv.Atoi(string(bytes.TrimSpace(text)))
	if err != nil {
		s.t.Fatal(err)
	}
	return n
}

// The disk of a directory store hangs. Pictures are made without it, in time and with few threads, and it is used again
// when it responds.
func TestFault50HungStore(t *testing.T) {
	jpeg := photo(t, "groceries.jpg")
	s, o := start(t, "GOLDCREST_CACHE_MEMORY=0", "GOLDCREST_SIGNING_RATE=0"), startOrigin(t)
	o.on("/a.jpg", func(w http.ResponseWriter, _ *http.Request) { w.Write(jpeg) })
	stored := func() float64 {
		return s.metric("goldcrest_store_operations_total", `tier="dir"`, `op="put"`, `outcome="ok"`)
	}
	path := signed("rs:fit:200:0/f:webp", o.URL+"/a.jpg")
	s.get(path)
	eventually(t, "a variant is stored", func() bool { return stored() == 1 })
	before := s.threads()
	heal := hang(t, filepath.Join(s.dir, "store", "v1"))
	for n := range 10 {
		began := time.Now()
		if a := s.get(signed(fmt.Sprintf("rs:fit:%d:0/f:webp", 100+n), o.URL+"/a.jpg")); a.StatusCode != 200 || time.Since(began) > 5*time.Second {
			t.Errorf("picture %d: %d %s after %v", n, a.StatusCode, a.body, time.Since(began))
		}
	}
	var asking sync.WaitGroup // requests for missing originals: one look-up each, and no picture
	for from := range 100 {
		asking.Go(func() {
			for n := range 100 {
				a, err := request("GET", s.public+signed(fmt.Sprintf("rs:fit:%d:%d/f:webp", 100+from, 100+n), o.URL+"/none.jpg"))
				if err != nil || a.StatusCode != 404 {
					t.Errorf("got %v %s, want a 404", err, a.body)
					return
				}
			}
		})
	}
	asking.Wait()
	if more := s.threads() - before; more > 64+32+20 {
		t.Errorf("10,000 URLs take %d threads more", more)
	}
	if s.metric("goldcrest_store_breaker_open") != 1 {
		t.Error("the store is not given a rest")
	}
	// A look-up continues for a while before it counts as hanging.
	eventually(t, "the calls that opened the breaker hang", func() bool {
		return s.metric("goldcrest_store_hung_calls") >= 5
	})
	if n := s.metric("goldcrest_store_hung_calls"); n > 64+32 {
		t.Errorf("%v calls hang", n)
	}
	heal()
	within(t, 20*time.Second, "the store is used again", func() bool {
		a := s.get(path)
		return a.StatusCode == 200 && s.metric("goldcrest_requests_total", `outcome="hit"`, `tier="store"`) > 0
	})
	eventually(t, "no call hangs", func() bool { return s.metric("goldcrest_store_hung_calls") == 0 })
}

// The disk of the embedded queue hangs. Calls are refused in time, viewers are served, and jobs continue when it
// responds.
func TestFault53HungQueueDisk(t *testing.T) {
	o := startOrigin(t)
	o.draw(t, 3*batchUnits, 0)
	s := start(t, append(drawnEnv, "GOLDCREST_SERVER_DRAIN=2s")...)
	s.settled(s.insist(o, 0), 0)
	before := s.threads()
	heal := hang(t, filepath.Join(s.dir, "queue"))
	var asking sync.WaitGroup
	for range 200 {
		asking.Go(func() {
			began := time.Now()
			a := s.call("POST", "/v1/prewarm", `{"photo":"`+o.URL+drawnPath(0)+`"}`)
			if a.StatusCode != 503 || a.Header.Get("Retry-After") == "" || time.Since(began) > 25*time.Second {
				t.Errorf("got %d %s after %v", a.StatusCode, a.body, time.Since(began))
			}
		})
	}
	asking.Wait()
	if more := s.threads() - before; more > 128+20 {
		t.Errorf("200 calls take %d threads more", more)
	}
	if a := s.get(signed("rs:fit:64:0/f:jpg", o.URL+drawnPath(0))); a.StatusCode != 200 {
		t.Errorf("a viewer got %d %s", a.StatusCode, a.body)
	}
	heal()
	s.settled(s.insist(o, 1), 1)
	hang(t, filepath.Join(s.dir, "queue"))
	if a := s.call("POST", "/v1/prewarm", `{"photo":"`+o.URL+drawnPath(0)+`"}`); a.StatusCode != 503 {
		t.Errorf("got %d %s", a.StatusCode, a.body)
	}
	began := time.Now()
	s.stop()
	if took := time.Since(began); took > 15*time.Second {
		t.Errorf("the stop took %v", took)
	}
}

// A stop does not wait for a disk that hangs.
func TestFault50StopWithHungStore(t *testing.T) {
	s, o := start(t, "GOLDCREST_SERVER_DRAIN=2s"), startOrigin(t)
	jpeg := photo(t, "groceries.jpg")
	o.on("/a.jpg", func(w http.ResponseWriter, _ *http.Request) { w.Write(jpeg) })
	s.get(signed("rs:fit:200:0/f:webp", o.URL+"/a.jpg"))
	eventually(t, "a variant is stored", func() bool {
		return s.metric("goldcrest_store_operations_total", `tier="dir"`, `op="put"`, `outcome="ok"`) == 1
	})
	hang(t, filepath.Join(s.dir, "store", "v1"))
	if a := s.get(signed("rs:fit:100:0/f:webp", o.URL+"/a.jpg")); a.StatusCode != 200 {
		t.Errorf("got %d %s", a.StatusCode, a.body)
	}
	began := time.Now()
	s.stop()
	if took := time.Since(began); took > 8*time.Second {
		t.Errorf("the stop took %v", took)
	}
}

// If the store's disk hangs at the start, the server exits with an error that names the setting. If the queue's disk
// hangs, it serves viewers.
func TestFault50StartWithHungDisk(t *testing.T) {
	for folder, serves := range map[string]bool{"store": false, "queue": true} {
		t.Run(folder, func(t *testing.T) {
			dir := t.TempDir()
			file := filepath.Join(dir, "config.yaml")
			err := os.Mkdir(filepath.Join(dir, folder), 0o700)
			if err == nil {
				err = os.WriteFile(file, []byte(configText(dir, "")), 0o600)
			}
			if err != nil {
				t.Fatal(err)
			}
			hang(t, filepath.Join(dir, folder))
			s := launch(t, dir, []string{binary, "serve", "-config", file}, drawnEnv...)
			if serves {
				s.await()
				return
			}
			select {
			case <-s.done:
				if s.cmd.ProcessState.ExitCode() != 1 || !strings.Contains(s.log.String(), "cache.store.dir") {
					t.Errorf("%v:\n%s", s.cmd.ProcessState, s.log)
				}
			case <-time.After(time.Minute):
				t.Errorf("it hangs:\n%s", s.log)
			}
		})
	}
}
