package main

import (
	"bytes"
	"encoding/csv"
	"encoding/xml"
	"errors"
	"image/jpeg"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/goldcrest/goldcrest/client"
)

func TestTableHoldsFiguresAgainstTargets(t *testing.T) {
	var b strings.Builder
	printTable(&b, []row{
		{what: "a", ours: 90, reference: 100, unit: "1/s", target: 0.8},
		{what: "b", ours: 1.3, reference: 1, unit: "us", target: 1.25, atMost: true},
		{what: "c", ours: 150, unit: "MB", target: 160, atMost: true},
		{what: "d", ours: 0.5, unit: "ms"},
	})
	lines := strings.Split(strings.TrimSpace(b.String()), "\n")[2:]
	for i, want := range []string{"a 90.0 100 1/s 0.900 >= 0.80 met", "b 1.30 1.00 us 1.300 <= 1.25 MISSED", "c 150 - MB - <= 160 met", "d 0.50 - ms - -"} {
		if got := strings.Join(strings.Fields(lines[i]), " "); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func TestSlopeAndGrowth(t *testing.T) {
	var samples []sample
	for i := range 9 {
		samples = append(samples, sample{at: time.Duration(i) * 30 * time.Second, pss: 100 + 3*float64(i), files: float64(10 + i), threads: 7})
	}
	samples[6].pss = 60 // A worker is being replaced.
	rows := soakRows(samples, 4*time.Minute, 5)
	for i, want := range []float64{6, 4, 0, 0, 5, 124} {
		if got := rows[i].ours; got < want-1e-9 || got > want+1e-9 {
			t.Errorf("%s: %v, want %v", rows[i].what, got, want)
		}
	}
	if rows[0].verdict() != "MISSED" || rows[1].verdict() != "met" {
		t.Errorf("verdicts %s, %s", rows[0].verdict(), rows[1].verdict())
	}
}

func TestMedianAndQuantile(t *testing.T) {
	if got := median([]float64{9, 1, 5}); got != 5 {
		t.Errorf("median of three: %v", got)
	}
	if got := median([]float64{4, 1, 2, 9}); got != 3 {
		t.Errorf("median of four: %v", got)
	}
	var delays []time.Duration
	for i := range 100 {
		delays = append(delays, time.Duration(i+1)*time.Millisecond)
	}
	if p50, p99, p100 := quantile(delays, 0.5), quantile(delays, 0.99), quantile(delays, 1); p50 != 51 || p99 != 100 || p100 != 100 || quantile(nil, 0.5) != 0 {
		t.Errorf("quantiles %v, %v, %v", p50, p99, p100)
	}
}

func TestProcessorTimeAndMemoryOfThisProcess(t *testing.T) {
	for began := time.Now(); time.Since(began) < 50*time.Millisecond; {
		_ = strings.Repeat("x", 1000)
	}
	if cpu := familyCPU(os.Getpid()); cpu < 10*time.Millisecond || cpu > time.Hour {
		t.Errorf("processor time %v", cpu)
	}
	if pss := familyPSS(os.Getpid()); pss < 1<<20 || pss > 1<<34 {
		t.Errorf("PSS %d", pss)
	}
	if s, err := readStat(os.Getpid()); err != nil || s.parent != os.Getppid() {
		t.Errorf("%+v, %v", s, err)
	}
}

func TestLoopsCountAnswersAndNoticeErrors(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/bad" {
			w.WriteHeader(http.StatusTeapot)
			return
		}
		w.Header().Set("Content-Length", "10000")
		_, _ = w.Write(make([]byte, 10000)) // The client is in this test.
	}))
	defer srv.Close()
	addr := srv.Listener.(*net.TCPListener).Addr().String()
	if n, err := closedLoop(addr, [][]byte{rawRequest("/a"), rawRequest("/b")}, 4, 50*time.Millisecond); n < 4 || err != nil {
		t.Errorf("%d answers, %v", n, err)
	}
	if delays, err := openLoop(addr, [][]byte{rawRequest("/a")}, 4, 1000, 50*time.Millisecond); len(delays) != 51 || err != nil {
		t.Errorf("%d answers, %v", len(delays), err)
	}
	if _, err := closedLoop(addr, [][]byte{rawRequest("/bad")}, 1, 10*time.Millisecond); err == nil {
		t.Error("a 418 is no error")
	}
}

func TestResultsAreKept(t *testing.T) {
	dir := t.TempDir()
	rows := []row{
		{what: "hits <c=64>", ours: 90, reference: 100, unit: "1/s", target: 0.8}, {what: "p99", ours: 12, unit: "ms", target: 10, atMost: true},
		{what: "no target", ours: 3, unit: "MB"},
	}
	day := time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)
	if err := writeResults(dir, "a machine, of two cores", day, rows); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(filepath.Join(dir, "2026-03-04.csv"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	got, err := csv.NewReader(f).ReadAll()
	if err != nil || len(got) != 4 || got[1][6] != "0.9" || got[1][9] != "met" || got[2][9] != "MISSED" || got[3][1] != "a machine, of two cores" {
		t.Errorf("the table: %q (%v)", got, err)
	}
	picture, err := os.ReadFile(filepath.Join(dir, "2026-03-04.svg"))
	if err != nil {
		t.Fatal(err)
	}
	if err := xml.Unmarshal(picture, new(struct{})); err != nil {
		t.Errorf("the picture: %v", err)
	}
	for _, want := range []string{"hits &lt;c=64&gt;", ">1.12<", ">0.83<"} {
		if !strings.Contains(string(picture), want) {
			t.Errorf("the picture lacks %q", want)
		}
	}
	if strings.Contains(string(picture), "no target") {
		t.Error("the picture draws a figure without a target")
	}
}

func TestNginxServesTheSameBodies(t *testing.T) {
	b := &bench{work: t.TempDir()}
	if err := os.Chmod(filepath.Dir(b.work), 0o755); err != nil { // The folders of a test are private, and nginx may run as another user.
		t.Fatal(err)
	}
	p, addr, requests, err := b.startNginx(t.Context(), [][]byte{[]byte("one"), make([]byte, 30_000)}, "image/avif")
	if errors.Is(err, errSkipped) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	defer p.stop()
	c, err := dial(addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for i, want := range []int{3, 30_000} {
		if got, err := c.roundTrip(requests[i]); got != want || err != nil {
			t.Errorf("body %d has %d bytes, want %d (%v)", i, got, want, err)
		}
	}
	if !strings.Contains(string(c.buf[:1000]), "Content-Type: image/avif") {
		t.Errorf("%.300q", c.buf)
	}
}

func TestFirstAnswerWaitsForItsServer(t *testing.T) {
	asked := 0
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if asked++; asked < 3 {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		w.Header().Set("Content-Length", "2")
		_, _ = w.Write([]byte("ok")) // The client is in this test.
	}))
	defer srv.Close()
	p, addr := &process{done: make(chan struct{})}, srv.Listener.(*net.TCPListener).Addr().String()
	took, err := firstAnswer(t.Context(), p, addr, rawRequest("/"), time.Now().Add(-time.Second))
	if took < 1000 || err != nil || asked != 3 {
		t.Errorf("%v ms and %d requests, %v", took, asked, err)
	}
}

func TestMiddleLeavesBeginAndEndOut(t *testing.T) {
	began := time.Now()
	var times []time.Time
	for i := range 10 {
		at := time.Duration(i) * 100 * time.Millisecond
		if i >= 9 {
			at += time.Hour
		}
		times = append(times, began.Add(at))
	}
	if got := middle(times); got < 9.99 || got > 10.01 {
		t.Errorf("%v a second, want 10", got)
	}
	if got := middle(times[:1]); got != 0 {
		t.Errorf("%v a second of one", got)
	}
}

// Each version of a picture is distinguishable from the others after two encodes.
func TestVersionOfPictureSurvivesTwoEncodes(t *testing.T) {
	c := &chaos{sources: []*chaosSource{{}}}
	for version := range int64(maxVersion + 1) {
		c.sources[0].version.Store(version)
		w := httptest.NewRecorder()
		c.picture(w, httptest.NewRequest("GET", "/0.jpg", nil))
		img, err := jpeg.Decode(w.Body)
		if err != nil {
			t.Fatal(err)
		}
		var again bytes.Buffer
		if err := jpeg.Encode(&again, img, &jpeg.Options{Quality: 60}); err != nil {
			t.Fatal(err)
		}
		if img, err = jpeg.Decode(&again); err != nil || versionOf(img) != version {
			t.Errorf("version %d is told as %d (%v)", version, versionOf(img), err)
		}
	}
}

// A run that finds a verdict without its picture, or one too many, reports it.
func TestChaosTellsBrokenPromises(t *testing.T) {
	c := &chaos{sources: []*chaosSource{{url: "a"}, {n: 1, url: "b"}, {n: 2, url: "purged since"}}}
	at := time.Now()
	c.sources[2].quiet.Store(at.UnixNano())
	var verdicts []client.Verdict
	for _, s := range c.sources {
		verdicts = append(verdicts, client.Verdict{Source: s.url, Name: "j", State: "made", At: at})
	}
	c.checkVerdicts(verdicts, map[variantOf]bool{{"a", chaosVariants[0].Options}: true})
	c.checkHit(0, c.sources[1], hitInMemory)
	c.count.fetches.Store(1)
	c.checkCauses()
	if err := c.verdict(7); err == nil || c.wrong != 3 || c.count.judged.Load() != 2 || c.count.unjudged.Load() != 1 || !strings.Contains(err.Error(), "seed 7") {
		t.Errorf("%v; %d judged, %d not", err, c.count.judged.Load(), c.count.unjudged.Load())
	}
}
