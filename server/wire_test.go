package server

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net"
	"strings"
	"testing"

	"github.com/goldcrest/goldcrest/cache"
)

// TestWireKeepsTheStream asks for bodies around the sizes of net/http's buffers, several times on one connection, all
// requests sent before the first answer is read: whatever is missing or too much shows in the answer after it.
func TestWireKeepsTheStream(t *testing.T) {
	for _, size := range []int{0, 1, 2047, 2048, 2049, 3700, 3800, 3900, 4000, 4095, 4096, 4097, 8192, 30_000, 1 << 20} {
		s := newSocket(t, nil)
		want := bytes.Repeat([]byte("0123456789abcdef"), size/16+1)[:size]
		s.change = func(e *cache.Entry) { e.Body = want }
		url := s.url("f:webp", photo)
		s.ask("GET", url)
		c, err := net.Dial("tcp", s.addr)
		if err != nil {
			t.Fatal(err)
		}
		kinds := []string{"GET", "GET", "HEAD", "304", "GET", "POST", "GET"}
		var all []byte
		for _, kind := range kinds {
			method, condition := kind, "B: c"
			if kind == "304" {
				method, condition = "GET", "If-None-Match: "+testETag
			}
			all = append(all, request(method, url, "HTTP/1.1", condition)...)
		}
		go c.Write(all) //nolint:errcheck // the reader below notices
		r := bufio.NewReader(c)
		for i, kind := range kinds {
			res, body := s.read(r, strings.Replace(kind, "304", "GET", 1))
			switch {
			case kind == "GET" && (res.StatusCode != 200 || !bytes.Equal(body, want)):
				t.Errorf("size %d, answer %d: status %d, %d bytes", size, i, res.StatusCode, len(body))
			case kind == "HEAD" && (res.ContentLength != int64(size) || len(body) != 0), kind == "304" && res.StatusCode != 304, kind == "POST" && res.StatusCode != 405:
				t.Errorf("size %d, answer %d to %s: %v", size, i, kind, res)
			}
		}
		if n := s.recalls.Load(); n < 4 {
			t.Errorf("size %d: %d recalls", size, n)
		}
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestWireLeavesTheConnectionToHTTP(t *testing.T) {
	s := newSocket(t, nil)
	url := s.url("f:webp", photo)
	s.ask("GET", url)
	for _, tc := range []struct {
		protocol, header, line, connection string
		open                               bool
	}{
		{"HTTP/1.1", "B: c", "HTTP/1.1 200 OK", "", true},
		{"HTTP/1.1", "Connection: close", "HTTP/1.1 200 OK", "close", false},
		{"HTTP/1.0", "B: c", "HTTP/1.0 200 OK", "", false},
		{"HTTP/1.0", "Connection: keep-alive", "HTTP/1.0 200 OK", "keep-alive", true},
	} {
		c, err := net.Dial("tcp", s.addr)
		if err != nil {
			t.Fatal(err)
		}
		r := bufio.NewReader(c)
		if _, err := c.Write(request("GET", url, tc.protocol, tc.header)); err != nil {
			t.Fatal(err)
		}
		line, err := r.ReadString('\n')
		if err != nil || strings.TrimSpace(line) != tc.line {
			t.Errorf("%+v: %q, %v", tc, line, err)
		}
		res, body := s.read(bufio.NewReader(io.MultiReader(strings.NewReader(line), r)), "GET")
		if got := res.Header.Get("Connection"); got != tc.connection && !(tc.connection == "close" && res.Close) || len(body) != 1000 {
			t.Errorf("%+v: Connection %q, %d bytes", tc, got, len(body))
		}
		if !tc.open {
			if _, err := r.ReadByte(); !errors.Is(err, io.EOF) {
				t.Errorf("%+v: the connection is open: %v", tc, err)
			}
		}
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	}
}
