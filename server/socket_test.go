package server

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/goldcrest/goldcrest/cache"
	"github.com/goldcrest/goldcrest/pipeline"
	"github.com/goldcrest/goldcrest/server/access"
	"github.com/goldcrest/goldcrest/variant"
)

// socket is a fixture behind a real socket, whose every variant is a memory hit by its key too.
type socket struct {
	*fixture
	t       testing.TB
	addr    string
	mu      sync.Mutex
	made    map[string]cache.Entry // by key: what was answered once
	change  func(*cache.Entry)     // of every new entry; nil = none
	recalls atomic.Int64           // that found something
}

func newSocket(t testing.TB, change func(*Config, *access.Rules)) *socket {
	t.Helper()
	s := &socket{t: t, made: map[string]cache.Entry{}}
	s.fixture = newFixture(t, func(c *Config, r *access.Rules) {
		c.Listen, c.Admin, c.Drain = "127.0.0.1:0", "127.0.0.1:0", 0
		if change != nil {
			change(c, r)
		}
	})
	s.images.onGet, s.images.onRecall, s.images.onStat = s.get, s.recall, s.get
	if err := s.Listen(); err != nil {
		t.Fatal(err)
	}
	public, _ := s.Addrs()
	s.addr = public.String()
	ctx, stop := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- s.Serve(ctx) }()
	t.Cleanup(func() {
		stop()
		<-served // Connections that are still open make it an error here.
	})
	return s
}

func (s *socket) get(_ context.Context, ref variant.Ref) (pipeline.Answer, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	e, ok := s.made[ref.Key()]
	if !ok {
		e = testEntry(ref)
		if s.change != nil {
			s.change(&e)
		}
		s.made[ref.Key()] = e
	}
	return pipeline.Answer{Entry: e, Outcome: pipeline.Hit, Tier: cache.TierMemory, Age: time.Hour}, nil
}

func (s *socket) recall(key string) (pipeline.Answer, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	e, ok := s.made[key]
	if ok {
		s.recalls.Add(1)
	}
	return pipeline.Answer{Entry: e, Outcome: pipeline.Hit, Tier: cache.TierMemory, Age: time.Hour}, ok
}

// asked is how often the pipeline was asked for more than its memory.
func (s *socket) asked() int {
	s.images.mu.Lock()
	defer s.images.mu.Unlock()
	return len(s.images.asked)
}

// ask sends one request on a connection of its own and reads all that comes.
func (s *socket) ask(method, target string, headers ...string) (*http.Response, []byte) {
	s.t.Helper()
	c, err := net.Dial("tcp", s.addr)
	if err != nil {
		s.t.Fatal(err)
	}
	defer c.Close()
	return s.askOn(c, bufio.NewReader(c), method, target, headers...)
}

func (s *socket) askOn(c net.Conn, r *bufio.Reader, method, target string, headers ...string) (*http.Response, []byte) {
	s.t.Helper()
	if _, err := c.Write(request(method, target, "HTTP/1.1", headers...)); err != nil {
		s.t.Fatal(err)
	}
	return s.read(r, method)
}

func (s *socket) read(r *bufio.Reader, method string) (*http.Response, []byte) {
	s.t.Helper()
	res, err := http.ReadResponse(r, &http.Request{Method: method})
	if err != nil {
		s.t.Fatal(err)
	}
	body, err := io.ReadAll(res.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return res, body
}

func request(method, target, protocol string, headers ...string) []byte {
	return fmt.Appendf(nil, "%s %s %s\r\nHost: img.example\r\n%s\r\n\r\n", method, target, protocol, strings.Join(append(headers, "A: b"), "\r\n"))
}

// common are the headers that two answers to the same request share.
func common(res *http.Response) http.Header {
	h := maps.Clone(res.Header)
	for _, name := range []string{"Date", "X-Request-Id", "Server-Timing"} {
		delete(h, name)
	}
	return h
}

// BenchmarkHit is a memory hit of 30 KB over a socket, as most are. Of its allocations net/http makes all but a few.
func BenchmarkHit(b *testing.B) {
	s := newSocket(b, nil)
	s.change = func(e *cache.Entry) { e.Body = bytes.Repeat(e.Body, 30) }
	req := request("GET", s.url("rs:fit:480:0", photo), "HTTP/1.1", "Accept: image/avif,image/webp,*/*;q=0.8")
	c, err := net.Dial("tcp", s.addr)
	if err != nil {
		b.Fatal(err)
	}
	defer c.Close()
	r := bufio.NewReaderSize(c, 64<<10)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.Write(req); err != nil {
			b.Fatal(err)
		}
		for line := []byte("-"); len(line) > len("\r\n"); {
			if line, err = r.ReadSlice('\n'); err != nil {
				b.Fatal(err)
			}
		}
		if _, err := r.Discard(30_000); err != nil {
			b.Fatal(err)
		}
	}
	if s.recalls.Load() == 0 {
		b.Error("no hit")
	}
}
