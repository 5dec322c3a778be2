package master

import (
	"github.com/goldcrest/goldcrest/pipeline/fetch"
	"github.com/goldcrest/goldcrest/variant"
)

// Making is a master while it is made.
type Making struct {
	source *Source
	key    string
	made   *variant.Image
}

// Begin starts the missing master of an original; nil = there is nothing to make. It starts at most one per download,
// and limits the number of originals held for it. End must be called.
func (s *Source) Begin(got fetch.Supply, variantKey string) *Making {
	if !got.Missing || got.Master != nil || got.Info.Frames > 1 || got.NoStore {
		return nil
	}
	key := Key(variantKey)
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.making[key] || *got.Claimed:
		return nil
	case len(s.making) >= behind:
		s.parts.Outcome("dropped")
		return nil
	}
	s.making[key], *got.Claimed = true, true
	return &Making{source: s, key: key}
}

// Spec is the spec of the master.
func (m *Making) Spec() variant.Spec {
	return variant.Spec{Master: true, Width: m.source.side, Height: m.source.side}
}

// Made records the result for Spec. A master that fails does not fail the variants.
func (m *Making) Made(img variant.Image, err error) {
	if err == nil {
		m.made = &img
	}
}

// Drop cancels a master that was not begun.
func (m *Making) Drop() {
	m.source.parts.Outcome("dropped")
	m.done()
}

// End stores the master.
func (m *Making) End(save func(key string, img variant.Image) error) {
	defer m.done()
	if m.made == nil || save(m.key, *m.made) != nil {
		m.source.parts.Outcome("failed")
		return
	}
	m.source.parts.Outcome("made")
}

func (m *Making) done() {
	m.source.mu.Lock()
	defer m.source.mu.Unlock()
	delete(m.source.making, m.key)
}
