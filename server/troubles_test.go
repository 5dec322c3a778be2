package server

import (
	"context"
	"encoding/json"
	"testing"

	"github.com/goldcrest/goldcrest/fault"
	"github.com/goldcrest/goldcrest/pipeline"
	"github.com/goldcrest/goldcrest/prewarm"
	"github.com/goldcrest/goldcrest/variant"
)

// What viewers were refused for is told by code and host; successes, and errors of the private listener, are not.
func TestStatsTellErrorsByCodeAndHost(t *testing.T) {
	a := newAPI(t, nil)
	a.prewarm.onStats = func(context.Context) (prewarm.Stats, error) { return prewarm.Stats{}, nil }
	a.do("GET", a.url("", photo))
	a.images.onGet = func(context.Context, variant.Ref) (pipeline.Answer, error) {
		return pipeline.Answer{}, fault.New(fault.SourceNotFound, "test", "the origin has no such file", nil)
	}
	a.do("GET", a.url("", photo))
	a.do("GET", a.url("rs:fit:10:10", photo))
	a.do("GET", "/nonsense")
	a.private("GET", "/v1/nonsense", "", bearer)
	var got statsAnswer
	if err := json.Unmarshal(a.private("GET", "/v1/stats", "", bearer).Body.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	if len(got.Errors) != 2 || got.Errors[0].Host != "photos.example" || got.Errors[0].Code != fault.SourceNotFound || got.Errors[0].Recent != 2 ||
		got.Errors[1].Host != "" || got.Errors[1].Total != 1 {
		t.Errorf("errors %+v", got.Errors)
	}
}
