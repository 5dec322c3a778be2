package e2e

import (
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// balancer sends requests to the instances that report to be healthy, like a load balancer in front of a rolling pair.
type balancer struct {
	mu   sync.Mutex
	live []*server
	next atomic.Int64
}

func (b *balancer) pick() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.live[int(b.next.Add(1))%len(b.live)].public
}

func (b *balancer) set(live ...*server) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.live = live
}

// Instances are replaced one after another under load, and none of ten thousand requests fails.
func TestFault23RollingPair(t *testing.T) {
	corpus(t)
	const requests, least = 10_000, 3
	o := startOrigin(t)
	paths := make([]string, 20)
	for i := range paths {
		paths[i] = signed(fmt.Sprintf("w:%d/f:jpg", 60+i), o.URL+"/photos/groceries.jpg")
	}
	b := &balancer{}
	current := start(t)
	b.set(current)
	var asked, failed, rolls atomic.Int64
	done := make(chan struct{})
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for n := asked.Add(1); n <= requests || rolls.Load() < least; n = asked.Add(1) {
				a, err := request("GET", b.pick()+paths[int(n)%len(paths)])
				if err != nil || a.StatusCode != 200 || len(a.body) == 0 {
					failed.Add(1)
					t.Errorf("request %d: %v %v", n, a.Response, err)
					return
				}
			}
		})
	}
	go func() { wg.Wait(); close(done) }()
	for running := true; running; {
		next := start(t)
		b.set(current, next)
		current.cmd.Process.Signal(syscall.SIGTERM)
		for { // The balancer's health check; requests continue until it has seen the response.
			a, err := request("GET", current.public+"/health")
			if err != nil || a.StatusCode == 503 {
				break
			}
		}
		b.set(next)
		<-current.done
		if code := current.cmd.ProcessState.ExitCode(); code != 0 {
			t.Errorf("exit %d:\n%s", code, current.log)
		}
		current = next
		rolls.Add(1)
		select {
		case <-done:
			running = false
		default:
		}
	}
	t.Logf("%d of %d requests failed over %d rolls", failed.Load(), min(asked.Load(), requests), rolls.Load())
}

// With 256 file descriptors and two thousand idle or slowly sending connections, a client with a complete request is
// served.
func TestFault30Slowloris(t *testing.T) {
	corpus(t)
	o := startOrigin(t)
	s := startCommand(t, t.TempDir(), []string{"/bin/sh", "-c", `ulimit -n 256 && exec "$0" "$@"`, binary})
	addr := strings.TrimPrefix(s.public, "http://")
	opened := 0
	for i := range 2000 {
		c, err := net.DialTimeout("tcp", addr, 10*time.Second)
		if err != nil {
			t.Fatalf("connection %d: %v", i, err)
		}
		defer c.Close()
		opened++
		if i%2 == 0 {
			io.WriteString(c, "GET / HTTP/1.1\r\nHost: x\r\nX-Drip: ")
		}
	}
	var took []time.Duration
	for i := range 100 {
		begin := time.Now()
		// A new connection for each request: the worst case.
		a, err := request("GET", s.public+signed(fmt.Sprintf("w:%d/f:jpg", 60+i%4), o.URL+"/photos/groceries.jpg"), "Connection", "close")
		if err != nil || a.StatusCode != 200 {
			t.Errorf("request %d: %v %v", i, a.Response, err)
		}
		took = append(took, time.Since(begin))
	}
	files, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", s.cmd.Process.Pid))
	if err != nil || len(files) > 256 {
		t.Errorf("%d descriptors are open: %v", len(files), err)
	}
	slices.Sort(took)
	t.Logf("%d connections were opened, %d descriptors are open, requests took %v in the median, %v at p99", opened, len(files), took[50], took[98])
}

// Secrets are planted in every possible input, and searched for in every output.
func TestFault37NothingTellsASecret(t *testing.T) {
	corpus(t)
	const bearer, query, password, planted = "planted-bearer-0123456789", "planted-query-0123456789", "planted-password-012345", "planted-environment-012345"
	o, dir := startOrigin(t), t.TempDir()
	file := filepath.Join(dir, "token")
	if err := os.WriteFile(file, []byte(bearer+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := startIn(t, dir, fmt.Sprintf("GOLDCREST_API_TOKENS=[{name: all, token_file: %s, scopes: [prewarm, check, sign, explain, purge, admin]}]", file),
		"GOLDCREST_LOG_LEVEL=debug", "AWS_SECRET_ACCESS_KEY="+planted)
	var outputs strings.Builder
	keep := func(a answer) {
		for name, values := range a.Header {
			fmt.Fprintf(&outputs, "%s: %s\n", name, values)
		}
		outputs.Write(a.body)
		outputs.WriteByte('\n')
	}
	for _, path := range []string{"/photos/groceries.jpg", "/missing/x.jpg", "/err/500/x.jpg", "/err/403/x.jpg", "/pages/x.html", "/redir/photos/groceries.jpg"} {
		source := o.URL + path + "?token=" + query
		with := strings.Replace(source, "http://", "http://user:"+password+"@", 1)
		for _, target := range []string{signed("w:90/f:jpg", source), signed("w:91/f:jpg", with), signed("w:bad", source), "/forged/plain/" + source, "/forged/" + with} {
			keep(s.get(target))
		}
	}
	keep(s.get(signed("w:92/f:jpg", "http://127.0.0.1:1/x.jpg?token="+query)))
	auth := []string{"Authorization", "Bearer " + bearer, "Content-Type", "application/json"}
	call := func(method, path, body string) answer {
		a, err := send(method, s.admin+path, strings.NewReader(body), auth...)
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	for _, path := range []string{"/metrics", "/healthz", "/v1/stats", "/v1/config", "/v1/jobs", "/v1/broken", "/v1/explain" + signed("w:90", o.URL+"/photos/groceries.jpg?token="+query)} {
		a := call("GET", path, "")
		if path == "/v1/broken" {
			continue // It names sources to the backend that sent them.
		}
		keep(a)
	}
	keep(call("POST", "/v1/sign", `{"source": "ftp://user:`+password+`@h/?`+query+`"}`))
	keep(call("POST", "/v1/purge", `{"source": "`+o.URL+`/photos/groceries.jpg?token=`+query+`"}`))
	wrong, err := send("GET", s.admin+"/v1/stats", nil, "Authorization", "Bearer "+bearer+"x")
	if err != nil || wrong.StatusCode != 401 {
		t.Errorf("a wrong token: %v %v", wrong.Response, err)
	}
	keep(wrong)
	s.stop()
	for from, text := range map[string]string{"the log": s.log.String(), "an answer": outputs.String()} {
		if len(text) < 1000 {
			t.Errorf("%s is too short to be judged: %s", from, text)
		}
		for _, secret := range []string{bearer, query, password, planted, hex.EncodeToString(key), hex.EncodeToString(salt), string(key)} {
			if at := strings.Index(text, secret); at >= 0 {
				t.Errorf("%s tells %q: ...%s...", from, secret, text[max(0, at-200):min(len(text), at+100)])
			}
		}
	}
}
