// Package trace marks the steps of work for a recorder; it records nothing itself.
package trace

import (
	"context"
	"time"
)

// Tracer begins records of incoming work. Safe for concurrent use.
type Tracer interface {
	// Begin begins a trace, or continues that of parent, a traceparent of W3C Trace Context; "" = none. nil: it is not
	// recorded.
	Begin(name, parent string, at time.Time) Recorder
}

// Recorder records one step. Its methods may be called in any goroutine; after End, only Child and Parent may.
type Recorder interface {
	// Child begins a step inside this one, which may end after it.
	Child(name string, at time.Time) Recorder
	// Rename and Set describe the step. Values contain no secret: no query, no signature, no token.
	Rename(name string)
	Set(name, value string)
	// End ends it, with the kind of fault that it failed with; "" = success.
	End(kind string, at time.Time)
	// Parent is the traceparent for continuing the trace elsewhere.
	Parent() string
}

// Span is one step of work. A nil Span is not recorded: all methods may be called on it, and cost nothing.
type Span struct{ rec Recorder }

type key struct{}

// Begin begins a trace of incoming work. If t is nil, or does not record it, Begin returns ctx unchanged, and nil.
func Begin(ctx context.Context, t Tracer, name, parent string, at time.Time) (context.Context, *Span) {
	if t == nil {
		return ctx, nil
	}
	rec := t.Begin(name, parent, at)
	if rec == nil {
		return ctx, nil
	}
	s := &Span{rec}
	return context.WithValue(ctx, key{}, s), s
}

// Resume goes on with the trace of an earlier call, by its traceparent; it begins none of its own.
func Resume(ctx context.Context, t Tracer, name, parent string) (context.Context, *Span) {
	if parent == "" {
		return ctx, nil
	}
	return Begin(ctx, t, name, parent, time.Now())
}

// Start begins a step of the one in ctx. If there is none, Start returns ctx unchanged, and nil.
func Start(ctx context.Context, name string) (context.Context, *Span) {
	up := From(ctx)
	if up == nil {
		return ctx, nil
	}
	s := &Span{up.rec.Child(name, time.Now())}
	return context.WithValue(ctx, key{}, s), s
}

// From is the step in ctx; nil if there is none.
func From(ctx context.Context) *Span {
	s, _ := ctx.Value(key{}).(*Span)
	return s
}

// Step adds a finished step.
func (s *Span) Step(name string, from, to time.Time) {
	if s != nil {
		s.rec.Child(name, from).End("", to)
	}
}

// Rename sets a name that was not known at the start.
func (s *Span) Rename(name string) {
	if s != nil {
		s.rec.Rename(name)
	}
}

// Set adds an attribute; an empty value is ignored.
func (s *Span) Set(name, value string) {
	if s != nil && value != "" {
		s.rec.Set(name, value)
	}
}

// End ends the step now; see Recorder.
func (s *Span) End(kind string) {
	if s != nil {
		s.rec.End(kind, time.Now())
	}
}

// EndAt is End at a given time.
func (s *Span) EndAt(kind string, at time.Time) {
	if s != nil {
		s.rec.End(kind, at)
	}
}

// Parent is the traceparent for continuing the trace elsewhere; "" if the step is not recorded.
func (s *Span) Parent() string {
	if s == nil {
		return ""
	}
	return s.rec.Parent()
}
