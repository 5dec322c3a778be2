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

// What decides where the model is unsure. Print lies on plain ground. A camera makes blocks without any step, too, but
// not beside tiles that look like print. Foliage and stars look like print, but leave no ground between them, and the
// trial loses much of their contrast.
const (
	printTiles  = 0.06 // share of tiles that look like print, from which a picture with plain ground has print in it
	plainBlocks = 0.3  // share of blocks without any step of a picture with plain ground
	wildBlocks  = 0.02 // below this share of blocks without any step
	wildTiles   = 0.06 // and this share of tiles of one level, a picture has no plain ground
	wildSoft    = 0.1  // contrast lost by the trial
)

// wild reports whether a picture has no ground on which print could lie.
func wild(t Traits) bool { return t.Flat < wildBlocks && t.Plain < wildTiles && t.Soft >= wildSoft }

// Kind returns the kind for the traits.
func (m *Model) Kind(t Traits) Kind {
	p := m.Shares(t)
	switch text := p[string(Text)]; {
	case text >= textFrom:
		return Text
	case text >= mixedFrom && !wild(t):
		return Mixed
	case t.Print >= printTiles && t.Flat >= plainBlocks:
		return Mixed
	case p[string(Graphic)] > p[string(Photo)]:
		return Graphic
	}
	return Photo
}

// Legible reports whether pictures of this kind keep their pixels and have the minimum quality of texts.
func (k Kind) Legible() bool { return k == Text || k == Mixed }
