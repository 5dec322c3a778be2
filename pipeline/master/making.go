package master

import (
	"github.com/goldcrest/goldcrest/pipeline/fetch"
	"github.com/goldcrest/goldcrest/variant"
)

// Making is the making of one master.
type Making struct {
	source *Source
	key    string
	made   *variant.Image
}

// Begin begins the making of the master that an original is to have and has not; nil = there is nothing to make. It is
// made once of each download, and of no more than a few originals at a time. End must be called.
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

// Spec asks for the master.
func (m *Making) Spec() variant.Spec {
	return variant.Spec{Master: true, Width: m.source.side, Height: m.source.side}
}

// Made takes what came of Spec. That it could not be made is no fault of the variants.
func (m *Making) Made(img variant.Image, err error) {
	if err == nil {
		m.made = &img
	}
}

// Drop ends a making that was not begun.
func (m *Making) Drop() {
	m.source.parts.Outcome("dropped")
	m.done()
}

// End stores what was made.
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
