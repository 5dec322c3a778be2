package e2e

import (
	"bytes"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"
)

const chrome = "image/avif,image/webp,image/apng,image/svg+xml,image/*,*/*;q=0.8"

// A variant is made once, then comes from memory, and after a restart from the store: always the same bytes.
func TestColdMemoryStore(t *testing.T) {
	corpus(t)
	o, dir := startOrigin(t), t.TempDir()
	path := signed("rs:fit:800:0/f:webp", o.URL+"/photos/product-saw.jpg")
	s := startIn(t, dir)
	cold := s.get(path)
	if cold.StatusCode != 200 {
		t.Fatalf("got %d: %s", cold.StatusCode, cold.body)
	}
	cold.want(t, "Content-Type", "image/webp")
	cold.want(t, "Cache-Status", "goldcrest; fwd=miss")
	warm := s.get(path)
	warm.want(t, "Cache-Status", "goldcrest; hit; detail=memory")
	s.stop()

	again := startIn(t, dir)
	stored := again.get(path)
	stored.want(t, "Cache-Status", "goldcrest; hit; detail=store")
	if !bytes.Equal(cold.body, warm.body) || !bytes.Equal(cold.body, stored.body) || cold.Header.Get("ETag") != stored.Header.Get("ETag") {
		t.Error("the same variant came in different bytes")
	}
	if got := o.count("/photos/product-saw.jpg"); got != 1 {
		t.Errorf("got %d fetches, want 1", got)
	}
	if got := again.metric("goldcrest_transforms_total"); got != 0 {
		t.Errorf("got %v transforms after the restart, want 0", got)
	}
}

// The client's Accept header decides the format of an open URL, and every response has Vary for it.
func TestFormatByAccept(t *testing.T) {
	corpus(t)
	o := startOrigin(t)
	s := start(t)
	path := signed("rs:fit:800:0", o.URL+"/photos/cardinal.jpg")
	sizes := map[string]int{}
	for accept, want := range map[string]string{
		chrome: "image/avif", "image/webp,*/*": "image/webp", "*/*": "image/jpeg", "image/jpeg": "image/jpeg", "image/avif;q=0,image/webp": "image/webp",
	} {
		a := s.get(path, "Accept", accept)
		if a.StatusCode != 200 {
			t.Fatalf("%s: got %d: %s", accept, a.StatusCode, a.body)
		}
		a.want(t, "Content-Type", want)
		if v := a.Header.Get("Vary"); !strings.Contains(v, "Accept") {
			t.Errorf("%s: Vary is %q", accept, v)
		}
		sizes[want] = len(a.body)
	}
	original := len(photo(t, "cardinal.jpg"))
	for format, size := range sizes {
		if size > original/4 {
			t.Errorf("%s has %d bytes, the original %d", format, size, original)
		}
	}
	if got := o.count("/photos/cardinal.jpg"); got > 5 {
		t.Errorf("got %d fetches for five formats, want no more than one each", got)
	}
	if v := s.get(signed("rs:fit:80:0/f:jpg", o.URL+"/photos/cardinal.jpg"), "Accept", chrome).Header.Get("Vary"); v != "" {
		t.Errorf("a URL that names its format varies by %q", v)
	}
}

// Conditional, partial and HEAD requests are answered correctly from the cache.
func TestFault32Conditional(t *testing.T) {
	corpus(t)
	o := startOrigin(t)
	s := start(t)
	path := signed("rs:fit:400:0/f:jpg", o.URL+"/photos/cardinal.jpg")
	full := s.get(path)
	tag := full.Header.Get("ETag")

	a := s.get(path, "If-None-Match", tag)
	if a.StatusCode != 304 || len(a.body) != 0 {
		t.Errorf("If-None-Match: got %d with %d bytes", a.StatusCode, len(a.body))
	}
	if a := s.get(path, "If-None-Match", `"other"`); a.StatusCode != 200 {
		t.Errorf("another tag: got %d, want 200", a.StatusCode)
	}
	a = s.get(path, "Range", "bytes=10-19")
	if a.StatusCode != 206 || !bytes.Equal(a.body, full.body[10:20]) {
		t.Errorf("Range: got %d, %d bytes", a.StatusCode, len(a.body))
	}
	if a := s.get(path, "Range", "bytes=10-19", "If-Range", `"other"`); a.StatusCode != 200 || len(a.body) != len(full.body) {
		t.Errorf("If-Range with another tag: got %d, %d bytes", a.StatusCode, len(a.body))
	}
	if a := s.get(path, "Range", fmt.Sprintf("bytes=%d-", len(full.body)+5)); a.StatusCode != 416 {
		t.Errorf("a range behind the end: got %d, want 416", a.StatusCode)
	}
	a = s.do("HEAD", s.public+path)
	if a.StatusCode != 200 || len(a.body) != 0 || a.ContentLength != int64(len(full.body)) || a.Header.Get("ETag") != tag {
		t.Errorf("HEAD: got %d, length %d", a.StatusCode, a.ContentLength)
	}
	cold := signed("rs:fit:401:0/f:jpg", o.URL+"/photos/cardinal.jpg")
	if a := s.get(cold, "Cache-Control", "only-if-cached"); a.StatusCode != 504 || a.Header.Get("X-Error") != "not_cached" {
		t.Errorf("only-if-cached on a cold variant: got %d %s", a.StatusCode, a.Header.Get("X-Error"))
	}
	if got := o.count("/photos/cardinal.jpg"); got != 1 {
		t.Errorf("got %d fetches, want 1", got)
	}
}

// An expiring URL works until its expiry, which also limits every cache's lifetime.
func TestExpiry(t *testing.T) {
	corpus(t)
	o := startOrigin(t)
	s := start(t)
	source := o.URL + "/photos/groceries.jpg"
	for offset, want := range map[time.Duration]int{time.Minute: 200, -time.Second: 410, 0: 410} {
		a := s.get(signed(fmt.Sprintf("w:100/f:jpg/exp:%d", time.Now().Add(offset).Unix()), source))
		if a.StatusCode != want {
			t.Errorf("exp %s: got %d, want %d", offset, a.StatusCode, want)
		}
		if want == 200 && (strings.Contains(a.Header.Get("Cache-Control"), "private") || !strings.Contains(a.Header.Get("Cache-Control"), "public, max-age=5") &&
			!strings.Contains(a.Header.Get("Cache-Control"), "public, max-age=60")) {
			t.Errorf("Cache-Control %q, want public and at most a minute", a.Header.Get("Cache-Control"))
		}
	}
}

// Wrong requests get their code and lifetime, and cause no work.
func TestErrors(t *testing.T) {
	corpus(t)
	o := startOrigin(t)
	s := start(t)
	good := o.URL + "/photos/groceries.jpg"
	for _, tt := range []struct {
		name, path string
		status     int
		code       string
	}{
		{"no signature", "/", 403, "bad_signature"},
		{"wrong signature", strings.Replace(signed("w:100", good), "/", "/A", 1), 403, "bad_signature"},
		{"unknown option", signed("frobnicate:1", good), 400, "unsupported_option"},
		{"bad value", signed("w:-5", good), 400, "bad_option"},
		{"bad scheme", signed("w:5", "ftp://c.example/a.jpg"), 400, "bad_source"},
		{"missing", signed("w:5", o.URL+"/missing/x.jpg"), 404, "source_not_found"},
		{"gone", signed("w:5", o.URL+"/gone/x.jpg"), 404, "source_not_found"},
		{"forbidden", signed("w:5", o.URL+"/err/403/x.jpg"), 502, "source_forbidden"},
		{"pdf", signed("w:5", o.URL+"/hostile/document.pdf.jpg"), 415, "not_an_image"},
		{"html", signed("w:5", o.URL+"/hostile/error-page.jpg"), 415, "not_an_image"},
	} {
		a := s.get(tt.path)
		if a.StatusCode != tt.status || (tt.code != "" && a.Header.Get("X-Error") != tt.code) {
			t.Errorf("%s: got %d %s, want %d %s", tt.name, a.StatusCode, a.Header.Get("X-Error"), tt.status, tt.code)
		}
		if !strings.HasPrefix(a.Header.Get("Content-Type"), "application/problem+json") || a.Header.Get("Cache-Control") == "" {
			t.Errorf("%s: Content-Type %q, Cache-Control %q", tt.name, a.Header.Get("Content-Type"), a.Header.Get("Cache-Control"))
		}
	}
	// Only the configuration says that PDF is not supported here, so it is refused at the transform.
	if got := s.metric("goldcrest_transforms_total"); got != 1 {
		t.Errorf("got %v transforms, want 1", got)
	}
}

// Many concurrent requests for one new variant cost one fetch, one encode and one put, even if the first client hangs
// up.
func TestFault20Herd(t *testing.T) {
	corpus(t)
	o := startOrigin(t)
	s := start(t)
	source := o.URL + "/slow/300/photos/product-saw.jpg"
	path := signed("rs:fit:640:0/f:webp", source)
	leader := make(chan struct{})
	go func() {
		defer close(leader)
		hangUp(s.public, path)
	}()
	eventually(t, "the leader's fetch began", func() bool { return o.count("/slow/300/photos/product-saw.jpg") == 1 })
	var wg sync.WaitGroup
	bodies := make([][]byte, 499)
	for i := range bodies {
		wg.Go(func() {
			a, err := request("GET", s.public+path)
			if err != nil || a.StatusCode != 200 {
				t.Errorf("follower %d: %v", i, err)
				return
			}
			bodies[i] = a.body
		})
	}
	wg.Wait()
	<-leader
	for i, b := range bodies {
		if !bytes.Equal(b, bodies[0]) {
			t.Fatalf("follower %d got other bytes", i)
		}
	}
	eventually(t, "the put ended", func() bool {
		return s.metric("goldcrest_store_operations_total", `tier="dir"`, `op="put"`, `outcome="ok"`) == 1
	})
	if fetches, encodes := o.count("/slow/300/photos/product-saw.jpg"), s.metric("goldcrest_transforms_total"); fetches != 1 || encodes != 1 {
		t.Errorf("got %d fetches and %v encodes, want 1 and 1", fetches, encodes)
	}
}
