package encode

import (
	"github.com/goldcrest/goldcrest/transform/codec/choose"
	"github.com/goldcrest/goldcrest/transform/codec/sequence"
	"github.com/goldcrest/goldcrest/transform/codec/vips"
	"github.com/goldcrest/goldcrest/variant"
)

// moves reports whether a format is an animated AVIF.
func (e *Encoder) moves(f variant.Format) bool { return f == variant.AVIF && e.Pic.Frames > 1 }

// saveMoving returns a function that encodes an animation as AVIF.
func (e *Encoder) saveMoving(im *vips.Image) func(vips.Saving) ([]byte, error) {
	return func(s vips.Saving) ([]byte, error) {
		samples, err := im.View()
		if err != nil {
			return nil, err
		}
		f := sequence.Frames{Samples: samples, Width: e.Pic.Size.W, Height: e.Pic.Size.H, Bands: im.Facts().Bands,
			Delays: e.Pic.Delays, Loop: e.Pic.Loop}
		return sequence.Encode(f, s.Q, s.Effort == choose.EffortFirst)
	}
}

// lightestMoving is the smallest of three encodes of an animation, of about the same quality. A film is mostly smallest
// by the fast encoder, a drawing or a page that scrolls by the careful one. WebP is rarely smaller than both. The
// careful encoder takes ten times as long as the others, so it gets no long animations.
func (e *Encoder) lightestMoving() (Encoded, error) {
	w := e.Wish(variant.AVIF)
	w.Effort = choose.EffortFirst
	best, err := e.attempt(variant.AVIF, e.Choices.Choose(e.Pic, w))
	if err != nil {
		return best, err
	}
	var wishes []choose.Wish
	if e.Pic.Size.Area()*int64(e.Pic.Frames) <= e.Job.Lim.AVIFPixels {
		w.Effort = choose.EffortFinal
		wishes = append(wishes, w)
	}
	if e.Job.Spec.Accepts&variant.AcceptWebP != 0 {
		wishes = append(wishes, e.Wish(variant.WebP))
	}
	for _, w := range wishes {
		if !e.Time.More() {
			break
		}
		c, err := e.attempt(w.Format, e.Choices.Choose(e.Pic, w))
		if err != nil {
			return c, err
		}
		if len(c.Body) < len(best.Body) {
			best = c
		}
	}
	return best, nil
}
