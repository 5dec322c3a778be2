package server

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/goldcrest/goldcrest/fault"
	"github.com/goldcrest/goldcrest/metrics"
	"github.com/goldcrest/goldcrest/prewarm/ledger"
	"github.com/goldcrest/goldcrest/server/access"
	"github.com/goldcrest/goldcrest/server/wire"
)

// answerOn reads one answer from a connection and says whether the server closes it then.
func answerOn(t *testing.T, c net.Conn) (status int, closed bool) {
	t.Helper()
	res, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(io.Discard, res.Body); err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, res.Close
}

// TestMissingBodiesDoNotHoldConnections announces bodies of every form that never come: net/http would wait for them
// for ever.
func TestMissingBodiesDoNotHoldConnections(t *testing.T) {
	s := newSocket(t, nil)
	_, private := s.Addrs()
	for _, head := range []string{"Content-Length: 1", "Content-Length: 300000", "Transfer-Encoding: chunked", "Content-Length: 5\r\nExpect: 100-continue"} {
		for _, tt := range []struct {
			addr, line string
			want       int
		}{
			{s.addr, "GET " + s.url("w:100", photo), 200},
			{s.addr, "HEAD /health", 200},
			{s.addr, "GET /nothing", 403},
			{s.addr, "POST /nothing", 405},
			{private.String(), "GET /healthz", 200},
			{private.String(), "POST /v1/sign", 401},
			{private.String(), "POST /console/login", 403},
			{private.String(), "POST /nothing", 404},
		} {
			c := dial(t, tt.addr, 1, tt.line+" HTTP/1.1\r\nHost: localhost\r\nSec-Fetch-Site: cross-site\r\n"+head+"\r\n\r\n")[0]
			if status, closed := answerOn(t, c); status != tt.want || !closed {
				t.Errorf("%s with %q: status %d, closed %v; want %d and closed", tt.line, head, status, closed, tt.want)
			}
		}
	}
}

// TestBodilessCrowd fills the public listener with requests whose bodies never come. Each is answered, and others are
// served beside them.
func TestBodilessCrowd(t *testing.T) {
	const bound = 30
	s := newSocket(t, func(c *Config, _ *access.Rules) { c.Connections = bound })
	for range 3 {
		dial(t, s.addr, bound, "GET /x HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\n")
		if res, _ := s.ask("GET", s.url("w:100", photo)); res.StatusCode != 200 {
			t.Fatalf("status %d", res.StatusCode)
		}
	}
}

// TestProbesPassWhenConnectionsAreFull holds every connection of the private listener with a call that has begun;
// probes and scrapes are answered.
func TestProbesPassWhenConnectionsAreFull(t *testing.T) {
	a := newAPI(t, func(c *Config, _ *access.Rules) {
		c.Listen, c.Admin, c.Drain, c.Connections = "127.0.0.1:0", "127.0.0.1:0", 0, 8
	})
	if err := a.Listen(); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- a.Serve(ctx) }()
	defer func() { stop(); <-served }()
	_, private := a.Addrs()
	began := make(chan struct{}, 8)
	a.prewarm.onJob = func(ctx context.Context, id string, wait time.Duration) (ledger.Job, error) {
		began <- struct{}{}
		<-ctx.Done()
		return ledger.Job{}, ctx.Err()
	}
	dial(t, private.String(), 8, "GET /v1/jobs/j1?wait=60 HTTP/1.1\r\nHost: localhost\r\n"+bearer+"\r\n\r\n")
	for range 8 {
		<-began
	}
	for range 3 * probeConnections { // More than there are places: each probe gives its own back.
		for path, want := range map[string]int{"/healthz": 200, "/readyz": 200, "/metrics": 200, "/v1/jobs": 503} {
			if status, _ := fetch("http://" + private.String() + path); status != want {
				t.Fatalf("%s: status %d, want %d", path, status, want)
			}
		}
	}
}

// TestBodiesKeepALeastRate reads a body that stalls after one byte, on a clock of its own.
func TestBodiesKeepALeastRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		here, there := net.Pipe()
		defer here.Close()
		begun := time.Now()
		b := &pacedBody{ReadCloser: here, control: http.NewResponseController(deadlines{here}), begun: begun}
		go func() {
			for range 100 { // Twice the least rate: all of it is read.
				_, _ = there.Write(make([]byte, 2*wire.LeastRate))
				time.Sleep(time.Second)
			}
		}()
		n, err := io.Copy(io.Discard, b)
		if fault.KindOf(err) != fault.BodyTimeout || n != 200*wire.LeastRate {
			t.Errorf("read %d bytes, then %v", n, err)
		}
		if took := time.Since(begun); took > rated(n)+time.Second || took < 100*time.Second {
			t.Errorf("it took %v", took)
		}
	})
}

// deadlines is a ResponseWriter with the deadlines of a connection.
type deadlines struct{ net.Conn }

func (deadlines) Header() http.Header { return nil }
func (deadlines) WriteHeader(int)     {}

// TestAnnouncedBodiesTakeNoRoom holds many calls of which one byte came; a call that comes whole is read beside them.
func TestAnnouncedBodiesTakeNoRoom(t *testing.T) {
	a := newAPI(t, func(c *Config, _ *access.Rules) { c.Listen, c.Admin, c.Drain = "127.0.0.1:0", "127.0.0.1:0", 0 })
	accepting(a, aJob())
	if err := a.Listen(); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- a.Serve(ctx) }()
	defer func() { stop(); <-served }()
	_, private := a.Addrs()
	dial(t, private.String(), 32, fmt.Sprintf("POST /v1/prewarm HTTP/1.1\r\nHost: localhost\r\n%s\r\nContent-Length: %d\r\n\r\n{", bearer, 16<<20))
	c := dial(t, private.String(), 1, fmt.Sprintf("POST /v1/prewarm HTTP/1.1\r\nHost: localhost\r\n%s\r\nContent-Length: %d\r\n\r\n%s", bearer, len(unitBody), unitBody))[0]
	if status, _ := answerOn(t, c); status != 202 {
		t.Errorf("status %d", status)
	}
}

// TestWaitingIsBoundedPerToken has one token wait with as many requests as it may; the next is refused.
func TestWaitingIsBoundedPerToken(t *testing.T) {
	a := newAPI(t, nil)
	who := a.who(bearer)
	for range 64 {
		if _, err := who.Stay(); err != nil {
			t.Fatal(err)
		}
	}
	for _, target := range []string{"/v1/jobs/j1?wait=5", "/v1/jobs/j1/events"} {
		if w := a.private("GET", target, "", bearer); w.Code != 429 || code(t, w) != fault.RateLimited {
			t.Errorf("%s: status %d", target, w.Code)
		}
	}
	if w := a.private("GET", "/v1/jobs/j1", "", bearer); w.Code == 429 {
		t.Error("a request that does not wait was refused")
	}
}

// from is a connection from an address.
type from struct {
	net.Conn
	addr string
}

func (f from) RemoteAddr() net.Addr {
	return net.TCPAddrFromAddrPort(netip.MustParseAddrPort(f.addr))
}

func (from) Close() error { return nil }

// TestCrowdPerAddress bounds what one address may hold, an IPv6 network being one, and no trusted proxy.
func TestCrowdPerAddress(t *testing.T) {
	meter := metrics.New()
	c := newCrowd(nil, crowdRules{
		bound: 100, perAddress: 2, trusted: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}, meter: meter,
	})
	for _, addr := range []string{"192.0.2.1:1", "[2001:db8::1]:1", "10.0.0.1:1"} {
		near := strings.Replace(addr, "::1", "::2", 1)
		for i := range 5 {
			conn := &from{addr: addr}
			if i%2 == 1 {
				conn.addr = near
			}
			want := admitted
			if i >= 2 && !strings.HasPrefix(addr, "10.") {
				want = tooMany
			}
			if _, got := c.admit(conn); got != want {
				t.Errorf("connection %d from %s: %v, want %v", i, addr, got, want)
			}
			c.follow(conn, http.StateActive)
		}
	}
	if _, _, refused := c.count(); refused != 6 {
		t.Errorf("%d were refused", refused)
	}
	if len(c.from) != 2 {
		t.Errorf("addresses: %v", c.from)
	}
	closedFor(t, meter, "connections_per_address", 6)
	// One that is idle makes room for another of its address.
	synctest.Test(t, func(t *testing.T) {
		meter := metrics.New()
		c := newCrowd(nil, crowdRules{bound: 100, perAddress: 1, meter: meter})
		first, second := &from{addr: "192.0.2.1:1"}, &from{addr: "192.0.2.1:2"}
		c.admit(first)
		time.Sleep(2 * grace)
		if leaving, verdict := c.admit(second); leaving != net.Conn(first) || verdict != admitted {
			t.Errorf("leaving %v, verdict %v", leaving, verdict)
		}
		closedFor(t, meter, "connections_per_address", 1)
	})
	// So does any where the listener is full.
	synctest.Test(t, func(t *testing.T) {
		meter := metrics.New()
		c := newCrowd(nil, crowdRules{bound: 1, meter: meter})
		first, second := &from{addr: "192.0.2.1:1"}, &from{addr: "192.0.2.2:1"}
		c.admit(first)
		time.Sleep(2 * grace)
		if leaving, verdict := c.admit(second); leaving != net.Conn(first) || verdict != admitted {
			t.Errorf("leaving %v, verdict %v", leaving, verdict)
		}
		closedFor(t, meter, "connections", 1)
	})
}

// closedFor compares how many connections a bound has closed.
func closedFor(t *testing.T, m *metrics.Metrics, bound string, want int) {
	t.Helper()
	w := httptest.NewRecorder()
	m.Handler().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	line := fmt.Sprintf("goldcrest_connections_closed_total{bound=%q} %d\n", bound, want)
	if !strings.Contains(w.Body.String(), line) {
		t.Errorf("the metrics do not have %q", line)
	}
}
