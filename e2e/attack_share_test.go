package e2e

import (
	"bytes"
	"context"
	"fmt"
	"image"
	"image/jpeg"
	"image/png"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// lines is a picture of lines.
func lines(w, h int) image.Image {
	img := image.NewGray(image.Rect(0, 0, w, h))
	for i := range img.Pix {
		img.Pix[i] = uint8(i*i/w + i%w/3)
	}
	return img
}

// dots is a picture of dots of all colours; each call returns the same picture.
func dots(w, h int) image.Image {
	img := image.NewRGBA(image.Rect(0, 0, w, h))
	some := rand.NewChaCha8([32]byte{})
	_, _ = some.Read(img.Pix)
	return img
}

// TestAttackCostlyButLegal is attack 2.2 with originals that keep every limit but take a worker long for each variant:
// a PNG of 49 megapixels, and GIFs of a JPEG of 12, whose cost is not visible. Four connections request ever new
// variants of one. Misses of other sources take nearly as long as without them, from the first variant on, since they
// have the other workers.
func TestAttackCostlyButLegal(t *testing.T) {
	corpus(t)
	var large, many bytes.Buffer
	if err := (&png.Encoder{CompressionLevel: png.BestSpeed}).Encode(&large, lines(7000, 7000)); err != nil {
		t.Fatal(err)
	}
	if err := jpeg.Encode(&many, dots(4000, 3000), nil); err != nil {
		t.Fatal(err)
	}
	for name, attack := range map[string]struct {
		body    []byte
		options string
	}{
		"a large PNG":  {large.Bytes(), "w:1000/cb:%d/f:jpg"},
		"GIFs of dots": {many.Bytes(), "w:400/cb:%d/f:gif"},
	} {
		t.Run(name, func(t *testing.T) {
			costly := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(attack.body) }))
			defer costly.Close()
			o := startOrigin(t)
			s := start(t)
			misses := func(from, n int) (p50, slowest time.Duration) { return s.misses(o, from, n) }
			misses(0, 5)
			before, _ := misses(100, 40)
			stop := make(chan struct{})
			var asked, made atomic.Int64
			var answered atomic.Int64
			var asking, first sync.WaitGroup
			first.Add(4)
			for range 4 {
				asking.Go(func() {
					told := sync.OnceFunc(first.Done)
					for {
						select {
						case <-stop:
							return
						default:
						}
						path := signed(fmt.Sprintf(attack.options, asked.Add(1)), costly.URL+"/x")
						told()
						begun := time.Now()
						a, err := request("GET", s.public+path)
						if err == nil && a.StatusCode == http.StatusServiceUnavailable { // With Retry-After of at least 1.
							select {
							case <-stop:
							case <-time.After(time.Second):
							}
							continue
						}
						if err != nil || a.StatusCode != http.StatusOK {
							t.Logf("a variant: %v, %v", a.Response, err)
							return // Failures are remembered: to continue would be another attack.
						}
						made.Add(1)
						answered.Store(max(answered.Load(), int64(time.Since(begun))))
					}
				})
			}
			first.Wait()
			beside, slowest := misses(1000, 100)
			close(stop)
			asking.Wait()
			ratio := float64(beside) / float64(before)
			t.Logf("%d of %d variants made, the slowest answered in %v; p50 of other misses %v, before %v: %.2f times; the slowest %v",
				made.Load(), asked.Load(), time.Duration(answered.Load()), beside, before, ratio, slowest)
			if made.Load() == 0 {
				t.Error("nothing was made for those who ask for the costly original")
			}
			if ratio > 4 || slowest > 3*time.Second { // One variant of the costly original takes seconds.
				t.Errorf("other misses took %.2f times as long, the slowest %v", ratio, slowest)
			}
		})
	}
}

// misses requests n new pictures, one after another, and returns how long that took.
func (s *server) misses(o *origin, from, n int) (p50, slowest time.Duration) {
	s.t.Helper()
	var took []time.Duration
	for i := range n {
		begun := time.Now()
		if a := s.get(signed("w:800/f:jpg", fmt.Sprintf("%s/alias/%d/groceries.jpg", o.URL, from+i))); a.StatusCode != 200 {
			s.t.Fatalf("a miss of others: %d %s", a.StatusCode, a.body)
		}
		took = append(took, time.Since(begun))
	}
	slices.Sort(took)
	return took[n/2], took[n-1]
}

// processorTime is the processor time of the server process itself.
func (s *server) processorTime() time.Duration {
	s.t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", s.cmd.Process.Pid))
	if err != nil {
		s.t.Fatal(err)
	}
	fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
	var user, system int64
	if _, err := fmt.Sscan(fields[11]+" "+fields[12], &user, &system); err != nil {
		s.t.Fatal(err)
	}
	return time.Duration(user+system) * 10 * time.Millisecond // USER_HZ is 100 on every Linux.
}

// TestAttackSelectors is attack 2.3: bodies of a few hundred bytes whose selectors took seconds of a core, even after
// the caller had left. They are refused, or aborted after a bounded number of steps; they also end when the caller
// leaves.
func TestAttackSelectors(t *testing.T) {
	s := start(t, prewarmEnv...)
	list := func(n int, value string) string { return "[" + strings.Repeat(value+",", n) + value + "]" }
	const most = 3 * time.Second // of processor time, each; they took 4.3 and 29.
	spend := func(what string, attack func()) {
		t.Helper()
		before := s.processorTime()
		attack()
		took := s.processorTime() - before
		t.Logf("%s: %v of a processor", what, took)
		if took > most {
			t.Errorf("%s: %v of a processor, want at most %v", what, took, most)
		}
	}
	repeats := zipped(t, `{"select":["$.a[?search(@, '(x{1,31}){1,31}z')]"],"data_units":[{"a":`+list(500, `"`+strings.Repeat("x", 400)+`"`)+`}]}`)
	words := zipped(t, `{"select":["$.a[?search(@, '(x|y|xy){200}z')]"],"data_units":[{"a":`+list(500, `"`+strings.Repeat("x", 400)+`"`)+`}]}`)
	nodes := zipped(t, `{"select":["$.a[?$.b==$.c]"],"data_units":[{"a":`+list(5000, "0")+`,"b":`+list(100_000, "1")+`,"c":`+list(100_000, "1")+`}]}`)
	for what, body := range map[string][]byte{"a nested counted repetition": repeats, "a large program": words, "two large nodes": nodes} {
		spend(what, func() {
			a := s.call("POST", "/v1/prewarm", string(body), "Content-Encoding", "gzip")
			t.Logf("%s: %d bytes in, %d: %.200s", what, len(body), a.StatusCode, a.body)
			if !strings.Contains(string(a.body), `"code":"bad_selector"`) {
				t.Errorf("%s: %d %.300s", what, a.StatusCode, a.body)
			}
		})
	}
	spend("twenty callers who leave", func() {
		for range 20 {
			ctx, leave := context.WithCancel(t.Context())
			r, err := http.NewRequestWithContext(ctx, "POST", s.admin+"/v1/prewarm", &leaving{body: bytes.NewReader(nodes), leave: leave})
			if err != nil {
				t.Fatal(err)
			}
			r.ContentLength = int64(len(nodes))
			r.Header.Set("Content-Encoding", "gzip")
			r.Header.Set("Authorization", "Bearer "+backendToken)
			if a, err := http.DefaultClient.Do(r); err == nil {
				a.Body.Close()
			}
		}
		if a := s.call("POST", "/v1/prewarm?variants=w:60", `{"photo": "https://c.example/a.jpg"}`); a.StatusCode != http.StatusAccepted {
			t.Errorf("a call after them: %d %s", a.StatusCode, a.body)
		}
	})
}

// leaving is a body whose sender leaves when all of it is sent.
type leaving struct {
	body  *bytes.Reader
	leave func()
}

// Read implements io.Reader.
func (l *leaving) Read(p []byte) (int, error) {
	n, err := l.body.Read(p)
	if l.body.Len() == 0 {
		l.leave()
	}
	return n, err
}
