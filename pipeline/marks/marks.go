// Package marks fetches the watermarks that URLs name, beside the originals that they are laid over.
package marks

import (
	"bytes"
	"context"
	"errors"
	"net/url"
	"slices"
	"sync"
	"time"

	"github.com/goldcrest/goldcrest/cache"
	"github.com/goldcrest/goldcrest/fault"
	"github.com/goldcrest/goldcrest/origin"
	"github.com/goldcrest/goldcrest/pipeline/fetch"
	"github.com/goldcrest/goldcrest/reach"
	"github.com/goldcrest/goldcrest/variant"
)

// The bounds of the kept marks: the bytes of one, which is also the most that is fetched, and of all, with so much for
// each beside its bytes; and how long one is kept.
const (
	maxBytes = 4 << 20
	maxKept  = 16 << 20
	overhead = 1 << 10
	keep     = 5 * time.Minute
)

// patience is how long variants without a mark wait for the marks of the others.
const patience = 2 * time.Second

// Source is a fetch.Source that adds the watermarks that the specs name by URL. Safe for concurrent use.
type Source struct {
	originals fetch.Source
	marks     fetch.Source
	purges    *cache.Purges
	now       func() time.Time

	mu    sync.Mutex
	kept  map[string]kept // by source
	bytes int
}

// kept is a mark as it was fetched.
type kept struct {
	body       []byte
	terms      fetch.Terms      // Via includes its own host.
	generation cache.Generation // in which it was fetched
	at         time.Time        // when it was fetched
}

// lasts is how long a mark may be used.
func (m kept) lasts() time.Duration {
	switch {
	case m.terms.NoStore:
		return 0
	case m.terms.From.HasLife:
		return min(keep, m.terms.From.Life)
	}
	return keep
}

// size is the memory that a mark takes with its source.
func (m kept) size(source string) int { return len(m.body) + len(source) + overhead }

// New returns a Source that gets originals from one source and marks from another.
func New(originals, marks fetch.Source, purges *cache.Purges, now func() time.Time) *Source {
	return &Source{originals: originals, marks: marks, purges: purges, now: now, kept: map[string]kept{}}
}

// Get implements fetch.Source. A mark that cannot be fetched, or not soon where some specs name none, fails only the
// specs that name it. Marks come before the original: a download that waits for memory while its caller holds an
// original may wait for that original.
func (s *Source) Get(ctx context.Context, ask fetch.Ask) (fetch.Supply, error) {
	m := s.all(ctx, &ask)
	got, err := s.originals.Get(ctx, ask)
	got.Waited += m.waited
	got.Fetched += m.fetched
	if err != nil || got.Same {
		return got, err
	}
	got.Marks, got.ByMark = m.bodies, m.terms
	if len(m.failed) > 0 {
		lacks := got.Lacks
		got.Lacks = func(spec variant.Spec) error {
			if err := m.failed[spec.Watermark.Mark]; err != nil || lacks == nil {
				return err
			}
			return lacks(spec)
		}
	}
	return got, nil
}

// found are the marks of a call, by id.
type found struct {
	bodies          map[string][]byte
	terms           map[string]fetch.Terms
	failed          map[string]error
	waited, fetched time.Duration
}

// all returns the marks that the specs name.
func (s *Source) all(ctx context.Context, ask *fetch.Ask) found {
	out := found{bodies: map[string][]byte{}, terms: map[string]fetch.Terms{}, failed: map[string]error{}}
	limited, cancel := ctx, func() {}
	if slices.ContainsFunc(ask.Specs, func(spec variant.Spec) bool { return spec.Watermark.Source == "" }) {
		limited, cancel = context.WithTimeout(ctx, patience)
	}
	defer cancel()
	for _, spec := range ask.Specs {
		w := spec.Watermark
		if w.Source == "" || out.bodies[w.Mark] != nil || out.failed[w.Mark] != nil {
			continue
		}
		m, got, err := s.get(limited, ask, w.Source)
		if err != nil {
			if limited.Err() != nil && ctx.Err() == nil {
				err = fault.New(fault.SourceTimeout, "marks.Get", "it has not come in time for the other variants", err)
			}
			out.failed[w.Mark] = failure(err)
			continue
		}
		out.bodies[w.Mark], out.terms[w.Mark] = m.body, m.terms
		out.waited += got.Waited
		out.fetched += got.Fetched
	}
	return out
}

// get returns a mark: a kept one, unless it is old, or what it is for was purged since, or the caller may not have it.
// got is its fetch, if there was one. That gives back the caller's fetch slot first: it may wait for another.
func (s *Source) get(ctx context.Context, ask *fetch.Ask, source string) (m kept, got fetch.Supply, err error) {
	s.mu.Lock()
	m, ok := s.kept[source]
	s.mu.Unlock()
	age := s.now().Sub(m.at)
	if ok && age < m.lasts() && !s.purges.Covered(ask.Key, m.generation) &&
		ask.Limits.Within.AllowsAll(m.terms.From.Via) {
		m.terms.From.Life -= age
		return m, got, nil
	}
	if ask.Slot != nil {
		ask.Slot()
		ask.Slot = nil
	}
	m = kept{generation: s.purges.Now()}
	got, err = s.marks.Get(ctx, fetch.Ask{
		Source: source, Key: ask.Key, Generation: m.generation, Urgency: ask.Urgency,
		Limits: origin.Limits{Bytes: maxBytes, Within: ask.Limits.Within},
	})
	if err != nil {
		return kept{}, got, err
	}
	defer got.Back()
	m.body, m.terms, m.at = bytes.Clone(got.Body), got.Terms, s.now() // The body outlives the download.
	m.terms.From.Via = m.terms.From.Via.Through(place(source))
	s.keep(source, m)
	return m, got, nil
}

// place is what a caller's set of sources must allow.
func place(source string) string {
	u, err := url.Parse(source)
	if err != nil { // A Parser has checked it.
		return "*"
	}
	return reach.Place(u.Scheme, u.Hostname())
}

// keep keeps a mark. If all take too much, the others are dropped.
func (s *Source) keep(source string, m kept) {
	if m.lasts() <= 0 {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if old, ok := s.kept[source]; ok {
		s.bytes -= old.size(source)
	}
	s.bytes += m.size(source)
	if s.bytes > maxKept {
		clear(s.kept)
		s.bytes = m.size(source)
	}
	s.kept[source] = m
}

// failure is the fault of a variant whose mark cannot be fetched. Its kind does not condemn the original.
func failure(err error) error {
	f := fault.Of(err)
	switch {
	case errors.Is(err, reach.ErrBeyond), f.Kind == fault.Overloaded, f.Kind == fault.ShuttingDown,
		f.Kind == fault.Canceled, f.Kind == fault.Internal:
		return err
	case f.Kind.Retryable():
		return fault.New(fault.SourceError, "marks.Get", "the watermark: "+f.Public, err).After(f.RetryAfter)
	}
	return fault.New(fault.BadOption, "marks.Get", "the watermark: "+f.Public, err)
}
