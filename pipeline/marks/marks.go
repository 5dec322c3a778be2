// Package marks fetches the watermarks that URLs name, beside the originals that they are laid over.
package marks

import (
	"bytes"
	"context"
	"errors"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/goldcrest/goldcrest/cache"
	"github.com/goldcrest/goldcrest/fault"
	"github.com/goldcrest/goldcrest/origin"
	"github.com/goldcrest/goldcrest/pipeline/fetch"
	"github.com/goldcrest/goldcrest/reach"
	"github.com/goldcrest/goldcrest/variant"
)

// The bounds of the kept marks: the bytes of one, which is also the most that is fetched, and of all; and how long one
// is kept.
const (
	maxBytes = 4 << 20
	maxKept  = 16 << 20
	keep     = 5 * time.Minute
)

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
	fetch.Supply
	via        reach.Via        // its own host, and those that redirects led through
	generation cache.Generation // in which it was fetched
	expires    time.Time
}

// New returns a Source that gets originals from one source and marks from another.
func New(originals, marks fetch.Source, purges *cache.Purges, now func() time.Time) *Source {
	return &Source{originals: originals, marks: marks, purges: purges, now: now, kept: map[string]kept{}}
}

// Get implements fetch.Source. A mark that cannot be fetched fails only the specs that name it.
func (s *Source) Get(ctx context.Context, ask fetch.Ask) (fetch.Supply, error) {
	got, err := s.originals.Get(ctx, ask)
	if err != nil || got.Same {
		return got, err
	}
	failed := map[string]error{}
	for _, spec := range ask.Specs {
		w := spec.Watermark
		if w.Source == "" || got.Marks[w.Mark] != nil || failed[w.Mark] != nil {
			continue
		}
		m, err := s.get(ctx, ask, w.Source)
		if err != nil {
			failed[w.Mark] = failure(err)
			continue
		}
		add(&got, w.Mark, m)
	}
	if len(failed) > 0 {
		lacks := got.Lacks
		got.Lacks = func(spec variant.Spec) error {
			if err := failed[spec.Watermark.Mark]; err != nil || lacks == nil {
				return err
			}
			return lacks(spec)
		}
	}
	return got, nil
}

// add adds a mark to an original: variants are kept as long, and given to those, as both allow.
func add(got *fetch.Supply, name string, m kept) {
	if got.Marks == nil {
		got.Marks = map[string][]byte{}
	}
	got.Marks[name] = m.Body
	for host := range strings.FieldsSeq(string(m.via)) {
		got.From.Via = got.From.Via.Through(host)
	}
	got.NoStore = got.NoStore || m.NoStore
	if m.From.HasLife && (!got.From.HasLife || m.From.Life < got.From.Life) {
		got.From.Life, got.From.HasLife = m.From.Life, true
	}
	got.Waited += m.Waited
	got.Fetched += m.Fetched
}

// get returns a mark: a kept one, unless it is old, or what it is for was purged since, or the caller may not have it.
func (s *Source) get(ctx context.Context, ask fetch.Ask, source string) (kept, error) {
	s.mu.Lock()
	m, ok := s.kept[source]
	s.mu.Unlock()
	if ok && s.now().Before(m.expires) && !s.purges.Covered(ask.Key, m.generation) && ask.Limits.Within.AllowsAll(m.via) {
		m.Waited, m.Fetched = 0, 0
		return m, nil
	}
	m.generation = s.purges.Now()
	got, err := s.marks.Get(ctx, fetch.Ask{
		Source: source, Key: ask.Key, Generation: m.generation, Urgency: ask.Urgency,
		Limits: origin.Limits{Bytes: maxBytes, Within: ask.Limits.Within},
	})
	if err != nil {
		return kept{}, err
	}
	defer got.Back()
	got.Body = bytes.Clone(got.Body) // It outlives the download.
	m.Supply, m.via, m.expires = got, got.From.Via.Through(place(source)), s.now().Add(keep)
	s.keep(source, m)
	return m, nil
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
	if m.NoStore {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.bytes += len(m.Body) - len(s.kept[source].Body)
	if s.bytes > maxKept {
		clear(s.kept)
		s.bytes = len(m.Body)
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
