package look

// Kind is what a picture shows, as far as it decides quality.
type Kind string

// The kinds. Mixed is a picture with signs of print that is not a document: it gets the quality of whichever needs
// more.
const (
	Photo   Kind = "photo"
	Text    Kind = "text"
	Graphic Kind = "graphic"
	Mixed   Kind = "mixed"
)

// The probabilities of print from which a picture counts as text, and as mixed. A document taken for a photo may become
// illegible; a photo taken for text costs some bytes more.
const (
	textFrom  = 0.5
	mixedFrom = 0.2
)

// Kind is the kind that the traits speak for.
func (m *Model) Kind(t Traits) Kind {
	p := m.Shares(t)
	switch {
	case p[string(Text)] >= textFrom:
		return Text
	case p[string(Text)] >= mixedFrom:
		return Mixed
	case p[string(Graphic)] > p[string(Photo)]:
		return Graphic
	}
	return Photo
}

// Legible reports whether the kind keeps its pixels and the floor of texts.
func (k Kind) Legible() bool { return k == Text || k == Mixed }
