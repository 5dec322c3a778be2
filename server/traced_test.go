package server

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/goldcrest/goldcrest/cache"
	"github.com/goldcrest/goldcrest/pipeline"
	"github.com/goldcrest/goldcrest/trace"
	"github.com/goldcrest/goldcrest/trace/tracetest"
	"github.com/goldcrest/goldcrest/variant"
)

const strangers = "Traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

// A stranger cannot have requests traced; anyone who may call the private listener can. Probes are never traced.
func TestTraceparentIsHonouredOnlyFromPrivateCallers(t *testing.T) {
	value := strings.TrimPrefix(strangers, "Traceparent: ")
	for name, tt := range map[string]struct {
		trust   bool
		request func(f *fixture)
		want    []string
	}{
		"a viewer":             {false, func(f *fixture) { f.do("GET", f.url("", photo), strangers) }, []string{""}},
		"a viewer behind ours": {true, func(f *fixture) { f.do("GET", f.url("", photo), strangers) }, []string{value}},
		"a caller":             {false, func(f *fixture) { f.private("GET", "/v1/stats", "", bearer, strangers) }, []string{value}},
		"probes": {true, func(f *fixture) {
			f.do("GET", "/health", strangers)
			f.private("GET", "/healthz", "", strangers)
			f.private("GET", "/metrics", "", strangers)
		}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			tracer := &tracetest.Tracer{}
			tt.request(newFixtureWith(t, nil, func(d *Deps) { d.Tracer, d.TrustTraces = tracer, tt.trust }))
			if !slices.Equal(tracer.Parents(), tt.want) {
				t.Errorf("asked to trace with %q, want %q", tracer.Parents(), tt.want)
			}
		})
	}
}

// A trace says what the log line says, with the phases, and no more than that may be told.
func TestFault37TracesHoldNoSecret(t *testing.T) {
	tracer := &tracetest.Tracer{}
	f := newFixtureWith(t, nil, func(d *Deps) { d.Tracer = tracer })
	url := f.url("w:480/fn:hush/cb:hush", "http://photos.example/hush/cat.jpg?token=hush")
	f.do("GET", url, "Authorization: Bearer hush", "Cookie: hush", "X-Request-Id: req-1")
	f.do("GET", url[:5]+"A"+url[6:]) // a wrong signature
	f.private("GET", "/v1/explain"+url+"?hush", "", bearer)
	f.private("GET", "/v1/hush", "", bearer)
	all := strings.Join(tracer.Notes(), "\n")
	signature, _, _ := strings.Cut(url[1:], "/")
	for _, secret := range []string{"hush", signature, testToken, "cat.jpg"} {
		if strings.Contains(all, secret) {
			t.Errorf("a trace holds %q:\n%s", secret, all)
		}
	}
	for _, want := range []string{"public request is GET image", "public request id=req-1", "verify ends \"\"", "parse ends \"\"", "negotiate ends \"\"", "lookup ends \"\"", "deliver ends \"\"",
		"public request source_host=photos.example", "public request outcome=hit", "public request status=200", "public request status=403", "public request code=bad_signature",
		"private request is GET /v1/explain/*", "private request token=backend"} {
		if !slices.Contains(tracer.Notes(), want) {
			t.Errorf("no %q in\n%s", want, all)
		}
	}
	if slices.Contains(tracer.Notes(), `public request ends "bad_signature"`) {
		t.Error("a refusal counts as our failure")
	}
}

// A hit that is traced is answered the long way, and the same; one that is not traced still takes the short way.
func TestTracedHits(t *testing.T) {
	s := newSocket(t, nil)
	tracer := &tracetest.Tracer{}
	tracer.Off(true)
	s.responder.Tracer = tracer
	url := s.url("w:480", photo)
	_, want := s.ask("GET", url)
	s.ask("GET", url)
	before := s.recalls.Load()
	s.ask("GET", url)
	if s.recalls.Load() == before || len(tracer.Notes()) != 0 {
		t.Error("a hit that is not traced went the long way")
	}
	tracer.Off(false)
	before = s.recalls.Load()
	_, got := s.ask("GET", url)
	if s.recalls.Load() != before || string(got) != string(want) {
		t.Error("a traced hit took the short way, or got another answer")
	}
	if !slices.Contains(tracer.Notes(), "public request outcome=hit") || !slices.Contains(tracer.Notes(), `lookup ends ""`) {
		t.Errorf("noted %q", tracer.Notes())
	}
}

// The pipeline goes on in the request's trace.
func TestTraceGoesOn(t *testing.T) {
	f := newFixtureWith(t, nil, func(d *Deps) { d.Tracer = &tracetest.Tracer{} })
	f.images.onGet = func(ctx context.Context, _ variant.Ref) (pipeline.Answer, error) {
		if trace.From(ctx).Parent() != "parent of public request" {
			t.Error("the pipeline is not in the trace")
		}
		return pipeline.Answer{}, cache.ErrMiss
	}
	f.do("GET", f.url("", photo))
}
