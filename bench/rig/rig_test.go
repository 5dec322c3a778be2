package rig

import (
	"encoding/csv"
	"encoding/xml"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestTableHoldsFiguresAgainstTargets(t *testing.T) {
	var b strings.Builder
	PrintTable(&b, []Row{
		{What: "a", Ours: 90, Reference: 100, Unit: "1/s", Target: 0.8},
		{What: "b", Ours: 1.3, Reference: 1, Unit: "us", Target: 1.25, AtMost: true},
		{What: "c", Ours: 150, Unit: "MB", Target: 160, AtMost: true},
		{What: "d", Ours: 0.5, Unit: "ms"},
	})
	lines := strings.Split(strings.TrimSpace(b.String()), "\n")[2:]
	for i, want := range []string{"a 90.0 100 1/s 0.900 >= 0.80 met", "b 1.30 1.00 us 1.300 <= 1.25 MISSED", "c 150 - MB - <= 160 met", "d 0.50 - ms - -"} {
		if got := strings.Join(strings.Fields(lines[i]), " "); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func TestMedianAndQuantile(t *testing.T) {
	if got := Median([]float64{9, 1, 5}); got != 5 {
		t.Errorf("median of three: %v", got)
	}
	if got := Median([]float64{4, 1, 2, 9}); got != 3 {
		t.Errorf("median of four: %v", got)
	}
	var delays []time.Duration
	for i := range 100 {
		delays = append(delays, time.Duration(i+1)*time.Millisecond)
	}
	if p50, p99, p100 := Quantile(delays, 0.5), Quantile(delays, 0.99), Quantile(delays, 1); p50 != 51 || p99 != 100 || p100 != 100 || Quantile(nil, 0.5) != 0 {
		t.Errorf("quantiles %v, %v, %v", p50, p99, p100)
	}
}

func TestProcessorTimeAndMemoryOfThisProcess(t *testing.T) {
	for began := time.Now(); time.Since(began) < 50*time.Millisecond; {
		_ = strings.Repeat("x", 1000)
	}
	if cpu := FamilyCPU(os.Getpid()); cpu < 10*time.Millisecond || cpu > time.Hour {
		t.Errorf("processor time %v", cpu)
	}
	if pss := FamilyPSS(os.Getpid()); pss < 1<<20 || pss > 1<<34 {
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
	if n, err := ClosedLoop(addr, [][]byte{RawRequest("/a"), RawRequest("/b")}, 4, 50*time.Millisecond); n < 4 || err != nil {
		t.Errorf("%d answers, %v", n, err)
	}
	if delays, err := OpenLoop(addr, [][]byte{RawRequest("/a")}, 4, 1000, 50*time.Millisecond); len(delays) != 51 || err != nil {
		t.Errorf("%d answers, %v", len(delays), err)
	}
	if _, err := ClosedLoop(addr, [][]byte{RawRequest("/bad")}, 1, 10*time.Millisecond); err == nil {
		t.Error("a 418 is no error")
	}
}

func TestResultsAreKept(t *testing.T) {
	dir := t.TempDir()
	rows := []Row{
		{What: "hits <c=64>", Ours: 90, Reference: 100, Unit: "1/s", Target: 0.8}, {What: "p99", Ours: 12, Unit: "ms", Target: 10, AtMost: true},
		{What: "no target", Ours: 3, Unit: "MB"},
	}
	day := time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)
	if err := WriteResults(dir, "a machine, of two cores", day, rows); err != nil {
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
	b := &Bench{Work: t.TempDir()}
	if err := os.Chmod(filepath.Dir(b.Work), 0o755); err != nil { // The folders of a test are private, and nginx may run as another user.
		t.Fatal(err)
	}
	p, addr, requests, err := b.StartNginx(t.Context(), [][]byte{[]byte("one"), make([]byte, 30_000)}, "image/avif")
	if errors.Is(err, ErrSkipped) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	defer p.Stop()
	c, err := Dial(addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for i, want := range []int{3, 30_000} {
		if got, err := c.RoundTrip(requests[i]); got != want || err != nil {
			t.Errorf("body %d has %d bytes, want %d (%v)", i, got, want, err)
		}
	}
	if !strings.Contains(string(c.buf[:1000]), "Content-Type: image/avif") {
		t.Errorf("%.300q", c.buf)
	}
}
