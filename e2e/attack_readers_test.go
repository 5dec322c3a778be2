package e2e

import (
	"bytes"
	"fmt"
	"image/png"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// TestAttackAnswersNotRead is attack 1.3: as many connections as the public listener allows, each with a request for a
// large picture whose response is not read. They are closed because they are below the minimum rate, and others are
// served again.
func TestAttackAnswersNotRead(t *testing.T) {
	const places = 24
	o := startOrigin(t)
	var body bytes.Buffer
	if err := png.Encode(&body, static(2000, 1500)); err != nil {
		t.Fatal(err)
	}
	o.on("/large.png", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(body.Bytes()) })
	s := start(t, fmt.Sprintf("GOLDCREST_SERVER_CONNECTIONS=%d", places))
	path := signed("f:png", o.URL+"/large.png")
	large := s.get(path, "Connection", "close")
	if large.StatusCode != 200 || len(large.body) < 8<<20 {
		t.Fatalf("the picture: %d with %d bytes, want more than sockets buffer", large.StatusCode, len(large.body))
	}
	client.CloseIdleConnections()
	for range places {
		c, err := net.DialTimeout("tcp", strings.TrimPrefix(s.public, "http://"), 10*time.Second)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		_ = c.(*net.TCPConn).SetReadBuffer(4096)
		_, _ = io.WriteString(c, "GET "+path+" HTTP/1.1\r\nHost: x\r\n\r\n")
		if _, err := io.ReadFull(c, make([]byte, 12)); err != nil { // The response has begun.
			t.Fatal(err)
		}
	}
	begun := time.Now()
	within(t, 3*time.Minute, "others are served", func() bool {
		c := &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
		res, err := c.Get(s.public + "/health")
		if err == nil {
			res.Body.Close()
		}
		return err == nil
	})
	t.Logf("%d answers of %d bytes were not read; others were served after %v", places, len(large.body), time.Since(begun))
}
