package look

// Kind is the kind of content of a picture, as far as it decides quality.
type Kind string

// The kinds. Mixed is a picture with signs of print that is not a document: it gets the higher quality of the two.
const (
	Photo   Kind = "photo"
	Text    Kind = "text"
	Graphic Kind = "graphic"
	Mixed   Kind = "mixed"
)

// The probabilities of print from which a picture counts as text, and as mixed. A document that is taken for a photo
// may become illegible; a photo that is taken for text only costs some bytes.
const (
	textFrom  = 0.5
	mixedFrom = 0.2
)

// Kind returns the kind for the traits.
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

// Legible reports whether pictures of this kind keep their pixels and have the minimum quality of texts.
func (k Kind) Legible() bool { return k == Text || k == Mixed }
