package prewarm

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/goldcrest/goldcrest/prewarm/ledger"
	"github.com/goldcrest/goldcrest/trace"
	"github.com/goldcrest/goldcrest/trace/tracetest"
)

// The work on a traced call and its callbacks belong to its trace, regardless of instance and time.
func TestTraceOfACall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tracer, l := &tracetest.Tracer{}, &told{}
		d := tellingDoor(t, l, nil)
		d.deps.Tracer, d.events.Tracer = tracer, tracer
		defer d.run(t)()
		ctx, span := trace.Begin(t.Context(), tracer, "call", "", time.Now())
		if _, err := d.Accept(ctx, "b", "", [32]byte{}, brokenCall(ledger.TaskImages+1)); err != nil {
			t.Fatal(err)
		}
		span.End("")
		time.Sleep(2 * time.Hour)
		if got := tracer.Parents(); len(got) < 4 || got[0] != "" || slices.ContainsFunc(got[1:], func(p string) bool { return p != "parent of call" }) {
			t.Errorf("steps of %q, want two tasks and two callbacks of the call", got)
		}
		notes := tracer.Notes()
		for _, want := range []string{"task task=0", "task task=1", "task id=req-1", "task begins image", "image begins queue", "image unit=0", "image source_host=c.example",
			`image ends "source_not_found"`, `task ends ""`, "callback event=job.done", "callback event=image.broken", `callback ends ""`} {
			if !slices.Contains(notes, want) {
				t.Errorf("no %q in %q", want, notes)
			}
		}
	})
}

// A call that is not traced starts no trace.
func TestNoTraceOfItsOwn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tracer, l := &tracetest.Tracer{}, &told{}
		d := tellingDoor(t, l, nil)
		d.deps.Tracer, d.events.Tracer = tracer, tracer
		defer d.run(t)()
		if _, err := d.Accept(t.Context(), "b", "", [32]byte{}, brokenCall(2)); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Hour)
		_, broken, done := l.sources()
		if got := tracer.Parents(); len(got) != 0 || broken+done == 0 {
			t.Errorf("began %q, %d events told", got, broken+done)
		}
	})
}
