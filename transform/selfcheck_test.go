package transform

import (
	"context"
	"strings"
	"testing"

	"github.com/goldcrest/goldcrest/fault"
)

// The result of the self-check is sent with every picture. The check runs in a separate worker of the lowest priority,
// which makes no pictures.
func TestSelfCheckGoesWithEveryPicture(t *testing.T) {
	p, w := open(t, testConfig())
	tell := func() string {
		m, err := run(t.Context(), p, picture(t, 4, 4, 0), script("drift:"))
		if err != nil {
			t.Fatal(err)
		}
		return m.images[0].Note
	}
	if got := tell(); got != "not checked" || p.Drift() != nil {
		t.Errorf("before the check: %q, %v", got, p.Drift())
	}
	before := p.Stats()
	if err := p.SelfCheck(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := tell(); got != "corrected: jpeg photo +19.0" {
		t.Errorf("after the check: %q; 19 is the niceness that it must run with", got)
	}
	p.crewMu.Lock()
	crew := len(p.crew)
	p.crewMu.Unlock()
	if after := p.Stats(); after != before || crew != 2 || len(w.ended) > 0 {
		t.Errorf("the check's own worker counts: %+v became %+v, %d in the crew, %d ended", before, after, crew, len(w.ended))
	}
	if got := p.Drift().Q("jpeg", false, 50); got != 58 {
		t.Errorf("q 50 becomes %d, want 58, half-way between 20 for 10 and 95 for 90", got)
	}
}

// falseDrifts are reports about its encoders that a worker could send after it was taken over.
var falseDrifts = map[string]Drift{
	"drift of nothing": nil,
	"drift of lengths": {{Coder: "jpeg", From: []float64{10, 20}, To: []float64{10}}},
	"drift falling":    {{Coder: "jpeg", From: []float64{20, 10}, To: []float64{20, 10}}},
	"drift far":        {{Coder: "jpeg", From: []float64{10, 20}, To: []float64{10, 2000}}},
	"drift of many":    make(Drift, maxDrift+1),
	"drift named":      {{Coder: strings.Repeat("x", 17)}},
}

func TestSelfCheckBelievesNoLies(t *testing.T) {
	for name := range falseDrifts {
		p, _ := open(t, liar(t, name))
		if err := p.SelfCheck(t.Context()); err == nil || p.Drift() != nil {
			t.Errorf("%s: %v, %v", name, err, p.Drift())
		}
	}
}

// A check that does not end is ended with the server, or by its caller's context.
func TestSelfCheckCanBeEnded(t *testing.T) {
	p, _ := open(t, liar(t, "silent"))
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- p.SelfCheck(ctx) }()
	cancel()
	if err := <-done; err == nil {
		t.Error("a cancelled check found something")
	}
	go func() { done <- p.SelfCheck(t.Context()) }()
	if err := p.Close(); err != nil {
		t.Error(err)
	}
	if err := <-done; err == nil {
		t.Error("a check of a closed pool found something")
	}
	wantKind(t, p.SelfCheck(t.Context()), fault.ShuttingDown)
}
