package migrate

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/goldcrest/goldcrest/signing"
	"github.com/goldcrest/goldcrest/variant"
)

func TestTarget(t *testing.T) {
	const want = "/sig/w:5/plain/http://a/b.jpg"
	for _, line := range []string{
		want, "  " + want + " ", "https://img.example" + want,
		`10.0.0.1 - - [30/Nov/2026:10:00:00 +0000] "GET ` + want + ` HTTP/1.1" 200 512 "-" "curl/8"`,
		`INFO    [2026-11-30T10:00:00Z] Started ` + want + ` request_id=x method=GET client_ip=::1`,
		`{"level":"info","msg":"access","path":"` + want + `","status":200}`,
		`{"time":"x","request":"GET ` + want + ` HTTP/2.0","status":"200"}`,
		`{"message":"Started ` + want + `"}`,
		`2026-11-30 10:00:00 tornado.access:INFO 200 GET ` + want + ` (127.0.0.1) 12.34ms`,
		`"HEAD https://img.example` + want + ` HTTP/1.1" 200`,
	} {
		if got := Target(line); got != want {
			t.Errorf("%s: %q", line, got)
		}
	}
	for _, line := range []string{"", "#comment", "started", `{"status":200}`, `{"path":`, `"POST /x HTTP/1.1"`, "a b c"} {
		if got := Target(line); got != "" {
			t.Errorf("%s: %q, want none", line, got)
		}
	}
}

func judge(t *testing.T) (Judge, func(path string) string) {
	t.Helper()
	p, err := variant.NewParser(map[string]string{"lite": "w:480"}, false)
	if err != nil {
		t.Fatal(err)
	}
	keys, err := signing.New(signing.Config{Keys: []signing.Key{{Key: strings.Repeat("ab", 32)}}}, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	return Judge{Grammar: Imgproxy, Parser: p, Keys: keys, Prefix: "/i"}, func(path string) string {
		signed, err := keys.Sign("", path)
		if err != nil {
			t.Fatal(err)
		}
		return "/i" + signed
	}
}

// report reads lines and returns the printed report.
func report(t *testing.T, j Judge, lines ...string) string {
	t.Helper()
	r, err := Read(strings.NewReader(strings.Join(lines, "\n")), j)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	r.Print(&out)
	return out.String()
}

// Requests for documents are judged separately: they have other options.
func TestReportOfInfo(t *testing.T) {
	j, sign := judge(t)
	info := func(path string) string { return "/i/info" + strings.TrimPrefix(sign(path), "/i") }
	const path = "/s:1/f:1/plain/http://a/b.jpg"
	got := report(t, j, info(path), info("/exif:1/plain/http://a/b.jpg"), sign(path))
	for _, want := range []string{
		"1  /info tells the same", `option "exif" is not supported by /info`, `option "f": the format`,
	} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
}

// Originals are sent as they are only where the configuration allows it.
func TestReportOfRaw(t *testing.T) {
	j, sign := judge(t)
	lines := []string{sign("/raw:1/plain/http://a/b.jpg"), sign("/skp:jpg/plain/http://a/b.jpg@jpg")}
	if got := report(t, j, lines...); !strings.Contains(got, "1  the original is sent as it is") ||
		!strings.Contains(got, "as it is  100.0%         2") {
		t.Error(got)
	}
	var err error
	if j.Parser, err = j.Parser.Under(variant.Policy{NoRaw: true}); err != nil {
		t.Fatal(err)
	}
	if got := report(t, j, lines...); !strings.Contains(got, `1  option "raw" is not supported`) ||
		!strings.Contains(got, `1  option "skip_processing" is not supported`) {
		t.Error(got)
	}
}

// Metadata are kept only where the configuration allows it, and never all.
func TestReportOfMetadata(t *testing.T) {
	j, sign := judge(t)
	lines := []string{sign("/sm:0/f:jpg/plain/http://a/b.jpg"), sign("/kcr:1/plain/http://a/b.jpg@avif")}
	if got := report(t, j, lines...); !strings.Contains(got, "1  of the metadata, copyright and artist alone") ||
		!strings.Contains(got, "1  copyright and colour profiles are kept in jpg, png and webp only") {
		t.Error(got)
	}
	var err error
	if j.Parser, err = j.Parser.Under(variant.Policy{NoMetadata: true}); err != nil {
		t.Fatal(err)
	}
	if got := report(t, j, lines...); !strings.Contains(got, "2  metadata and colour profiles are always removed") {
		t.Error(got)
	}
}

// Each request counts once, with its share, under the outcome that a server with the same settings would have.
func TestReport(t *testing.T) {
	j, sign := judge(t)
	got := report(t, j,
		sign("/w:5/plain/http://a/b.jpg@webp"), sign("/pr:lite/f:jpg/plain/http://a/c.jpg"), sign("/exp:1/f:jpg/plain/http://a/c.jpg"),
		sign("/w:5/plain/http://a/b.jpg?secret=1"), sign("/w:5/plain/http://a/b.jpg"),
		sign("/unheard:1/plain/http://a/b.jpg"), sign("/unheard:1/plain/http://a/c.jpg"), "/i/unsafe/w:5/plain/http://a/b.jpg",
		"/favicon.ico", "not a request",
	)
	want := `8 requests for images; 2 other lines
as it is   37.5%         3
   25.0%         2  the URL names its format
   12.5%         1  expired URLs are refused, as before
differs    25.0%         2
   25.0%         2  the format is negotiated where the URL names none`
	if !strings.HasPrefix(got, want) || strings.Contains(got, "secret") {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	for _, line := range []string{
		"refused    37.5%         3\n   25.0%         2  option \"unheard\" is not supported",
		"   12.5%         1  the URL is not signed, or its signature is wrong\n                    such as /unsafe/w:5/",
	} {
		if !strings.Contains(got, line) {
			t.Errorf("%q is not in\n%s", line, got)
		}
	}
}

// Anybody can put a path into an access log.
func TestReportDoesNotControlTheTerminal(t *testing.T) {
	j, _ := judge(t)
	j.Keys, j.Prefix = nil, ""
	got := report(t, j, "/unsafe/w:\x1b[2J/plain/https://c.example/a.jpg")
	if strings.Contains(got, "\x1b") || !strings.Contains(got, `/unsafe/w:\u001b[2J/plain/`) {
		t.Errorf("got %q", got)
	}
}

func TestReportWithoutKeys(t *testing.T) {
	j, _ := judge(t)
	j.Keys, j.Prefix = nil, ""
	got := report(t, j, "/unsafe/w:5/plain/http://a/b.jpg@png", "/x/w:5/aHR0cDovL2E.jpg?x=1")
	if !strings.Contains(got, "as it is  100.0%         2") {
		t.Error(got)
	}
}

func TestReportOfThumbor(t *testing.T) {
	j, _ := judge(t)
	j.Grammar, j.Prefix = Thumbor, ""
	got := report(t, j,
		"/unsafe/300x200/smart/example.com/a.jpg",
		"/abc=/fit-in/300x200/filters:quality(80)/https%3A%2F%2Fexample.com%2Fa.jpg",
		"/unsafe/300x200/filters:grayscale()/example.com/a.jpg", "/unsafe/filters:quality(500)/example.com/a.jpg",
	)
	for _, line := range []string{
		"differs    50.0%         2", `1  "grayscale()" of thumbor has no counterpart`, "refused    50.0%         2",
	} {
		if !strings.Contains(got, line) {
			t.Errorf("%q is not in\n%s", line, got)
		}
	}
}

// If the configuration has their key, thumbor's URLs are answered unchanged, below another path.
func TestReportOfThumborMounted(t *testing.T) {
	j, _ := judge(t)
	keys, err := signing.New(signing.Config{
		Keys:    []signing.Key{{Key: strings.Repeat("ab", 32)}},
		Thumbor: signing.Thumbor{Key: "a-secret-of-20-chars", Algorithm: "sha1", Sources: []string{"example.com"}},
	}, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	j.Grammar, j.Prefix, j.Keys = Thumbor, "", keys
	var lines []string
	for _, path := range []string{
		"300x200/example.com/a.jpg", "300x200/example.org/a.jpg", "filters:grayscale()/example.com/a.jpg",
		"filters:watermark(example.org/m.png,0,0,0)/example.com/a.jpg",
	} {
		signed, err := keys.SignThumbor(path)
		if err != nil {
			t.Fatal(err)
		}
		lines = append(lines, signed)
	}
	got := report(t, j, append(lines, "/unsafe/300x200/example.com/a.jpg")...)
	for _, line := range []string{
		"1  it is answered below /thumbor", "2  the key may not be used for this source",
		"1  \"grayscale()\" of thumbor", "1  the URL is not signed",
	} {
		if !strings.Contains(got, line) {
			t.Errorf("%q is not in\n%s", line, got)
		}
	}
}

// A log with only different reasons takes bounded memory and gives a short report.
func TestReportIsBounded(t *testing.T) {
	j, _ := judge(t)
	j.Keys, j.Prefix = nil, ""
	r, err := Read(strings.NewReader(manyReasons()), j)
	if err != nil || r.Requests != 3*maxReasons || len(r.counts[Refused]) > maxReasons+1 {
		t.Fatalf("%d requests, %d reasons, %v", r.Requests, len(r.counts[Refused]), err)
	}
	var out bytes.Buffer
	r.Print(&out)
	if n := strings.Count(out.String(), "\n"); n > 2*maxTold+6 {
		t.Errorf("%d lines", n)
	}
}

// manyReasons is a log in which each request is refused for a different reason.
func manyReasons() string {
	var b strings.Builder
	for i := range 3 * maxReasons {
		b.WriteString("/x/" + strings.Repeat("q", i%50+1) + strings.Repeat("z", i/50+1) + ":1/plain/http://a/b\n")
	}
	return b.String()
}
