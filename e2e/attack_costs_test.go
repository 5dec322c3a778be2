package e2e

import (
	"bytes"
	"compress/gzip"
	endian "encoding/binary"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// zipped is a compressed body.
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

// TestAttackImagesTimesVariants is attack 2.1: small bodies that ask for a million variants, in the call or in one
// unit. They are refused before anything is built, and the largest accepted call stays within bounds.
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
	post("/v1/prewarm", large, 202, 200)
	post("/v1/prewarm?return=enriched", large, 202, 200)
}

// manyDirectories is a TIFF of one pixel whose first directory is followed by n more.
func manyDirectories(n int) []byte {
	le := endian.LittleEndian
	b := append([]byte("II*\x00"), 8, 0, 0, 0)
	for i := range n + 1 {
		entries := [][3]uint32{{256, 4, 1}, {257, 4, 1}, {258, 3, 8}, {259, 3, 1}, {262, 3, 1}, {273, 4, 0}, {277, 3, 1}, {278, 4, 1}, {279, 4, 1}}
		b = le.AppendUint16(b, uint16(len(entries)))
		for _, e := range entries {
			b = le.AppendUint16(le.AppendUint16(b, uint16(e[0])), uint16(e[1]))
			b = le.AppendUint32(le.AppendUint32(b, 1), e[2])
		}
		next := uint32(0)
		if i < n {
			next = uint32(len(b) + 4)
		}
		b = le.AppendUint32(b, next)
	}
	return b
}

// TestAttackCostlyPicture is attack 2.2: a TIFF of 260,000 directories, which would take a worker seconds. Four
// connections request ever new variants of it. It is fetched once and reaches no worker, and other misses take as long
// as before.
func TestAttackCostlyPicture(t *testing.T) {
	body := manyDirectories(260_000)
	var fetches atomic.Int64
	hostile := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fetches.Add(1)
		_, _ = w.Write(body)
	}))
	defer hostile.Close()
	corpus(t)
	o := startOrigin(t)
	s := start(t)
	misses := func(from int) (p50 time.Duration) {
		var took []time.Duration
		for i := range 15 {
			begun := time.Now()
			if a := s.get(signed("w:60/f:jpg", fmt.Sprintf("%s/alias/%d/groceries.jpg", o.URL, from+i))); a.StatusCode != 200 {
				t.Fatalf("a miss of others: %d %s", a.StatusCode, a.body)
			}
			took = append(took, time.Since(begun))
		}
		slices.Sort(took)
		return took[len(took)/2]
	}
	misses(0)
	before := misses(100)
	if a := s.get(signed("w:50/f:jpg", hostile.URL+"/x.tif")); a.StatusCode != 422 || a.Header.Get("X-Error") != "too_costly" {
		t.Fatalf("the picture: %d %s", a.StatusCode, a.Header.Get("X-Error"))
	}
	var asked atomic.Int64
	var asking sync.WaitGroup
	for range 4 {
		asking.Go(func() {
			for range 400 { // More would reach signing.rate, which other users of the key share.
				a, err := request("GET", s.public+signed(fmt.Sprintf("w:%d/f:jpg", 60+asked.Add(1)), hostile.URL+"/x.tif"))
				if err != nil || a.StatusCode != 422 {
					t.Errorf("the picture: %v, %v", a.Response, err)
					return
				}
			}
		})
	}
	beside := misses(200)
	asking.Wait()
	t.Logf("%d bytes asked for %d times: p50 of other misses %v, before %v", len(body), asked.Load(), beside, before)
	if n := fetches.Load(); n != 1 {
		t.Errorf("it was fetched %d times, want once", n)
	}
}
