// Package master stores a smaller copy of each original, its master, and supplies it in place of the original for new
// variants.
package master

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/goldcrest/goldcrest/cache"
	"github.com/goldcrest/goldcrest/fault"
	"github.com/goldcrest/goldcrest/origin"
	"github.com/goldcrest/goldcrest/pipeline/fetch"
	"github.com/goldcrest/goldcrest/pipeline/gate"
	"github.com/goldcrest/goldcrest/reach"
	"github.com/goldcrest/goldcrest/sniff"
	"github.com/goldcrest/goldcrest/variant"
)

// Tier is the tier of an answer that was made from a master: nothing was fetched.
const Tier = "master"

// reads bounds the masters held at a time by fills that read them or wait for a worker with them. behind bounds the
// originals held at a time for masters that are still to be made.
const (
	reads  = 32
	behind = 8
)

// shrink is the largest scale from a master at which a variant is as good as one made from the original. At a scale
// nearer to 1 the second reduction costs sharpness that can be measured (bench/quality master).
const shrink = 0.75

// Parts are the dependencies of a Source.
type Parts struct {
	Next   fetch.Source // supplies the originals
	Read   func(ctx context.Context, key string) (cache.Entry, error)
	Remove func(ctx context.Context, prefix string) (int, error)
	// Judge returns whether a master is fresh, and whether it may replace an original that cannot be fetched. refused
	// is set if callers restricted to the hosts in within may not have it.
	Judge   func(within reach.Hosts, e cache.Entry) (fresh, standsIn bool, refused error)
	Age     func(m cache.Meta) time.Duration
	Purges  *cache.Purges
	Timeout time.Duration // of a read
	Room    int           // viewers that may wait for a read
	Refused func(gate string)
	Outcome func(outcome string)             // counts the outcome of a master
	Failed  func(msg, key string, err error) // logs a failure of the store
	Now     func() time.Time
}

// Source is a fetch.Source that reads the master before it fetches the original. Safe for concurrent use.
type Source struct {
	side  int
	parts Parts
	reads *fetch.Group[*standIn]

	mu     sync.Mutex
	making map[string]bool // by key
}

// New returns a Source whose new masters have a longer side of so many pixels.
func New(side int, parts Parts) *Source {
	s := &Source{side: side, parts: parts, making: map[string]bool{}}
	s.reads = fetch.NewGroup(fetch.GroupConfig[*standIn]{
		Get:     s.read,
		Gate:    gate.New(gate.Config{Name: Tier, Slots: reads, Room: parts.Room, Refused: parts.Refused}),
		Timeout: parts.Timeout, Purges: parts.Purges,
	})
	return s
}

// Key is the key of the master that belongs to a variant.
func Key(variantKey string) string { return variant.SourcePart(variantKey) + variant.MasterName }

// Held is the number of masters that are read or made.
func (s *Source) Held() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.making) + s.reads.Held() + s.reads.Gate().Load().Running
}

// Get implements fetch.Source. It returns the master if it is fresh and serves all specs, else the original. If the
// original cannot be fetched, it returns the master for the specs that it serves.
func (s *Source) Get(ctx context.Context, ask fetch.Ask) (got fetch.Supply, err error) {
	slot := ask.Slot
	defer func() {
		if slot != nil {
			slot()
		}
	}()
	got, standsIn, err := s.own(ctx, ask)
	if err != nil || got.Master != nil {
		return got, err
	}
	looked, missing := got.Looked, got.Missing
	ask.Slot, slot = slot, nil
	got, err = s.parts.Next.Get(ctx, ask)
	got.Looked, got.Missing = looked, missing
	if err != nil && standsIn && ctx.Err() == nil {
		return s.standIn(ctx, ask, got, err)
	}
	return got, err
}

// own returns the master if it is fresh and serves all specs. Otherwise standsIn reports whether it may replace an
// original that cannot be fetched.
func (s *Source) own(ctx context.Context, ask fetch.Ask) (got fetch.Supply, standsIn bool, err error) {
	start := s.parts.Now()
	m, back, missing := s.look(ctx, ask)
	got = fetch.Supply{Looked: s.parts.Now().Sub(start), Missing: missing}
	if m == nil {
		return got, false, nil
	}
	fresh, standsIn, err := s.parts.Judge(ask.Limits.Within, m.entry)
	if err == nil && fresh && m.servesAll(ask.Specs) {
		return s.supply(m, back, got.Looked), false, nil
	}
	back()
	got.Missing = !fresh
	return got, standsIn && slices.ContainsFunc(ask.Specs, m.serves), err
}

// standIn returns the master in place of an original that cannot be fetched. It reads it again: it may be another one
// by now.
func (s *Source) standIn(ctx context.Context, ask fetch.Ask, got fetch.Supply, gone error) (fetch.Supply, error) {
	start := s.parts.Now()
	m, back, _ := s.look(ctx, ask)
	got.Looked += s.parts.Now().Sub(start)
	if m == nil {
		return got, gone
	}
	if _, standsIn, refused := s.parts.Judge(ask.Limits.Within, m.entry); !standsIn || refused != nil {
		back()
		return got, gone
	}
	got = s.supply(m, back, got.Looked)
	got.Lacks = func(spec variant.Spec) error {
		if m.serves(spec) {
			return nil
		}
		return gone
	}
	return got, nil
}

// look reads the master; nil if there is none. A master from before a purge is a miss, and a read that is running
// during a purge is not shared.
func (s *Source) look(ctx context.Context, ask fetch.Ask) (m *standIn, back func(), missing bool) {
	key := Key(ask.Key)
	ask.Source, ask.Limits, ask.Slot = key, origin.Limits{}, nil
	got, back, err := s.reads.Get(ctx, ask)
	if err == nil {
		return got.Value, back, false
	}
	if fault.KindOf(err) != fault.Overloaded && ctx.Err() == nil {
		s.parts.Failed("a master could not be read; fetching the original instead", key, err)
	}
	return nil, nil, errors.Is(err, cache.ErrMiss)
}

// read reads a master. It keeps its slot until the last reader is done.
func (s *Source) read(ctx context.Context, key string, lim origin.Limits) (m *standIn, release func(), err error) {
	leave, err := lim.Admit(ctx)
	if err != nil {
		return nil, nil, err
	}
	defer func() {
		if m == nil {
			leave()
		}
	}()
	e, err := s.parts.Read(ctx, key)
	if err == nil && e.Recipe < variant.MasterRecipe {
		err = cache.ErrMiss // the next fill that fetches makes a new one
	}
	if err != nil {
		return nil, nil, err
	}
	return newStandIn(e), leave, nil
}

// supply returns a master as a Supply. Variants made from it are as old as it is.
func (s *Source) supply(m *standIn, back func(), looked time.Duration) fetch.Supply {
	from := m.facts.Provenance
	from.Since = s.parts.Age(m.entry.Meta)
	return fetch.Supply{
		Original: variant.Original{Body: m.entry.Body, Info: m.info, Master: &m.of},
		Terms:    fetch.Terms{From: from}, Back: back, Looked: looked,
	}
}

// Distrust removes the master of a variant after a worker could not read it. The next fill fetches the original.
func (s *Source) Distrust(variantKey string, err error) {
	switch fault.KindOf(err) {
	case fault.NotAnImage, fault.DecodeFailed, fault.TruncatedSource, fault.Poison, fault.UnsupportedFormat:
		key := Key(variantKey)
		s.reads.Forget(key) // other fills may share it at this moment
		if _, err := s.parts.Remove(context.Background(), key); err != nil {
			s.parts.Failed("a master that cannot be read was not removed", key, err)
		}
	}
}

// standIn is a master that was read.
type standIn struct {
	entry cache.Entry
	facts variant.Facts
	info  sniff.Info
	of    variant.Master
}

func newStandIn(e cache.Entry) *standIn {
	f := variant.DecodeFacts(e.Attrs)
	info, _ := sniff.Inspect(e.Body) // a worker refuses one that cannot be read
	return &standIn{entry: e, facts: f, info: info, of: variant.Master{
		Width: f.SourceWidth, Height: f.SourceHeight, Format: f.SourceFormat, Bytes: f.SourceBytes, Exact: f.Exact,
	}}
}

// serves reports whether a variant of the master is as good as one of the original. Information about an original needs
// the original itself.
func (m *standIn) serves(spec variant.Spec) bool {
	if spec.NeedsOriginal() || m.of.Width < 1 || m.of.Height < 1 {
		return false
	}
	if m.of.Exact {
		return true
	}
	if lossy := m.facts.Quality != 0; spec.Format == variant.PNG && spec.Quality == 0 && lossy {
		return false
	}
	long := float64(max(m.facts.Width, m.facts.Height)) / float64(max(m.of.Width, m.of.Height))
	return spec.Scale(m.of.Width, m.of.Height) <= shrink*long
}

// servesAll reports whether the master serves every spec.
func (m *standIn) servesAll(specs []variant.Spec) bool {
	return !slices.ContainsFunc(specs, func(s variant.Spec) bool { return !m.serves(s) })
}
