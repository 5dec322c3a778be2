// Package tracetest has a trace.Tracer for tests, which keeps what it records as text.
package tracetest

import (
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/goldcrest/goldcrest/trace"
)

// Tracer keeps a line for every event of a span, which begins with the span's first name. Safe for concurrent use.
type Tracer struct {
	mu      sync.Mutex
	off     bool
	parents []string
	notes   []string
}

var _ trace.Tracer = (*Tracer)(nil)

// Off stops or resumes recording of new traces.
func (t *Tracer) Off(off bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.off = off
}

// Parents are the parents passed to Begin, in order.
func (t *Tracer) Parents() []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Clone(t.parents)
}

// Notes are the recorded lines, in order.
func (t *Tracer) Notes() []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Clone(t.notes)
}

// Begin implements trace.Tracer.
func (t *Tracer) Begin(name, parent string, _ time.Time) trace.Recorder {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.parents = append(t.parents, parent)
	if t.off {
		return nil
	}
	return span{t, name}
}

// span is a Recorder.
type span struct {
	t    *Tracer
	name string
}

func (s span) note(format string, args ...any) {
	s.t.mu.Lock()
	defer s.t.mu.Unlock()
	s.t.notes = append(s.t.notes, s.name+fmt.Sprintf(format, args...))
}

// Child implements trace.Recorder.
func (s span) Child(name string, _ time.Time) trace.Recorder {
	s.note(" begins %s", name)
	return span{s.t, name}
}

// Rename implements trace.Recorder.
func (s span) Rename(name string) { s.note(" is %s", name) }

// Set implements trace.Recorder.
func (s span) Set(name, value string) { s.note(" %s=%s", name, value) }

// End implements trace.Recorder.
func (s span) End(kind string, _ time.Time) { s.note(" ends %q", kind) }

// Parent implements trace.Recorder.
func (s span) Parent() string { return "parent of " + s.name }
