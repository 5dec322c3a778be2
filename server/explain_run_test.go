package server

import (
	"context"
	"encoding/json"
	"testing"
	"time"

	"github.com/goldcrest/goldcrest/fault"
	"github.com/goldcrest/goldcrest/pipeline"
	"github.com/goldcrest/goldcrest/variant"
)

// Only run=1 makes anything, only what a viewer would be given, and the source's own query is none of it.
func TestExplainRuns(t *testing.T) {
	var warmed []variant.Ref
	answer := pipeline.Warmed{Timings: pipeline.Timings{Queue: time.Second, Fetch: 30 * time.Millisecond, Transform: 70 * time.Millisecond}}
	f := newFixtureWith(t, nil, func(d *Deps) {
		d.Warm = func(_ context.Context, refs []variant.Ref) []pipeline.Warmed {
			warmed = append(warmed, refs...)
			return []pipeline.Warmed{answer}
		}
	})
	f.images.onPeek = func(_ context.Context, ref variant.Ref) (pipeline.Answer, error) {
		if len(warmed) == 0 {
			return pipeline.Answer{}, fault.New(fault.NotCached, "test", "not there", nil)
		}
		return pipeline.Answer{Entry: testEntry(ref), Tier: "store"}, nil
	}
	read := func(path string) (e explanation) {
		t.Helper()
		w := f.private("GET", "/v1/explain"+path, "", bearer)
		if err := json.Unmarshal(w.Body.Bytes(), &e); err != nil || w.Code != 200 {
			t.Fatalf("status %d: %v: %s", w.Code, err, w.Body)
		}
		return e
	}
	good := f.url("f:webp", photo)
	for _, path := range []string{good, good + "?run=0", good + "?run=1&x=2"} {
		if e := read(path); e.Run != nil || len(warmed) != 0 || e.Tier != "none" {
			t.Errorf("%s: got %+v, %d made", path, e.Run, len(warmed))
		}
	}
	e := read(good + "?run=1")
	if want := (explainedRun{Outcome: "made", Queue: 1000, Fetch: 30, Transform: 70}); e.Run == nil || *e.Run != want || len(warmed) != 1 || warmed[0].Key() != e.Key || e.Tier != "store" {
		t.Errorf("got %+v %+v, %d made", e.Run, e, len(warmed))
	}
	answer = pipeline.Warmed{Present: true}
	if e := read(good[44:] + "?run=1"); e.Signature != "none" || e.Run.Outcome != "present" {
		t.Errorf("unsigned: got %+v", e.Run)
	}
	answer = pipeline.Warmed{Err: fault.New(fault.SourceTimeout, "test", "the origin of http://photos.example/?token=x is slow", nil)}
	if e := read("/f:webp/plain/" + photo + "?token=x&run=1"); e.Run.Outcome != "failed" || e.Run.Code != fault.SourceTimeout || !e.Run.Retryable {
		t.Errorf("failed: got %+v", e.Run)
	}
	if ref := warmed[len(warmed)-1]; ref.Source != photo+"?token=x" && ref.Source != photo {
		t.Errorf("made of %s", ref.Source)
	}
	made := len(warmed)
	for path, want := range map[string]fault.Kind{
		"/wrong" + good[44:] + "?run=1":         fault.BadSignature,
		f.url("f:webp/exp:1", photo) + "?run=1": fault.URLExpired,
	} {
		if e := read(path); e.Run == nil || e.Run.Outcome != "refused" || e.Run.Code != want || len(warmed) != made {
			t.Errorf("%s: got %+v, %d made", path, e.Run, len(warmed)-made)
		}
	}
	f = newFixture(t, nil)
	if e := read(good + "?run=1"); e.Run == nil || e.Run.Outcome != "refused" {
		t.Errorf("without a pipeline: got %+v", e.Run)
	}
}
