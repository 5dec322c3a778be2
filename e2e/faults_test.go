package e2e

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// photo reads a corpus photo.
func photo(t *testing.T, name string) []byte {
	t.Helper()
	body, err := os.ReadFile(filepath.Join(corpus(t), "photos", name))
	if err != nil {
		t.Fatal(err)
	}
	return body
}

// refused requests a variant of a source. It fails unless the request is refused as expected and nothing is stored.
func refused(t *testing.T, s *server, source string, status int, code string) answer {
	t.Helper()
	before := s.metric("goldcrest_store_operations_total", `tier="dir"`, `op="put"`)
	a := s.get(signed("rs:fit:200:0/f:webp", source))
	if a.StatusCode != status || a.Header.Get("X-Error") != code {
		t.Errorf("got %d %s (%s), want %d %s", a.StatusCode, a.Header.Get("X-Error"), a.body, status, code)
	}
	if got := s.metric("goldcrest_store_operations_total", `tier="dir"`, `op="put"`); got != before {
		t.Errorf("got %v puts, want none", got-before)
	}
	return a
}

// A very slow origin is cut off by the minimum rate or the deadline, and the server is not affected.
func TestFault04SlowOrigin(t *testing.T) {
	s := start(t, "GOLDCREST_ORIGIN_TIMEOUT=2s")
	drip := startRaw(t, func(c net.Conn, _ string) {
		fmt.Fprint(c, "HTTP/1.1 200 OK\r\nContent-Type: image/jpeg\r\nContent-Length: 100000\r\n\r\n")
		for range 100 {
			if _, err := c.Write([]byte{0xff}); err != nil {
				return
			}
			time.Sleep(100 * time.Millisecond)
		}
	})
	silent := startRaw(t, func(c net.Conn, _ string) { io.Copy(io.Discard, c) })
	for _, o := range []*rawOrigin{drip, silent} {
		begin := time.Now()
		a := refused(t, s, o.url+"/a.jpg", 504, "source_timeout")
		a.want(t, "Cache-Control", "no-store")
		if took := time.Since(begin); took > 6*time.Second {
			t.Errorf("cut off only after %s", took)
		}
	}
}

// If an origin resets the connection, the request is repeated exactly once.
func TestFault05ResetMidBody(t *testing.T) {
	s := start(t)
	o := startRaw(t, func(c net.Conn, _ string) {
		fmt.Fprint(c, "HTTP/1.1 200 OK\r\nContent-Type: image/jpeg\r\nContent-Length: 100000\r\n\r\nabc")
		c.(*net.TCPConn).SetLinger(0)
	})
	a := refused(t, s, o.url+"/a.jpg", 502, "source_error")
	a.want(t, "Cache-Control", "no-store")
	if got := o.count(); got != 2 {
		t.Errorf("got %d requests to the origin, want 2", got)
	}
}

// A body that ends before its picture is never stored as a picture.
func TestFault06ShortBodies(t *testing.T) {
	jpeg, png := photo(t, "groceries.jpg"), photo(t, "diagram-alpha.png")
	s, o := start(t), startOrigin(t)
	short := startRaw(t, func(c net.Conn, _ string) {
		fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n", len(jpeg))
		c.Write(jpeg[:len(jpeg)/2])
	})
	early := startRaw(t, func(c net.Conn, _ string) {
		fmt.Fprint(c, "HTTP/1.1 200 OK\r\nContent-Type: image/jpeg\r\nConnection: close\r\n\r\n")
		c.Write(jpeg[:len(jpeg)/2])
	})
	for name, body := range map[string][]byte{"/half.jpg": jpeg[:len(jpeg)/2], "/half.png": png[:len(png)/2]} {
		o.on(name, func(w http.ResponseWriter, _ *http.Request) { w.Write(body) })
	}
	before := s.metric("goldcrest_store_operations_total", `tier="dir"`, `op="put"`)
	for i := range 25 {
		for _, source := range []string{short.url + "/a.jpg", early.url + "/a.jpg", o.URL + "/half.jpg", o.URL + "/half.png"} {
			if a := s.get(signed(fmt.Sprintf("w:%d/f:webp", 100+i), source)); a.StatusCode == 200 {
				t.Fatalf("%s: answered as a picture", source)
			}
		}
	}
	if got := s.metric("goldcrest_store_operations_total", `tier="dir"`, `op="put"`) - before; got != 0 {
		t.Errorf("%v of 100 were stored", got)
	}
}

// An endless body is read only up to the limit.
func TestFault07EndlessBody(t *testing.T) {
	s := start(t, "GOLDCREST_ORIGIN_MAX_BYTES=1MiB")
	sent := make(chan int64, 1)
	o := startOrigin(t)
	o.on("/endless.jpg", func(w http.ResponseWriter, _ *http.Request) {
		chunk, n := append([]byte{0xff, 0xd8, 0xff}, make([]byte, 32<<10)...), int64(0)
		for {
			m, err := w.Write(chunk)
			n += int64(m)
			if err != nil {
				sent <- n
				return
			}
		}
	})
	a := refused(t, s, o.URL+"/endless.jpg", 413, "source_too_large")
	a.want(t, "Cache-Control", "max-age=3600")
	if n := <-sent; n > 16<<20 { // The number of bytes written by the origin includes both sockets' buffers.
		t.Errorf("the origin could send %d bytes", n)
	}
}

// Bodies are requested without compression; a gzip bomb is cut at the limit.
func TestFault08Gzip(t *testing.T) {
	s, o := start(t), startOrigin(t)
	jpeg := photo(t, "groceries.jpg")
	o.on("/asked.jpg", func(w http.ResponseWriter, r *http.Request) {
		if got := r.Header.Get("Accept-Encoding"); got != "identity" {
			t.Errorf("Accept-Encoding: got %q, want identity", got)
		}
		w.Write(jpeg)
	})
	if a := s.get(signed("w:100", o.URL+"/asked.jpg")); a.StatusCode != 200 {
		t.Errorf("got %d", a.StatusCode)
	}
	o.on("/bomb.jpg", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Encoding", "gzip")
		gzipZeros(w, 512<<20)
	})
	if a := s.get(signed("w:100", o.URL+"/bomb.jpg")); a.StatusCode < 400 || a.StatusCode >= 500 && a.StatusCode != 502 {
		t.Errorf("bomb: got %d %s", a.StatusCode, a.Header.Get("X-Error"))
	}
}

// Every hop of a redirect is checked before it is followed.
func TestFault09Redirects(t *testing.T) {
	trap := startOrigin(t)
	corpus(t)
	s, o := start(t, "GOLDCREST_ORIGIN_ALLOW=[127.0.0.1, public.test]"), startOrigin(t)
	to := func(path, target string) {
		o.on(path, func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, target, http.StatusFound) })
	}
	to("/loop", "/loop")
	to("/metadata", "http://169.254.169.254/latest/meta-data/")
	to("/file", "file:///etc/passwd")
	to("/elsewhere", strings.Replace(trap.URL, "127.0.0.1", "localhost", 1)+"/canary.jpg")
	refused(t, s, o.URL+"/loop", 502, "too_many_redirects")
	if got := o.count("/loop"); got > 4 {
		t.Errorf("followed %d times, want at most 3", got-1)
	}
	for _, path := range []string{"/metadata", "/elsewhere"} {
		if a := s.get(signed("w:100", o.URL+path)); a.StatusCode != 403 {
			t.Errorf("%s: got %d %s, want 403", path, a.StatusCode, a.Header.Get("X-Error"))
		}
	}
	if a := s.get(signed("w:100", o.URL+"/file")); a.StatusCode < 400 || a.StatusCode > 403 {
		t.Errorf("/file: got %d %s, want 400 or 403", a.StatusCode, a.Header.Get("X-Error"))
	}
	if a := s.get(signed("w:100", o.URL+"/redir/photos/groceries.jpg")); a.StatusCode != 200 {
		t.Errorf("a harmless redirect: got %d", a.StatusCode)
	}
	if got := trap.count("/canary.jpg"); got != 0 {
		t.Errorf("got %d requests at the trap, want 0", got)
	}
}

// Content that is not a picture is detected by its bytes, and no HTML or SVG is ever served.
func TestFault12TypedByBytes(t *testing.T) {
	s, o := start(t), startOrigin(t)
	corpus(t)
	jpeg := photo(t, "groceries.jpg")
	o.on("/liar.jpg", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		w.Write(jpeg)
	})
	if a := s.get(signed("w:100/f:jpg", o.URL+"/liar.jpg")); a.StatusCode != 200 || a.Header.Get("Content-Type") != "image/jpeg" {
		t.Errorf("a JPEG called HTML: got %d %s", a.StatusCode, a.Header.Get("Content-Type"))
	}
	for _, name := range []string{"error-page.jpg", "json-error.webp", "access-denied.png", "document.pdf.jpg", "empty.jpg", "svg-script.svg", "polyglot-jpeg-html.jpg", "polyglot-gif-js.gif"} {
		a := s.get(signed("w:100/f:webp", o.URL+"/hostile/"+name))
		if a.StatusCode >= 500 {
			t.Errorf("%s: got %d", name, a.StatusCode)
		}
		held := func(tag string) bool { return bytes.Contains(a.body, []byte(tag)) }
		if a.StatusCode == 200 && (held("<script") || held("<html") || held("<svg")) {
			t.Errorf("%s: HTML left the house", name)
		}
		a.want(t, "X-Content-Type-Options", "nosniff")
	}
}

// A missing source is requested once; the result is remembered for a while.
func TestFault11Remembers404(t *testing.T) {
	s, o := start(t), startOrigin(t)
	for w := range 5 {
		if a := s.get(signed(fmt.Sprintf("w:%d", 100+w), o.URL+"/missing/x.jpg")); a.StatusCode != 404 {
			t.Errorf("got %d, want 404", a.StatusCode)
		}
	}
	if got := o.count("/missing/x.jpg"); got != 1 {
		t.Errorf("got %d requests to the origin, want 1", got)
	}
}

// Truncated files, bombs, scripts and fuzzer findings get an image or a 4xx quickly, and the server stays up.
func TestFault27HostileCorpus(t *testing.T) {
	dir := corpus(t)
	s, o := start(t), startOrigin(t)
	manifest, err := os.ReadFile(filepath.Join(dir, "hostile", "MANIFEST.tsv"))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(manifest)) {
		col := strings.Split(line, "\t")
		if len(col) < 5 || col[0] == "file" {
			continue
		}
		begin := time.Now()
		a := s.get(signed("rs:fit:400:0/f:webp", o.URL+"/hostile/"+col[0]))
		if !expected(col[4], a.StatusCode) {
			t.Errorf("%s: got %d %s, want %q", col[0], a.StatusCode, a.Header.Get("X-Error"), col[4])
		}
		if took := time.Since(begin); took > 8*time.Second {
			t.Errorf("%s: took %s", col[0], took)
		}
	}
	if a := s.do("GET", s.admin+"/healthz"); a.StatusCode != 200 {
		t.Errorf("healthz after it all: %d %s", a.StatusCode, a.body)
	}
}

// expected compares a status with the manifest's class.
func expected(class string, status int) bool {
	ok, refused := status == 200, status >= 400 && status < 500
	switch {
	case strings.HasPrefix(class, "200-or-4xx"), strings.Contains(class, "200") && strings.Contains(class, "4xx"):
		return ok || refused
	case strings.HasPrefix(class, "4xx"):
		return refused
	default:
		return ok
	}
}
