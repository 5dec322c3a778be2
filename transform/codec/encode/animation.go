package encode

import (
	"fmt"

	"github.com/goldcrest/goldcrest/transform/codec/choose"
	"github.com/goldcrest/goldcrest/transform/codec/judge"
	"github.com/goldcrest/goldcrest/transform/codec/sequence"
	"github.com/goldcrest/goldcrest/transform/codec/vips"
	"github.com/goldcrest/goldcrest/variant"
)

// moves reports whether a format is an animated AVIF.
func (e *Encoder) moves(f variant.Format) bool { return f == variant.AVIF && e.Pic.Frames > 1 }

// saveMoving returns a function that encodes an animation as AVIF.
func (e *Encoder) saveMoving(im *vips.Image) func(vips.Saving) ([]byte, error) {
	return func(s vips.Saving) ([]byte, error) {
		f, err := e.frames(im)
		if err != nil {
			return nil, err
		}
		return sequence.Encode(f, s.Q, s.Effort == choose.EffortFirst)
	}
}

// frames are the frames of an animation. They share its memory.
func (e *Encoder) frames(im *vips.Image) (sequence.Frames, error) {
	samples, err := im.View()
	return sequence.Frames{Samples: samples, Width: e.Pic.Size.W, Height: e.Pic.Size.H, Bands: im.Facts().Bands,
		Delays: e.Pic.Delays, Loop: e.Pic.Loop}, err
}

// lightestMoving is the smallest of some encodes of an animation. A film is mostly smallest by the fast encoder, a
// drawing or a page that scrolls by the careful one. WebP is rarely smaller than both.
func (e *Encoder) lightestMoving() (Encoded, error) {
	best, err := e.moving()
	if err != nil || e.Job.Spec.Accepts&variant.AcceptWebP == 0 || !e.Time.More() {
		return best, err
	}
	w := e.Wish(variant.WebP)
	c, err := e.attempt(w.Format, e.Choices.Choose(e.Pic, w))
	return smaller(best, c), err
}

func smaller(a, b Encoded) Encoded {
	if len(b.Body) < len(a.Body) {
		return b
	}
	return a
}

// The constants of the loop for an animation: the encodes by the fast encoder, one more of which may follow; how much
// the score rises with q; and how far it may rise, as dots in vivid colours score low at any q in 4:2:0.
const (
	movingEncodes = 2
	movingSlope   = 0.7
	movingReach   = 20
)

// moving is the smallest AVIF of an animation. The careful encoder takes ten times as long as the fast one, and scores
// more than is asked for: it makes one encode, and none of long animations.
func (e *Encoder) moving() (Encoded, error) {
	w := e.Wish(variant.AVIF)
	w.Effort = choose.EffortFirst
	fast := e.Choices.Choose(e.Pic, w)
	w.Effort = choose.EffortFinal
	careful, short := e.Choices.Choose(e.Pic, w), e.Pic.Size.Area()*int64(e.Pic.Frames) <= e.Job.Lim.AVIFPixels
	film, err := e.film(fast)
	switch {
	case err != nil:
		return Encoded{}, err
	case film != nil:
		defer film.Close()
		return e.scored(film, fast, careful, short)
	}
	best, err := e.attempt(variant.AVIF, fast)
	if err != nil || !short || !e.Time.More() {
		return best, err
	}
	c, err := e.attempt(variant.AVIF, careful)
	return smaller(best, c), err
}

// scored is the smallest AVIF of an animation that reaches the target. The careful encoder makes one if it may.
func (e *Encoder) scored(film *judge.Film, fast, careful choose.Settings, may bool) (Encoded, error) {
	r := run{Encoder: e, format: variant.AVIF, settings: fast, film: film}
	l := loop{target: fast.Target, slack: choose.ScoreSlack, excess: scoreExcess, slope: movingSlope,
		level: levels(variant.AVIF), least: fast.Floor, most: movingEncodes, lost: 1}
	if err := r.try(&l, fast.Effort, fast.Q); err != nil {
		return Encoded{}, err
	}
	if e.Time.More() && l.best().score > l.target-movingReach {
		if err := r.tries(&l, fast.Effort, l.next()); err != nil {
			return Encoded{}, err
		}
	}
	if may && e.Time.More() {
		if err := r.try(&l, careful.Effort, careful.Q); err != nil {
			return Encoded{}, err
		}
	}
	best := l.best()
	best.Note = fmt.Sprintf("%s, measured %.1f", best.Note, best.score)
	return best.Encoded, nil
}

// film is what scores AVIFs of the animation; nil if there is no target, or the frames are too small.
func (e *Encoder) film(s choose.Settings) (*judge.Film, error) {
	if spec := e.Job.Spec; s.Target == 0 || spec.MaxBytes > 0 || spec.AutoSize.Bytes > 0 {
		return nil, nil
	}
	im, err := e.prepared(variant.AVIF)
	if err != nil {
		return nil, vips.Internal("codec.film", err)
	}
	f, err := e.frames(im)
	if err != nil {
		return nil, vips.Internal("codec.film", err)
	}
	return judge.NewFilm(f)
}
