package server

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/goldcrest/goldcrest/cache"
	"github.com/goldcrest/goldcrest/pipeline"
	"github.com/goldcrest/goldcrest/signing"
	"github.com/goldcrest/goldcrest/variant"
)

// socket is a fixture behind a real socket, whose every variant is a memory hit by its key too.
type socket struct {
	*fixture
	t       *testing.T
	addr    string
	mu      sync.Mutex
	made    map[string]cache.Entry // by key: what was answered once
	change  func(*cache.Entry)     // of every new entry; nil = none
	recalls atomic.Int64           // that found something
}

func newSocket(t *testing.T, change func(*Config, *Rules)) *socket {
	t.Helper()
	s := &socket{t: t, made: map[string]cache.Entry{}}
	s.fixture = newFixture(t, func(c *Config, r *Rules) {
		c.Listen, c.Admin, c.Drain = "127.0.0.1:0", "127.0.0.1:0", 0
		if change != nil {
			change(c, r)
		}
	})
	s.images.onGet, s.images.onRecall = s.get, s.recall
	s.images.onStat = func(ctx context.Context, ref variant.Ref) (cache.Meta, string, error) {
		a, err := s.get(ctx, ref)
		return a.Entry.Meta, cache.TierMemory, err
	}
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

func TestHitsAreAnsweredAsTheLongWay(t *testing.T) {
	large := func(e *cache.Entry) { e.Body = bytes.Repeat(e.Body, 300) }
	star := func(c *Config, _ *Rules) { c.CORS = []string{"*"} }
	list := func(c *Config, _ *Rules) { c.CORS = []string{"https://shop.example"} }
	in := func(d time.Duration) string { return "exp:" + strconv.FormatInt(testNow.Add(d).Unix(), 10) }
	for _, tc := range []struct {
		name, options string
		headers       []string
		change        func(*cache.Entry)
		rules         func(*Config, *Rules)
		status        int
	}{
		{"explicit format", "w:480/f:webp", nil, nil, nil, 200},
		{"open", "w:480", []string{"Accept: image/avif,*/*"}, nil, nil, 200},
		{"open, two Accept lines", "w:480", []string{"Accept: image/avif", "Accept: image/webp;q=0.5"}, nil, nil, 200},
		{"hints", "net:auto", []string{"Save-Data: on"}, nil, nil, 200},
		{"large", "w:480", nil, large, nil, 200},
		{"empty", "w:480", nil, func(e *cache.Entry) { e.Body = nil }, nil, 200},
		{"expiring soon", in(time.Minute), nil, nil, nil, 200},
		{"expiring late", in(1e6 * time.Hour), nil, nil, nil, 200},
		{"attachment with tags", "att:1/fn:a%20b/ct:shop:sale", nil, nil, nil, 200},
		{"first stage", "", nil, func(e *cache.Entry) { e.Attrs["stage"] = "1" }, nil, 200},
		{"still of an animation", "", nil, func(e *cache.Entry) { e.Attrs["sfr"] = "24" }, nil, 200},
		{"life of the origin", "", nil, func(e *cache.Entry) { e.Attrs["life"] = "3900" }, func(_ *Config, r *Rules) { r.Lifetimes.HonourOrigin = true }, 200},
		{"CORS for all", "", []string{"Origin: https://x.example"}, nil, star, 200},
		{"CORS for some", "", nil, nil, list, 200},
		{"behind a CDN", "", []string{"Via: 1.1 varnish", "Cache-Control: no-cache", "Cookie: a=b"}, nil, nil, 200},
		{"only if cached", "", []string{"Cache-Control: only-if-cached"}, nil, nil, 200},
		{"same ETag", "w:480", []string{"If-None-Match: " + testETag}, large, nil, 304},
		{"other ETag", "w:480", []string{`If-None-Match: "other"`}, large, nil, 200},
		{"not modified since", "w:480", []string{"If-Modified-Since: Mon, 23 Nov 2026 11:00:00 GMT"}, nil, nil, 304},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := newSocket(t, tc.rules)
			s.change = tc.change
			s.images.onPeek = s.get
			url := s.url(tc.options, photo)
			long, body := s.ask("GET", url, tc.headers...)
			var plain []string
			for _, h := range tc.headers {
				if !strings.HasPrefix(h, "If-") && !strings.HasPrefix(h, "Cache-Control: only") {
					plain = append(plain, h)
				}
			}
			s.ask("GET", url, plain...)
			asked := s.asked()
			hit, again := s.ask("GET", url, tc.headers...)
			if hit.StatusCode != tc.status || long.StatusCode != tc.status {
				t.Fatalf("status %d, the long way %d; want %d", hit.StatusCode, long.StatusCode, tc.status)
			}
			if n := s.recalls.Load(); n != 1 && n != 2 || s.asked() != asked {
				t.Fatalf("%d recalls, %d other questions", n, s.asked()-asked)
			}
			if got, want := fmt.Sprint(common(hit)), fmt.Sprint(common(long)); got != want {
				t.Errorf("headers\n%s\nthe long way\n%s", got, want)
			}
			if !bytes.Equal(again, body) || len(body) == 0 && tc.status == 200 && tc.name != "empty" {
				t.Errorf("%d bytes, the long way %d", len(again), len(body))
			}
			if !strings.HasPrefix(hit.Header.Get("Server-Timing"), "lookup;dur=") || len(hit.Header.Get("X-Request-Id")) != 36 || hit.Header.Get("Date") == "" {
				t.Errorf("own headers: %v", hit.Header)
			}
		})
	}
}

func TestHitsThatNeedTheLongWayTakeIt(t *testing.T) {
	list := func(c *Config, _ *Rules) { c.CORS = []string{"https://shop.example"} }
	for _, tc := range []struct {
		name, method string
		headers      []string
		rules        func(*Config, *Rules)
		status       int
		want         map[string]string
	}{
		{"HEAD", "HEAD", nil, nil, 200, map[string]string{"Content-Length": "1000"}},
		{"Range", "GET", []string{"Range: bytes=10-19"}, nil, 206, map[string]string{"Content-Range": "bytes 10-19/1000"}},
		{"If-Match", "GET", []string{`If-Match: "other"`}, nil, 412, map[string]string{"X-Error": "precondition_failed"}},
		{"If-Unmodified-Since", "GET", []string{"If-Unmodified-Since: Mon, 23 Nov 2026 10:00:00 GMT"}, nil, 412, nil},
		{"a script's origin", "GET", []string{"Origin: https://shop.example"}, list, 200, map[string]string{"Access-Control-Allow-Origin": "https://shop.example"}},
		{"ourselves", "GET", []string{"Via: 1.1 goldcrest"}, nil, 403, map[string]string{"X-Error": "source_not_allowed"}},
		{"a body", "GET", []string{"Content-Length: 1"}, nil, 200, map[string]string{"Connection": "close"}},
		{"POST", "POST", nil, nil, 405, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := newSocket(t, tc.rules)
			url := s.url("w:480/f:webp", photo)
			s.ask("GET", url)
			s.ask("GET", url)
			before := s.recalls.Load()
			res, _ := s.ask(tc.method, url, tc.headers...)
			if res.StatusCode != tc.status || s.recalls.Load() != before {
				t.Errorf("status %d, want %d; %d recalls", res.StatusCode, tc.status, s.recalls.Load()-before)
			}
			for name, want := range tc.want {
				got := res.Header.Get(name)
				if name == "Connection" && res.Close {
					got = "close"
				}
				if got != want {
					t.Errorf("%s: %q, want %q", name, got, want)
				}
			}
		})
	}
}

func TestKnownURLsEndWithTheirRights(t *testing.T) {
	status := func(s *socket, url, want string) {
		t.Helper()
		res, _ := s.ask("GET", url)
		if got := strconv.Itoa(res.StatusCode) + res.Header.Get("X-Error"); got != want {
			t.Errorf("answer %s, want %s", got, want)
		}
	}
	warm := func(s *socket, url string) {
		t.Helper()
		for range 3 {
			status(s, url, "200")
		}
		if n := s.recalls.Load(); n != 2 {
			t.Fatalf("%d recalls", n)
		}
	}
	t.Run("the URL expires", func(t *testing.T) {
		s := newSocket(t, nil)
		url := s.url("exp:"+strconv.FormatInt(testNow.Add(time.Minute).Unix(), 10), photo)
		warm(s, url)
		s.later.Store(int64(time.Minute))
		status(s, url, "410url_expired")
	})
	t.Run("the key expires", func(t *testing.T) {
		s := newSocket(t, nil)
		rules := testRules(t, s.deps.Now, signing.Key{Key: testKey, NotAfter: testNow.Add(time.Hour).Format(time.RFC3339)})
		if err := s.Reload(rules); err != nil {
			t.Fatal(err)
		}
		s.keys = rules.Keys
		url := s.url("", photo)
		warm(s, url)
		s.later.Store(int64(time.Hour))
		status(s, url, "403key_not_valid")
	})
	t.Run("the key is taken away", func(t *testing.T) {
		s := newSocket(t, nil)
		url := s.url("", photo)
		warm(s, url)
		if err := s.Reload(testRules(t, nil, signing.Key{Key: otherKey})); err != nil {
			t.Fatal(err)
		}
		status(s, url, "403bad_signature")
	})
	t.Run("another signature of the same path", func(t *testing.T) {
		s := newSocket(t, nil)
		url := s.url("", photo)
		warm(s, url)
		wrong := []byte(url)
		wrong[10] ^= 1
		status(s, string(wrong), "403bad_signature")
	})
	t.Run("the variant is another one", func(t *testing.T) {
		s := newSocket(t, nil)
		url := s.url("f:webp", photo)
		warm(s, url)
		s.mu.Lock()
		for key, e := range s.made {
			e.ETag, e.Body = `"new"`, []byte("new")
			s.made[key] = e
		}
		s.mu.Unlock()
		for range 2 {
			res, body := s.ask("GET", url)
			if res.Header.Get("ETag") != `"new"` || string(body) != "new" || res.ContentLength != 3 {
				t.Errorf("%q of %v", body, res.Header)
			}
		}
		s.mu.Lock()
		clear(s.made)
		s.mu.Unlock()
		status(s, url, "200")
	})
}

func TestHitsAreLoggedAndCounted(t *testing.T) {
	s := newSocket(t, nil)
	url := s.url("w:480/f:webp", photo+"?token=s3cret")
	c, err := net.Dial("tcp", s.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	r := bufio.NewReader(c)
	for i, headers := range [][]string{nil, {"X-Request-Id: r-2"}, {"X-Request-Id: r-3", "If-None-Match: " + testETag}} {
		if res, _ := s.askOn(c, r, "GET", url, headers...); i > 0 && res.Header.Get("X-Request-Id") != fmt.Sprintf("r-%d", i+1) {
			t.Errorf("id %q", res.Header.Get("X-Request-Id"))
		}
	}
	s.askOn(c, r, "GET", "/health") // Begun when all before it on the connection is over.
	lines := strings.Split(s.log.String(), "\n")
	if len(lines) < 3 || strings.Contains(s.log.String(), "s3cret") {
		t.Fatalf("log: %s", s.log)
	}
	var long, hit, unchanged map[string]any
	for i, m := range []*map[string]any{&long, &hit, &unchanged} {
		if err := json.Unmarshal([]byte(lines[i]), m); err != nil {
			t.Fatal(err)
		}
	}
	if hit["id"] != "r-2" || unchanged["status"] != 304.0 || unchanged["bytes"] != 0.0 {
		t.Errorf("%v\n%v", hit, unchanged)
	}
	for _, m := range []map[string]any{long, hit} {
		delete(m, "id")
		delete(m, "time")
	}
	if got, want := fmt.Sprint(hit), fmt.Sprint(long); got != want {
		t.Errorf("a hit's line says\n%s\nthe long way\n%s", got, want)
	}
	metrics := s.private("GET", "/metrics", "").Body.String()
	for _, want := range []string{
		`goldcrest_requests_total{door="public",outcome="hit",status="200",tier="memory"} 2`,
		`goldcrest_requests_total{door="public",outcome="hit",status="304",tier="memory"} 1`,
		`goldcrest_served_bytes_total{format="webp"} 2000`, `goldcrest_saved_bytes_total{format="webp"} 8000`,
	} {
		if !strings.Contains(metrics, want) {
			t.Errorf("no %s", want)
		}
	}
}
