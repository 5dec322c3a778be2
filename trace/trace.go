// Package trace marks the steps of a piece of work for whoever records them, and records nothing itself.
package trace

import (
	"context"
	"time"
)

// Tracer begins records of work that comes in from outside. Safe for concurrent use.
type Tracer interface {
	// Begin begins a trace, or goes on with the one of parent, a traceparent of W3C Trace Context; "" = none. nil: it
	// is not recorded.
	Begin(name, parent string, at time.Time) Recorder
}

// Recorder records one step. Its methods are called in any goroutine; after End, only Child and Parent are.
type Recorder interface {
	// Child begins a step of this one, which may end after it.
	Child(name string, at time.Time) Recorder
	// Rename and Set say more of the step. Values hold nothing secret: no query, no signature, no token.
	Rename(name string)
	Set(name, value string)
	// End ends it, with the kind of fault that it failed with; "" = it did not.
	End(kind string, at time.Time)
	// Parent is the traceparent by which others go on with it.
	Parent() string
}

// Span is one step of a piece of work. A nil Span is one that nobody records: all methods may be called on it, and cost
// nothing.
type Span struct{ rec Recorder }

type key struct{}

// Begin begins a trace of work that came in from outside. Where t is nil, or does not record it, ctx is given back as
// it is, and nil.
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

// Start begins a step of the one that ctx is in. Where that is none, ctx is given back as it is, and nil.
func Start(ctx context.Context, name string) (context.Context, *Span) {
	up := From(ctx)
	if up == nil {
		return ctx, nil
	}
	s := &Span{up.rec.Child(name, time.Now())}
	return context.WithValue(ctx, key{}, s), s
}

// From is the step that ctx is in; nil if it is none.
func From(ctx context.Context) *Span {
	s, _ := ctx.Value(key{}).(*Span)
	return s
}

// Step adds a step that is over.
func (s *Span) Step(name string, from, to time.Time) {
	if s != nil {
		s.rec.Child(name, from).End("", to)
	}
}

// Rename gives the step a name that was not known when it began.
func (s *Span) Rename(name string) {
	if s != nil {
		s.rec.Rename(name)
	}
}

// Set says something about the step; an empty value says nothing.
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

// EndAt is End by the caller's clock.
func (s *Span) EndAt(kind string, at time.Time) {
	if s != nil {
		s.rec.End(kind, at)
	}
}

// Parent is the traceparent by which others go on with the step; "" if nobody records it.
func (s *Span) Parent() string {
	if s == nil {
		return ""
	}
	return s.rec.Parent()
}
