package e2e

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// hold opens n connections, writes say on each and leaves them open. It fails the test if one cannot be opened.
func hold(t *testing.T, base string, n int, say string) []net.Conn {
	t.Helper()
	conns := make([]net.Conn, 0, n)
	for range n {
		c, err := net.DialTimeout("tcp", strings.TrimPrefix(base, "http://"), 10*time.Second)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		conns = append(conns, c)
		_, _ = io.WriteString(c, say)
	}
	return conns
}

// TestAttackBodiesThatNeverCome is attack 1.1 of docs/security.md: as many connections as the public listener allows,
// each with a request whose body never arrives. Each is answered and closed, hits are still served, and the server
// stays ready.
func TestAttackBodiesThatNeverCome(t *testing.T) {
	corpus(t)
	var files syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &files); err != nil {
		t.Fatal(err)
	}
	most := int(min(files.Cur-500, 8192))
	o := startOrigin(t)
	s := start(t)
	hit := s.public + signed("w:60/f:jpg", o.URL+"/photos/groceries.jpg")
	ask := func(url string) time.Duration {
		t.Helper()
		begun := time.Now()
		a, err := request("GET", url, "Connection", "close")
		if err != nil || a.StatusCode != 200 {
			t.Fatalf("%s: %v, %v", url, a.Response, err)
		}
		return time.Since(begun)
	}
	ask(hit)
	begun := time.Now()
	conns := hold(t, s.public, most, "GET /x HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\n")
	flood := time.Since(begun)
	var took []time.Duration
	for range 200 {
		took = append(took, ask(hit))
		ask(s.admin + "/readyz")
	}
	slices.Sort(took)
	t.Logf("%d connections in %v; hits beside them took %v in the median, %v at p99", most, flood, took[100], took[198])
	for i, c := range conns {
		_ = c.SetReadDeadline(time.Now().Add(20 * time.Second))
		if _, err := io.Copy(io.Discard, c); err != nil && strings.Contains(err.Error(), "timeout") {
			t.Fatalf("connection %d of %d is still held", i, most)
		}
	}
}

// TestAttackStalledPrivateBodies is attack 1.2: bodies that are announced to the private listener and stall. Without a
// token the server does not wait for them. With a token they block neither probes nor another token's requests.
func TestAttackStalledPrivateBodies(t *testing.T) {
	const mine, other = "a-token-of-the-attacker", "a-token-of-somebody-else"
	s := start(t, fmt.Sprintf("GOLDCREST_API_TOKENS=[{name: mine, token: %s, scopes: [prewarm, compat]}, {name: other, token: %s, scopes: [prewarm]}]", mine, other))
	hold(t, s.admin, 256, "POST /v1/prewarm HTTP/1.1\r\nHost: localhost\r\nContent-Length: 16777216\r\n\r\n")
	for _, path := range []string{"/v1/prewarm", "/v1/compat/lambda"} {
		hold(t, s.admin, 40, "POST "+path+" HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer "+mine+"\r\nContent-Length: 16777216\r\n\r\n{")
	}
	for range 20 {
		for _, path := range []string{"/healthz", "/readyz", "/metrics"} {
			if a, err := request("GET", s.admin+path, "Connection", "close"); err != nil || a.StatusCode != 200 {
				t.Fatalf("%s: %v, %v", path, a.Response, err)
			}
		}
	}
	a, err := send("POST", s.admin+"/v1/prewarm?variants=w:60", strings.NewReader(`{"photo": "https://c.example/a.jpg"}`), "Authorization", "Bearer "+other)
	if err != nil || a.StatusCode != http.StatusAccepted {
		t.Errorf("another token: %v, %v", a.Response, err)
	}
}
