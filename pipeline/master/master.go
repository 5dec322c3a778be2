// Package master keeps a smaller copy of each original in the store, its master, and has new variants made from that in
// the original's place.
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

// Tier is the tier that an answer names which was made from its original's master: nothing was fetched.
const Tier = "master"

// reads is how many masters are held at a time, by the fills that read them or wait for a worker with them; behind how
// many originals are, that a master is yet to be made of.
const (
	reads  = 32
	behind = 8
)

// shrink is how small a variant must be against the master that it is made from, so that it is as good as one made from
// the original: what is scaled down twice by less loses sharpness that can be measured (bench/quality master).
const shrink = 0.75

// Parts is what a Source is made of.
type Parts struct {
	Next   fetch.Source // gives the originals
	Read   func(ctx context.Context, key string) (cache.Entry, error)
	Remove func(ctx context.Context, prefix string) (int, error)
	// Judge tells whether a master is fresh, whether it may stand in for an original that cannot be had, and why those
	// who may have what comes from these hosts may not have it.
	Judge   func(within reach.Hosts, e cache.Entry) (fresh, standsIn bool, refused error)
	Age     func(m cache.Meta) time.Duration
	Purges  *cache.Purges
	Timeout time.Duration // of a reading
	Room    int           // viewers that may wait for one
	Refused func(gate string)
	Outcome func(outcome string)             // counts what became of a master
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

// New makes a Source whose new masters have a longer side of so many pixels.
func New(side int, parts Parts) *Source {
	s := &Source{side: side, parts: parts, making: map[string]bool{}}
	s.reads = fetch.NewGroup(fetch.GroupConfig[*standIn]{
		Get:     s.read,
		Gate:    gate.New(gate.Config{Name: Tier, Slots: reads, Room: parts.Room, Refused: parts.Refused}),
		Timeout: parts.Timeout, Purges: parts.Purges,
	})
	return s
}

// Key is the key of the master beside a variant.
func Key(variantKey string) string { return variant.SourcePart(variantKey) + variant.MasterName }

// Held is how many masters are read or made.
func (s *Source) Held() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.making) + s.reads.Held() + s.reads.Gate().Load().Running
}

// Get implements fetch.Source: it gives the master where that serves all that is to be made and is fresh, else the
// original; and where that cannot be had, the master for what it serves.
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

// own is the master where that serves all that is to be made and is fresh. Where it is not, standsIn tells whether it may
// stand in for the original if that cannot be had.
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

// standIn is the master in the place of an original that cannot be had, for what it serves. It may be another by now.
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

// look reads the master; nil where there is none. One from before a purge is a miss, and one that is being read then is
// not shared.
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

// read reads a master. Its slot is kept until the last who reads it is done.
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
		err = cache.ErrMiss // The next fill that fetches makes a better one.
	}
	if err != nil {
		return nil, nil, err
	}
	return newStandIn(e), leave, nil
}

// supply is a master that was read. What is made from it is as old as it.
func (s *Source) supply(m *standIn, back func(), looked time.Duration) fetch.Supply {
	from := m.facts.Provenance
	from.Since = s.parts.Age(m.entry.Meta)
	return fetch.Supply{
		Original: variant.Original{Body: m.entry.Body, Info: m.info, Master: &m.of},
		From:     from, Back: back, Looked: looked,
	}
}

// Distrust removes the master beside a variant where a worker could not read it: the next fill fetches.
func (s *Source) Distrust(variantKey string, err error) {
	switch fault.KindOf(err) {
	case fault.NotAnImage, fault.DecodeFailed, fault.TruncatedSource, fault.Poison, fault.UnsupportedFormat:
		key := Key(variantKey)
		s.reads.Forget(key) // Others may share it at this moment.
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
	info, _ := sniff.Inspect(e.Body) // One that cannot be read is for a worker to refuse.
	return &standIn{entry: e, facts: f, info: info, of: variant.Master{
		Width: f.SourceWidth, Height: f.SourceHeight, Format: f.SourceFormat, Bytes: f.SourceBytes, Exact: f.Exact,
	}}
}

// serves reports whether a variant of the master is as good as one of the original. What is told of an original is read
// from itself.
func (m *standIn) serves(spec variant.Spec) bool {
	if spec.Format == variant.Info || spec.HashSum != "" || m.of.Width < 1 || m.of.Height < 1 {
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

// servesAll is serves for every spec.
func (m *standIn) servesAll(specs []variant.Spec) bool {
	return !slices.ContainsFunc(specs, func(s variant.Spec) bool { return !m.serves(s) })
}
