package server

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/goldcrest/goldcrest/pipeline"
	"github.com/goldcrest/goldcrest/server/access"
	"github.com/goldcrest/goldcrest/variant"
)

// dial opens n connections and says something on each; nothing more comes.
func dial(t *testing.T, addr string, n int, say string) []net.Conn {
	t.Helper()
	var conns []net.Conn
	for range n {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		if _, err := io.WriteString(c, say); err != nil {
			continue // It was closed already, which is fine.
		}
		conns = append(conns, c)
	}
	return conns
}

// TestFault30Crowd holds many more idle and drip-feeding connections than there is room for: anyone who asks for
// something gets it, and the number of connections stays below its bound, on both listeners.
func TestFault30Crowd(t *testing.T) {
	const bound = 20
	s := newSocket(t, func(c *Config, _ *access.Rules) { c.Connections = bound })
	_, private := s.Addrs()
	for _, say := range []string{"", "GET / HTTP/1.1\r\nHost: x\r\nX-Slow: ", "G"} {
		dial(t, s.addr, 60, say)
		dial(t, private.String(), bound+5, say)
		for i := range 30 {
			if res, _ := s.ask("GET", s.url(fmt.Sprintf("w:%d", 10+i), photo)); res.StatusCode != 200 {
				t.Fatalf("behind connections that say %q: status %d", say, res.StatusCode)
			}
		}
		if status, _ := fetch("http://" + private.String() + "/healthz"); status != 200 {
			t.Fatalf("/healthz behind connections that say %q: status %d", say, status)
		}
		for door, c := range map[string]*crowd{"public": s.publicCrowd, "private": s.adminCrowd} {
			if open, evicted, _ := c.count(); open > bound+c.rules.aside || evicted == 0 {
				t.Errorf("%s: %d connections are open, %d had to make room", door, open, evicted)
			}
		}
	}
}

// A connection that is kept alive and used is not the one that makes room, and requests in work never are.
func TestFault30RequestsInWorkStay(t *testing.T) {
	const bound = 4
	began, release := make(chan struct{}, bound), make(chan struct{})
	f := newFixture(t, func(c *Config, _ *access.Rules) {
		c.Listen, c.Admin, c.Drain, c.Connections = "127.0.0.1:0", "127.0.0.1:0", 0, bound
	})
	f.images.onGet = func(_ context.Context, ref variant.Ref) (pipeline.Answer, error) {
		began <- struct{}{}
		<-release
		return pipeline.Answer{Entry: testEntry(ref), Outcome: pipeline.Miss}, nil
	}
	if err := f.Listen(); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- f.Serve(ctx) }()
	public, _ := f.Addrs()
	base := "http://" + public.String()
	statuses := make(chan int, bound+1)
	var wg sync.WaitGroup
	for i := range bound {
		wg.Go(func() {
			status, _ := fetch(base + f.url(fmt.Sprintf("w:%d", 100+i), photo))
			statuses <- status
		})
	}
	for range bound {
		<-began
	}
	// One more waits until there is room, whatever idle peers there are.
	wg.Go(func() {
		status, _ := fetch(base + "/health")
		statuses <- status
	})
	for range 3 * bound {
		if c, err := net.DialTimeout("tcp", public.String(), time.Second); err == nil {
			defer c.Close()
		}
	}
	if open, _, _ := f.publicCrowd.count(); open > bound {
		t.Errorf("%d connections are open, at most %d", open, bound)
	}
	close(release)
	wg.Wait()
	for range bound + 1 {
		if status := <-statuses; status != 200 {
			t.Errorf("status %d", status)
		}
	}
	stop()
	<-served
}

// TestFault30PlacesKeepTheirKind has a connection beside the bound make room: who comes in its place is beside the
// bound, too, so that the bound holds and what is kept for probes stays theirs.
func TestFault30PlacesKeepTheirKind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCrowd(nil, crowdRules{bound: 1, aside: 1})
		var conns [4]net.Conn
		for i := range conns {
			there, here := net.Pipe()
			defer there.Close()
			defer here.Close()
			conns[i] = here
			leaving, verdict := c.admit(here)
			if verdict != admitted || c.isAside(here) != (i > 0) || i > 1 && leaving != conns[i-1] {
				t.Errorf("connection %d: verdict %d, aside %v", i, verdict, c.isAside(here))
			}
			c.follow(here, http.StateActive)
			if i > 0 {
				c.finish(here)
				time.Sleep(goodbye)
			}
		}
		if open, _, _ := c.count(); open != 2 {
			t.Errorf("%d connections are open", open)
		}
	})
}

// A request head beyond the bound is refused without being kept.
func TestFault30LongHeads(t *testing.T) {
	s := newSocket(t, nil)
	c, err := net.Dial("tcp", s.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	go func() {
		_, _ = io.WriteString(c, "GET / HTTP/1.1\r\nHost: x\r\n")
		line := fmt.Sprintf("X-Long: %01000d\r\n", 7)
		for range 10_000 {
			if _, err := io.WriteString(c, line); err != nil {
				return
			}
		}
	}()
	res, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err == nil && res.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("10 MB of headers: status %d", res.StatusCode)
	}
}

// count returns the number of open connections, how many were closed for others, and how many were one too many of
// their address.
func (c *crowd) count() (open int, evicted, refused int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.members), c.evicted, c.refused
}
