package origin

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/goldcrest/goldcrest/fault"
)

func TestFault04SlowOrigin(t *testing.T) {
	drip, _ := serveRaw(t, func(conn *net.TCPConn, done <-chan struct{}) {
		_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n")
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-done:
				return
			case <-tick.C:
				if _, err := conn.Write([]byte{0xff}); err != nil {
					return
				}
			}
		}
	})
	silent, _ := serveRaw(t, func(_ *net.TCPConn, done <-chan struct{}) { <-done })
	const timeout = 800 * time.Millisecond
	c := newClient(t, Hooks{}, func(cfg *Config) { cfg.Timeout = timeout })
	before := runtime.NumGoroutine()
	for name, base := range map[string]string{"body": drip, "headers": silent} {
		start := time.Now()
		_, err := get(t, c, base)
		took := time.Since(start)
		wantKind(t, err, fault.SourceTimeout)
		t.Logf("%s: cut after %v", name, took)
		if name == "body" && took >= timeout {
			t.Errorf("a dripping body was read until the deadline: %v", took)
		}
	}
	for range 100 {
		if runtime.NumGoroutine() <= before+5 {
			break
		}
		runtime.Gosched()
		<-time.After(10 * time.Millisecond)
	}
	if n := runtime.NumGoroutine(); n > before+5 {
		t.Errorf("%d goroutines, %d before", n, before)
	}
	ctx, cancel := context.WithCancel(context.Background())
	time.AfterFunc(20*time.Millisecond, cancel)
	_, err := c.Fetch(ctx, silent, Limits{})
	wantKind(t, err, fault.Canceled)
}

func TestFault05ResetMidBody(t *testing.T) {
	body := smallPNG(t)
	reset := func(conn *net.TCPConn) { _ = conn.SetLinger(0); _ = conn.Close() }
	head := fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", len(body))
	tests := map[string]func(conn *net.TCPConn, n int64){
		"before the answer": func(conn *net.TCPConn, _ int64) { reset(conn) },
		"in the header":     func(conn *net.TCPConn, _ int64) { _, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nCont"); reset(conn) },
		"in the body":       func(conn *net.TCPConn, _ int64) { _, _ = conn.Write([]byte(head + string(body[:99]))); reset(conn) },
		"once": func(conn *net.TCPConn, n int64) {
			if n > 1 {
				_, _ = conn.Write([]byte(head + string(body)))
				return
			}
			_, _ = conn.Write([]byte(head + string(body[:99])))
			reset(conn)
		},
	}
	for name, answer := range tests {
		t.Run(name, func(t *testing.T) {
			var n atomic.Int64
			base, hits := serveRaw(t, func(conn *net.TCPConn, _ <-chan struct{}) { answer(conn, n.Add(1)) })
			watcher := newNotes()
			_, err := get(t, newClient(t, Hooks{Observer: watcher}, nil), base)
			if name == "once" {
				wantKind(t, err, "")
			} else {
				wantKind(t, err, fault.SourceError)
			}
			if hits.Load() != 2 || watcher.of("retry") != 1 {
				t.Errorf("%d requests, %d retries, want 2 and 1", hits.Load(), watcher.of("retry"))
			}
		})
	}
}

// TestFault05ResetOfReusedConnection holds the bound of two requests where the transport has a retry of its own.
func TestFault05ResetOfReusedConnection(t *testing.T) {
	var fail atomic.Bool
	base, hits := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		if fail.Load() {
			conn, _, _ := http.NewResponseController(w).Hijack()
			_ = conn.(*net.TCPConn).SetLinger(0)
			_ = conn.Close()
			return
		}
		_, _ = w.Write(smallPNG(t))
	})
	c := newClient(t, Hooks{}, nil)
	_, err := get(t, c, base)
	wantKind(t, err, "")
	fail.Store(true)
	_, err = get(t, c, base)
	wantKind(t, err, fault.SourceError)
	if n := hits.Load() - 1; n > 2 {
		t.Errorf("%d requests for one fetch, want at most 2", n)
	}
}

func TestFault06Truncated(t *testing.T) {
	jpeg, png := smallJPEG(t), smallPNG(t)
	length := func(n int, body []byte) string {
		return fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", n, body)
	}
	tests := []struct {
		name   string
		answer string
		want   fault.Kind
		hits   int64
	}{
		{"short body", length(len(png)+1, png), fault.SourceError, 2},
		{"half a short body", length(len(png), png[:len(png)/2]), fault.SourceError, 2},
		{"early close", "HTTP/1.0 200 OK\r\n\r\n" + string(png[:len(png)-20]), fault.TruncatedSource, 2},
		{"close is the end", "HTTP/1.0 200 OK\r\n\r\n" + string(png), "", 1},
		{"half a chunk", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffff\r\n" + string(png), fault.SourceError, 2},
		{"half a PNG", length(len(png)/2, png[:len(png)/2]), fault.TruncatedSource, 1},
		{"half a JPEG header", length(100, jpeg[:100]), fault.DecodeFailed, 1},
		{"JPEG without EOI", length(len(jpeg)-2, jpeg[:len(jpeg)-2]), "", 1},
		{"JPEG without EOI, length unknown", "HTTP/1.0 200 OK\r\n\r\n" + string(jpeg[:len(jpeg)-2]), fault.TruncatedSource, 2},
		{"bytes after EOI", length(len(jpeg)+4, append(jpeg[:len(jpeg):len(jpeg)], "more"...)), "", 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			base, hits := serveRaw(t, func(conn *net.TCPConn, _ <-chan struct{}) { _, _ = io.WriteString(conn, tt.answer) })
			_, err := get(t, newClient(t, Hooks{}, nil), base)
			wantKind(t, err, tt.want)
			if hits.Load() != tt.hits {
				t.Errorf("%d requests, want %d", hits.Load(), tt.hits)
			}
		})
	}
}

func TestFault07EndlessBody(t *testing.T) {
	const limit = 1 << 20
	var sent atomic.Int64
	base, hits := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		chunk := make([]byte, 8<<10)
		for {
			n, err := w.Write(chunk)
			sent.Add(int64(n))
			if err != nil {
				return
			}
		}
	})
	c := newClient(t, Hooks{}, func(cfg *Config) { cfg.MaxBytes = limit })
	_, err := get(t, c, base)
	wantKind(t, err, fault.SourceTooLarge)
	declared, _ := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", strconv.Itoa(limit+1))
		w.WriteHeader(http.StatusOK)
	})
	_, err = get(t, c, declared)
	wantKind(t, err, fault.SourceTooLarge)
	if hits.Load() != 1 {
		t.Errorf("%d requests, want 1", hits.Load())
	}

	// What the sockets hold cannot be seen from here: what is read, can.
	var read int64
	endless := readerFunc(func(p []byte) (int, error) { read += int64(len(p)); return len(p), nil })
	_, err = readAll(endless, -1, limit, func(int64) error { return nil })
	wantKind(t, err, fault.SourceTooLarge)
	if read > limit+64<<10 {
		t.Errorf("%d bytes read of a cap of %d", read, limit)
	}
}

type readerFunc func(p []byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

func zipped(t *testing.T, body []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	if _, err := z.Write(body); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestFault08Gzip(t *testing.T) {
	png := smallPNG(t)
	bomb := zipped(t, append(png, make([]byte, 8<<20)...))
	flipped := zipped(t, png)
	flipped[len(flipped)-6] ^= 1 // its checksum
	tests := []struct {
		name, coding string
		body         []byte
		want         fault.Kind
	}{
		{"image", "gzip", zipped(t, png), ""},
		{"old name", "X-Gzip", zipped(t, png), ""},
		{"header alone", "gzip", png, ""},
		{"identity", "identity", png, ""},
		{"bomb", "gzip", bomb, fault.SourceTooLarge},
		{"cut", "gzip", zipped(t, png)[:200], fault.SourceError},
		{"wrong checksum", "gzip", flipped, fault.SourceError},
		{"twice", "gzip, gzip", zipped(t, zipped(t, png)), fault.SourceError},
		{"named twice", "gzip, gzip", zipped(t, png), ""},
		{"with an upload's framing", "aws-chunked,gzip", zipped(t, png), ""},
		{"an upload's framing", "aws-chunked", png, ""},
		{"a charset", "utf-8", png, ""},
		{"no coding by name", "none", png, ""},
		{"no coding as a list", ", identity,", png, ""},
		{"transfer by name", "Binary", png, ""},
		{"other coding by name", "br", png, ""},
		{"other coding", "br", []byte("\x0b\x02\x80\x89PNG\x03 brotli"), fault.SourceError},
		{"zstandard", "zstd", []byte("(\xb5/\xfd\x04\x00\x19\x00\x00"), fault.SourceError},
		{"a page under a made-up coding", "aws-chunked", []byte("<html>"), fault.NotAnImage},
		{"nothing under a made-up coding", "aws-chunked", nil, fault.NotAnImage},
		{"half a picture under a made-up coding", "utf-8", png[:len(png)/2], fault.TruncatedSource},
		{"gzip file", "", zipped(t, png), fault.NotAnImage},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			base, _ := serve(t, func(w http.ResponseWriter, r *http.Request) {
				if r.Header.Get("Accept-Encoding") != "identity" {
					t.Errorf("asked for %q", r.Header.Get("Accept-Encoding"))
				}
				if tt.coding != "" {
					w.Header().Set("Content-Encoding", tt.coding)
				}
				_, _ = w.Write(tt.body)
			})
			o, err := get(t, newClient(t, Hooks{}, func(cfg *Config) { cfg.MaxBytes = 1 << 20 }), base)
			wantKind(t, err, tt.want)
			if err == nil && !bytes.Equal(o.Body, png) {
				t.Errorf("%d bytes, want %d", len(o.Body), len(png))
			}
		})
	}
}

func TestFault09Redirects(t *testing.T) {
	png := smallPNG(t)
	trap, trapped := serve(t, send(png))
	secure := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, r.URL.Query().Get("to"), http.StatusFound)
	}))
	defer secure.Close()
	var base string
	base, hits := serve(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/picture":
			_, _ = w.Write(png)
		case "/none":
			w.WriteHeader(http.StatusFound)
		case "/count":
			n, _ := strconv.Atoi(r.URL.Query().Get("n"))
			if n == 0 {
				_, _ = w.Write(png)
				return
			}
			http.Redirect(w, r, fmt.Sprintf("/count?n=%d", n-1), http.StatusTemporaryRedirect)
		default:
			w.Header().Set("Location", r.URL.Query().Get("to"))
			w.WriteHeader(http.StatusMovedPermanently)
		}
	})
	_, port, _ := net.SplitHostPort(strings.TrimPrefix(base, "http://"))
	own, _ := strconv.Atoi(port)
	_, port, _ = net.SplitHostPort(strings.TrimPrefix(secure.URL, "https://"))
	tls, _ := strconv.Atoi(port)
	roots := x509.NewCertPool()
	roots.AddCert(secure.Certificate())
	tests := []struct {
		source string
		want   fault.Kind
		hits   int64
	}{
		{base + "/go?to=/picture", "", 2},
		{base + "/go?to=picture%23fragment", "", 2},
		{base + "/count?n=3", "", 4},
		{base + "/count?n=4", fault.TooManyRedirects, 4},
		{base + "/go?to=/go%3Fto=/go", fault.SourceError, 3},
		{base + "/none", fault.SourceError, 1},
		{base + "/go?to=http://[bad/", fault.SourceError, 1},
		{base + "/go?to=http://169.254.169.254/latest/meta-data/", fault.AddressBlocked, 1},
		{base + "/go?to=http://[::ffff:a9fe:a9fe]/", fault.AddressBlocked, 1},
		{base + "/go?to=http://0x7f000001/", fault.AddressBlocked, 1},
		{base + "/go?to=file:///etc/passwd", fault.SourceNotAllowed, 1},
		{base + "/go?to=" + trap, fault.SourceNotAllowed, 1}, // another port
		{base + "/go?to=http://user@127.0.0.1:" + strconv.Itoa(own), fault.SourceNotAllowed, 1},
		{base + "/go?to=http://other.example/", fault.SourceNotAllowed, 1},
		{secure.URL + "/?to=" + base + "/picture", fault.SourceNotAllowed, 0},
	}
	for _, tt := range tests {
		c := newClient(t, Hooks{RootCAs: roots}, func(cfg *Config) {
			cfg.Ports = []int{own, tls, 80}
			cfg.Allow = []string{"127.0.0.1", "169.254.169.254"}
		})
		hits.Store(0)
		_, err := get(t, c, tt.source)
		wantKind(t, err, tt.want)
		if hits.Load() != tt.hits {
			t.Errorf("%s: %d requests, want %d", tt.source, hits.Load(), tt.hits)
		}
		if err != nil && strings.Contains(fault.Of(err).Public, "169.254") {
			t.Errorf("the public text names an address: %v", err)
		}
	}
	if trapped.Load() != 0 {
		t.Error("the trap was reached")
	}
}

func TestFault12TypedByBytes(t *testing.T) {
	tests := []struct {
		name string
		body []byte
		want fault.Kind
	}{
		{"a.jpg", []byte("<!DOCTYPE html><title>x</title>"), fault.NotAnImage},
		{"b.png", []byte("8BPS\x00\x01"), fault.UnsupportedFormat},
		{"c.html", smallPNG(t), ""},
		{"d.jpg", nil, fault.NotAnImage},
		{"e.jpg", []byte{0xff}, fault.NotAnImage},
		{"f.jpg", bytes.Repeat([]byte{0}, 4096), fault.NotAnImage},
		{"g.jpg", append(smallJPEG(t), "<html><script>"...), ""},
	}
	for _, name := range []string{"error-page.jpg", "access-denied.png", "json-error.webp", "libvips-truncated.svgz"} {
		if body, err := os.ReadFile(corpusPath("hostile", name)); err == nil {
			tests = append(tests, struct {
				name string
				body []byte
				want fault.Kind
			}{name, body, fault.NotAnImage})
		}
	}
	for _, tt := range tests {
		base, hits := serve(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "image/jpeg")
			_, _ = w.Write(tt.body)
		})
		_, err := get(t, newClient(t, Hooks{}, nil), base+"/"+tt.name)
		if got := fault.KindOf(err); got != tt.want || hits.Load() != 1 {
			t.Errorf("%s: fault = %q (%v) after %d requests, want %q", tt.name, got, err, hits.Load(), tt.want)
		}
	}
}
