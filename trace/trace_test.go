package trace_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/goldcrest/goldcrest/trace"
	"github.com/goldcrest/goldcrest/trace/tracetest"
)

func TestStepsAreRecorded(t *testing.T) {
	var tr tracetest.Tracer
	now := time.Unix(0, 0)
	ctx, root := trace.Begin(t.Context(), &tr, "root", "p", now)
	inner, step := trace.Start(ctx, "step")
	step.Set("host", "h")
	step.Set("nothing", "")
	_, leaf := trace.Start(inner, "leaf")
	leaf.End("timeout")
	step.End("")
	if got := trace.From(inner).Parent(); got != "parent of step" {
		t.Errorf("parent %q", got)
	}
	root.Step("past", now, now)
	root.Rename("other")
	root.EndAt("", now)
	want := []string{"root begins step", "step host=h", "step begins leaf", `leaf ends "timeout"`, `step ends ""`,
		"root begins past", `past ends ""`, "root is other", `root ends ""`}
	if got := tr.Notes(); !slices.Equal(got, want) || !slices.Equal(tr.Parents(), []string{"p"}) {
		t.Errorf("of %q got\n%q\nwant\n%q", tr.Parents(), got, want)
	}
}

// Where nobody records, nothing is done, and nothing is paid.
func TestUnrecordedTracesAllocateNothing(t *testing.T) {
	var off tracetest.Tracer
	off.Off(true)
	if ctx, span := trace.Begin(t.Context(), &off, "root", "", time.Time{}); span != nil || ctx != t.Context() {
		t.Error("a trace that is not recorded has a span")
	}
	plain := context.Background()
	allocs := testing.AllocsPerRun(100, func() {
		ctx, span := trace.Begin(plain, nil, "root", "", time.Time{})
		ctx, step := trace.Start(ctx, "step")
		step.Set("a", "b")
		step.Step("c", time.Time{}, time.Time{})
		step.Rename("d")
		step.End("")
		span.EndAt("", time.Time{})
		if ctx != plain || step.Parent() != "" {
			t.Error("something was begun")
		}
	})
	if allocs != 0 {
		t.Errorf("%v allocations", allocs)
	}
}
