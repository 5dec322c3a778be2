package server

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/goldcrest/goldcrest/cache"
	"github.com/goldcrest/goldcrest/server/access"
	"github.com/goldcrest/goldcrest/signing"
)

func TestHitsAreAnsweredAsTheLongWay(t *testing.T) {
	large := func(e *cache.Entry) { e.Body = bytes.Repeat(e.Body, 300) }
	star := func(c *Config, _ *access.Rules) { c.CORS = []string{"*"} }
	list := func(c *Config, _ *access.Rules) { c.CORS = []string{"https://shop.example"} }
	in := func(d time.Duration) string { return "exp:" + strconv.FormatInt(testNow.Add(d).Unix(), 10) }
	for _, tc := range []struct {
		name, options string
		headers       []string
		change        func(*cache.Entry)
		rules         func(*Config, *access.Rules)
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
		{"life of the origin", "", nil, func(e *cache.Entry) { e.Attrs["life"] = "3900" }, func(_ *Config, r *access.Rules) { r.Lifetimes.HonourOrigin = true }, 200},
		{"CORS for all", "", []string{"Origin: https://x.example"}, nil, star, 200},
		{"CORS for some", "", nil, nil, list, 200},
		{"behind a CDN", "", []string{"Via: 1.1 varnish", "Cache-Control: no-cache", "Cookie: a=b"}, nil, nil, 200},
		{"only if cached", "", []string{"Cache-Control: only-if-cached"}, nil, nil, 200},
		{"same ETag", "w:480", []string{"If-None-Match: " + testETag}, large, nil, 304},
		{"other ETag", "w:480", []string{`If-None-Match: "other"`}, large, nil, 200},
		{"same ETag in a second line", "w:480", []string{`If-None-Match: "other"`, "If-None-Match: " + testETag}, large, nil, 304},
		{"other ETags in two lines", "w:480", []string{`If-None-Match: "other"`, `If-None-Match: "third"`}, large, nil, 200},
		{"hints in a second line", "net:auto", []string{"Save-Data: off", "Save-Data: on"}, nil, nil, 200},
		{"hints twice", "net:auto", []string{"ECT: 3g, 3g"}, nil, nil, 200},
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
	list := func(c *Config, _ *access.Rules) { c.CORS = []string{"https://shop.example"} }
	for _, tc := range []struct {
		name, method string
		headers      []string
		rules        func(*Config, *access.Rules)
		status       int
		want         map[string]string
	}{
		{"HEAD", "HEAD", nil, nil, 200, map[string]string{"Content-Length": "1000"}},
		{"Range", "GET", []string{"Range: bytes=10-19"}, nil, 206, map[string]string{"Content-Range": "bytes 10-19/1000"}},
		{"Range of another unit", "GET", []string{"Range: rows=1-2"}, nil, 200, map[string]string{"Content-Range": "", "Content-Length": "1000"}},
		{"If-Match in a second line", "GET", []string{`If-Match: "other"`, "If-Match: " + testETag}, nil, 200, nil},
		{"If-Match", "GET", []string{`If-Match: "other"`}, nil, 412, map[string]string{"X-Error": "precondition_failed"}},
		{"If-Unmodified-Since", "GET", []string{"If-Unmodified-Since: Mon, 23 Nov 2026 10:00:00 GMT"}, nil, 412, nil},
		{"a script's origin", "GET", []string{"Origin: https://shop.example"}, list, 200, map[string]string{"Access-Control-Allow-Origin": "https://shop.example"}},
		{"ourselves", "GET", []string{"Via: 1.1 " + testMarker(t)}, nil, 403, map[string]string{"X-Error": "source_not_allowed"}},
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
		`goldcrest_served_bytes_total{format="webp"} 2000`, `goldcrest_replacing_bytes_total{format="webp"} 2000`,
	} {
		if !strings.Contains(metrics, want) {
			t.Errorf("no %s", want)
		}
	}
}

// TestHitsWhileRulesAreReplaced is for the race detector: hits of a few URLs on many connections, and reloads in
// between.
func TestHitsWhileRulesAreReplaced(t *testing.T) {
	s := newSocket(t, nil)
	var urls []string
	for _, options := range []string{"f:webp", "", "net:auto", "w:480"} {
		urls = append(urls, s.url(options, photo))
	}
	accepts := []string{"image/avif", "image/webp", "*/*"}
	rules := s.Server.access.Current().Rules
	var wg sync.WaitGroup
	for i := range 8 {
		c, err := net.Dial("tcp", s.addr)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		wg.Go(func() {
			r := bufio.NewReader(c)
			for turn := range 50 {
				if _, err := c.Write(request("GET", urls[(i+turn)%len(urls)], "HTTP/1.1", "Accept: "+accepts[turn%len(accepts)])); err != nil {
					t.Error(err)
					return
				}
				res, err := http.ReadResponse(r, nil)
				if err != nil {
					t.Error(err)
					return
				}
				if body, err := io.ReadAll(res.Body); err != nil || res.StatusCode != 200 || len(body) != 1000 {
					t.Errorf("status %d, %d bytes, %v", res.StatusCode, len(body), err)
				}
			}
		})
	}
	for range 20 {
		if err := s.Reload(rules); err != nil {
			t.Error(err)
		}
	}
	wg.Wait()
	if s.recalls.Load() == 0 {
		t.Error("no hit")
	}
}

// What was kept ready of a first-stage entry never meets the bytes or the lifetimes of the one that replaced it.
func TestHitsAfterAnUpgrade(t *testing.T) {
	const short, long = "public, max-age=300, stale-while-revalidate=3600, stale-if-error=86400", "public, max-age=2592000, stale-while-revalidate=3600, stale-if-error=86400, immutable"
	for _, tc := range []struct {
		name, etag, modified string
		upgrade              func(*cache.Entry)
	}{
		{"a smaller one", `"final"`, testMade.Add(time.Second).Format(http.TimeFormat), func(e *cache.Entry) {
			e.Body, e.ETag, e.Size, e.Created = e.Body[:700], `"final"`, 700, e.Created.Add(time.Second)
		}},
		{"the first stage kept", testETag, testMade.Format(http.TimeFormat), func(*cache.Entry) {}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := newSocket(t, nil)
			s.change = func(e *cache.Entry) { e.Attrs["stage"] = "1" }
			url := s.url("w:480/f:avif", photo)
			for range 2 { // The long way, then as it was kept ready.
				res, body := s.ask("GET", url)
				if res.Header.Get("Cache-Control") != short || res.Header.Get("ETag") != testETag || len(body) != 1000 {
					t.Errorf("first stage: %d bytes, %v", len(body), res.Header)
				}
			}
			asked := s.asked()
			s.mu.Lock()
			for key, e := range s.made {
				e.Attrs = maps.Clone(e.Attrs)
				delete(e.Attrs, "stage")
				tc.upgrade(&e)
				s.made[key] = e
			}
			s.mu.Unlock()
			status := http.StatusOK
			if tc.etag == testETag {
				status = http.StatusNotModified
			}
			for range 3 {
				for _, h := range []string{"If-None-Match: " + testETag, "If-Modified-Since: " + testMade.Format(http.TimeFormat), "Range: bytes=0-9\r\nIf-Range: " + testETag} {
					want := status
					if strings.HasPrefix(h, "Range") && tc.etag == testETag {
						want = http.StatusPartialContent
					}
					if res, body := s.ask("GET", url, h); res.StatusCode != want || want == 200 && len(body) != 700 || res.Header.Get("Cache-Control") != long {
						t.Errorf("%s: got %d with %d bytes, %s, want %d",
							h, res.StatusCode, len(body), res.Header.Get("Cache-Control"), want)
					}
				}
				res, body := s.ask("GET", url)
				if h := res.Header; h.Get("Cache-Control") != long || h.Get("ETag") != tc.etag || h.Get("Last-Modified") != tc.modified || strconv.Itoa(len(body)) != h.Get("Content-Length") {
					t.Errorf("upgraded: %d bytes, %v", len(body), h)
				}
			}
			if long := s.asked() - asked; long == 0 || s.recalls.Load() < 9 {
				t.Errorf("%d questions the long way, %d recalls: not both ways were taken", long, s.recalls.Load())
			}
		})
	}
}

// testMarker is that of the fixtures' keys.
func testMarker(t *testing.T) string { return newFixture(t, nil).keys.Markers()[0] }

// Views are counted by either way where the whole picture was sent: not for a HEAD, a 304, or a part.
func TestViewsAreCounted(t *testing.T) {
	s := newSocket(t, nil)
	s.images.onPeek, s.images.views = s.get, map[string]int{}
	url := s.url("w:480/f:webp", photo)
	for range 3 { // The first by the long way.
		s.ask("GET", url)
	}
	s.ask("GET", url, `If-None-Match: "other"`)
	s.ask("GET", url, "Origin: https://x.example", "Range: bytes=0-")
	for _, headers := range [][]string{{"If-None-Match: " + testETag}, {"Range: bytes=0-9"}, {"Range: bytes=5000-"}} {
		s.ask("GET", url, headers...)
	}
	s.ask("HEAD", url)
	c, err := net.Dial("tcp", s.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	s.askOn(c, bufio.NewReader(c), "GET", s.url("w:481/f:webp", photo))
	s.images.mu.Lock()
	defer s.images.mu.Unlock()
	views := []int{}
	for _, n := range s.images.views {
		views = append(views, n)
	}
	slices.Sort(views)
	if !slices.Equal(views, []int{1, 5}) {
		t.Errorf("%v", s.images.views)
	}
}
