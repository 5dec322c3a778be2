package e2e

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"strings"
	"testing"
)

// zipped is a body as it goes over the wire.
func zipped(t *testing.T, text string) []byte {
	t.Helper()
	var b bytes.Buffer
	z, err := gzip.NewWriterLevel(&b, gzip.BestCompression)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(z, strings.NewReader(text)); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// TestAttackImagesTimesVariants is attack 2.1: small bodies that ask for a million variants, by the call or by one unit of it. They are
// refused before anything is built; the largest call that is taken keeps within bounds as well.
func TestAttackImagesTimesVariants(t *testing.T) {
	s := start(t, prewarmEnv...)
	list := func(n int, format string) string {
		var items []string
		for i := range n {
			items = append(items, fmt.Sprintf(format, i))
		}
		return "[" + strings.Join(items, ",") + "]"
	}
	sources := func(n int) string { return list(n, `"https://c.example/%d.jpg"`) }
	widths := list(21, `"w:1%02d/f:webp"`)
	attack := zipped(t, `{"variants":`+widths+`,"data_units":[{"images":`+sources(50_000)+`}]}`)
	unit := zipped(t, `{"variants":["w:60"],"data_units":[{"id":"x","data":{"images":`+sources(50_000)+`},"variants":`+widths+`}]}`)
	large := zipped(t, `{"variants":["w:60/f:jpg","w:61/f:jpg","w:62/f:jpg","w:63/f:jpg"],"data_units":[{"images":`+sources(50_000)+`}]}`)
	post := func(path string, body []byte, status int, most int64) {
		t.Helper()
		before := s.peakMemory()
		a := s.call("POST", path, string(body), "Content-Encoding", "gzip")
		grown := s.peakMemory() - before
		t.Logf("%s: %d bytes in, %d with %d bytes out; peak memory grew by %d MB to %d MB", path, len(body), a.StatusCode, len(a.body), grown>>20, s.peakMemory()>>20)
		if a.StatusCode != status {
			t.Errorf("%s: status %d, want %d: %.200s", path, a.StatusCode, status, a.body)
		}
		if grown > most<<20 {
			t.Errorf("%s: memory grew by %d MB", path, grown>>20)
		}
	}
	for _, path := range []string{"/v1/prewarm", "/v1/check"} {
		post(path, attack, 413, 200)
		post(path, unit, 413, 200)
	}
	post("/v1/check", large, 200, 200)
	post("/v1/prewarm", large, 202, 700) // All of it is in memory until it is on disk.
}
