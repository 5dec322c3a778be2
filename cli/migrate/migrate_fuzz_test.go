package migrate

import (
	"io"
	"strings"
	"testing"

	"github.com/goldcrest/goldcrest/variant"
)

// FuzzRead holds that each line of a log counts once, and that what is found in a line is a target, which is found
// again in itself and in a request line around it.
func FuzzRead(f *testing.F) {
	for _, line := range []string{
		`/unsafe/w:300/plain/https://example.com/a.jpg`, `https://img.example/s/w:1/eA?x`, `{"path":"/s/w:1/eA"}`,
		`1.2.3.4 - - [d] "GET /s/w:1/eA HTTP/1.1" 200 5`, `INFO Started /s/w:1/eA request_id=5`,
		`{"msg":"{\"path\":1}"}`,
	} {
		f.Add(line)
	}
	parser, err := variant.NewParser(nil, false)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, text string) {
		for _, grammar := range []string{Imgproxy, Thumbor} {
			report, err := Read(strings.NewReader(text), Judge{Grammar: grammar, Parser: parser})
			if lines := strings.Count(text, "\n") + 1; err != nil || report.Requests+report.Other > lines {
				t.Fatalf("%d requests and %d others of %d lines, %v", report.Requests, report.Other, lines, err)
			}
			judged := 0
			for _, reasons := range report.counts {
				for why, r := range reasons {
					if judged += r.requests; why == "" || strings.Contains(r.example, "?") {
						t.Fatalf("%q, such as %q", why, r.example)
					}
				}
			}
			if report.Print(io.Discard); judged != report.Requests {
				t.Fatalf("%d of %d requests are judged", judged, report.Requests)
			}
		}
		target := Target(text)
		if target == "" {
			return
		}
		if !strings.HasPrefix(target, "/") || Target(target) != target {
			t.Fatalf("%q has the target %q, and that %q", text, target, Target(target))
		}
		odd := func(c rune) bool { return c <= ' ' || c > '~' || c == '"' }
		if target == "/" || strings.ContainsFunc(target, odd) {
			return
		}
		if found := Target(`1.2.3.4 - - "GET ` + target + ` HTTP/1.1" 200`); found != target {
			t.Fatalf("%q becomes %q in a request line", target, found)
		}
	})
}
