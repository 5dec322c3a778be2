package server

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"unicode"

	"github.com/goldcrest/goldcrest/fault"
	"github.com/goldcrest/goldcrest/pipeline"
	"github.com/goldcrest/goldcrest/variant"
)

func TestOneLinePerRequestInPhaseOrder(t *testing.T) {
	f := newFixture(t, nil)
	f.images.onGet = func(_ context.Context, ref variant.Ref) (pipeline.Answer, error) {
		return pipeline.Answer{Entry: testEntry(ref), Outcome: pipeline.Miss, Timings: pipeline.Timings{Lookup: 1e6, Fetch: 2e6, Transform: 3e6}}, nil
	}
	f.do("GET", f.url("w:480/f:webp", photo+"?token=s3cret"), "X-Request-Id: r-7")
	line := f.log.String()
	for _, want := range []string{
		`"level":"INFO"`, `"id":"r-7","door":"public","method":"GET","status":200,"bytes":1000`, `"options":"w:480/f:webp"`, `"source_host":"photos.example"`,
		`"outcome":"miss","format":"webp"`, `"lookup_ms":1,"fetch_ms":2,"transform_ms":3`,
	} {
		if !strings.Contains(line, want) {
			t.Errorf("no %s in %s", want, line)
		}
	}
	if strings.Count(line, "\n") != 1 || strings.Contains(line, "cat.jpg") {
		t.Errorf("log: %s", line)
	}
}

func TestLevelsFollowTheStatus(t *testing.T) {
	for kind, want := range map[fault.Kind]string{fault.Internal: "ERROR", fault.SourceError: "WARN", fault.SourceNotFound: "INFO", fault.Overloaded: "WARN"} {
		f := newFixture(t, nil)
		f.images.onGet = failing(fault.New(kind, "test.Op", "said", errors.New("cause")))
		f.do("GET", f.url("", photo))
		if got := f.log.String(); !strings.Contains(got, `"level":"`+want+`"`) || strings.Contains(got, "cause") != (want != "INFO") {
			t.Errorf("%s: %s", kind, got)
		}
	}
	f := newFixture(t, nil)
	f.do("GET", "/health")
	if got := f.log.String(); !strings.Contains(got, `"level":"DEBUG"`) || !strings.Contains(got, `"route":"/health"`) {
		t.Errorf("health: %s", got)
	}
}

// injections are texts that must stay inside one log value and one header value.
var injections = []string{
	"%0d%0aSet-Cookie:%20a=b", "a\r\nSet-Cookie: a=b", "\u2028level=ERROR", "\u2029", `"} {"level":"ERROR"`, `' or "`, "\x00\x1b[31m", "\xff\xfe", "a\tb",
	"%E2%80%A8", "%22%7D", strings.Repeat("x", 5000),
}

func TestFault33LogAndHeaderInjection(t *testing.T) {
	for _, text := range injections {
		f := newFixture(t, nil)
		requests := []*httptest.ResponseRecorder{
			f.do("GET", "/"+text+"/w:1/"+encode(photo)),
			f.do("GET", f.url("w:"+text, photo)),
			f.do("GET", f.url("fn:"+encode(text)+":1/att:1", photo)),
			f.do("GET", f.url("ct:"+text, photo)),
			f.do("GET", f.url("", "http://photos.example/"+text+".jpg")),
			f.do("GET", f.url("", "http://"+text+"/a.jpg")),
			f.do("GET", f.url("", photo), "X-Request-Id: "+text, "Origin: "+text, "Accept: "+text, "Via: "+text),
			f.do(strings.Map(method, text)+"X", f.url("", photo)),
			f.private("GET", "/v1/explain/"+text, "", "Authorization: Bearer "+text, "X-Request-Id: "+text),
			f.private("GET", "/healthz", "", "Host: "+text),
		}
		for i, w := range requests {
			for name, values := range w.Header() {
				for _, v := range values {
					if name == "Set-Cookie" || strings.ContainsFunc(v, func(r rune) bool { return unicode.IsControl(r) || r == '\u2028' || r == unicode.ReplacementChar }) {
						t.Errorf("request %d with %.20q: header %s: %q", i, text, name, v)
					}
				}
			}
			if id := w.Header().Get("X-Request-Id"); id == text || len(id) != 36 {
				t.Errorf("request %d with %.20q: id %.50q", i, text, id)
			}
		}
		lines := strings.Split(strings.TrimSuffix(f.log.String(), "\n"), "\n")
		if len(lines) != len(requests) {
			t.Errorf("%.20q: %d lines for %d requests", text, len(lines), len(requests))
		}
		for _, line := range lines {
			var m map[string]any
			if err := json.Unmarshal([]byte(line), &m); err != nil || m["msg"] != "request" || strings.Contains(line, "\u2028") || len(line) > 2000 {
				t.Errorf("%.20q: line %.300s: %v", text, line, err)
			}
		}
	}
}

// method keeps what net/http lets through in a method.
func method(r rune) rune {
	if r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || strings.ContainsRune("!#$%&'*+-.^_`|~", r) {
		return r
	}
	return -1
}

func TestFault37SecretsStayInside(t *testing.T) {
	const secret = "s3cr3t-Value"
	f := newFixture(t, nil)
	source := photo + "?X-Amz-Signature=" + secret
	fiu := "/fiu:" + encode("http://photos.example/spare.jpg?sig="+secret)
	fiu += "/wm:1/wmu:" + encode("http://photos.example/mark.jpg?sig="+secret)
	good := f.url("w:480"+fiu, source)
	signature := strings.Split(good, "/")[1]
	f.images.onGet = failing(fault.New(fault.ConnectFailed, "origin.Fetch", "cannot reach "+source, errors.New(`Get "https://bob:`+secret+`@photos.example/a?sig=`+secret+`": dial tcp`)))
	var answers []*httptest.ResponseRecorder
	for _, target := range []string{
		good, good + "x", f.url("w:bad", source), f.url("", "ftp://photos.example/?sig="+secret), "/x/plain/" + source, "/x/w:1/cb:" + secret + "/" + encode(source),
		"/x/" + strings.ReplaceAll(source, ":", "%3A"), "/https://bob:" + secret + "@photos.example/a", "/x/y:" + secret + "=/z", good + "?token=" + secret,
	} {
		answers = append(answers, f.do("GET", target))
	}
	f.images.onGet = failing(errors.New("read " + source + ": broken"))
	answers = append(answers, f.do("GET", good),
		f.private("POST", "/v1/sign", `{"source":"ftp://x/?`+secret+`"}`, "Authorization: Bearer "+testToken),
		f.private("GET", "/v1/explain"+good, "", "Authorization: Bearer "+testToken),
		f.private("GET", "/v1/explain"+good, "", "Authorization: Bearer "+secret),
		f.private("GET", "/metrics", ""))
	for i, w := range answers {
		text := w.Body.String()
		for name, values := range w.Header() {
			text += "\n" + name + ": " + strings.Join(values, ",")
		}
		for _, word := range []string{secret, encode(source), signature, testKey, testToken} {
			if strings.Contains(text, word) {
				t.Errorf("answer %d tells %s: %s", i, word, text)
			}
		}
	}
	for _, word := range []string{secret, encode(secret)[:12], encode("http://photos.example/mark.jpg")[:20],
		encode(source), signature, testKey, testToken} {
		if log := f.log.String(); strings.Contains(log, word) {
			t.Errorf("the log tells %s: %s", word, log)
		}
	}
}

// FuzzTarget sends any request target and headers: no panic, no control character in a header, one JSON line of bounded length.
func FuzzTarget(f *testing.F) {
	fix := newFixture(f, nil)
	f.Add(fix.url("w:480/fn:"+encode("ä")+":1/att:1", photo), "image/avif;q=0.5", "bytes=0-1")
	f.Add("/x/"+injections[0], injections[2], "bytes=-")
	for _, text := range injections {
		f.Add(fix.url("w:1", "http://h/"+text), text, text)
	}
	f.Fuzz(func(t *testing.T, target, accept, rangeHeader string) {
		log := &lockedBuffer{}
		s, err := New(fix.cfg, Deps{Images: fix.images, Now: fix.deps.Now, Log: slog.New(slog.NewJSONHandler(log, nil))}, fix.Server.access.Current().Rules)
		if err != nil {
			t.Fatal(err)
		}
		w := serve(s.Public(), "GET", target, "", "Accept: "+accept, "Range: "+rangeHeader, "If-Range: "+accept, "X-Request-Id: "+accept)
		if w.Code >= http.StatusInternalServerError {
			t.Errorf("status %d: %s", w.Code, w.Body)
		}
		for _, v := range slices.Concat(slices.Collect(maps.Values(map[string][]string(w.Header())))...) {
			if strings.ContainsFunc(v, unicode.IsControl) {
				t.Errorf("header %q", v)
			}
		}
		line := log.String()
		if n := strings.Count(line, "\n"); n > 1 || len(line) > 3000 || n == 1 && !json.Valid([]byte(line)) {
			t.Errorf("log %.500q", line)
		}
	})
}
