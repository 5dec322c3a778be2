package codec

import (
	"fmt"
	"strings"
	"time"

	"github.com/goldcrest/goldcrest/variant"
)

// view is what the probe saw of a picture.
type view struct {
	traits Traits
	kind   Kind
	print  float64 // the probability of print
	took   time.Duration
}

// probeTile is the side of the tiles that the probe samples; fewestTiles is the number of tiles of the smallest picture
// that is looked at.
const (
	probeTile   = 32
	fewestTiles = 4
)

// look probes the picture once and remembers what it saw. It is nil for what cannot be probed: animations, pictures
// that are not in memory, and tiny ones.
func (p *picture) look(m *Model) *view {
	if p.seen != nil {
		return p.seen
	}
	if p.im == nil || p.frames != 1 || !p.inMemory || (p.size.W/probeTile)*(p.size.H/probeTile) < fewestTiles {
		return nil
	}
	start := time.Now()
	t, err := p.im.traits()
	if err != nil {
		return nil // The trial says nothing of this picture; the table's q is as good as it was.
	}
	p.seen = &view{traits: t, kind: m.Kind(t), print: m.Shares(t)[string(Text)], took: time.Since(start)}
	return p.seen
}

// wish is what is asked of an encode in a format.
func (e *encoder) wish(f variant.Format) wish {
	w := wish{format: f, spec: e.job.spec, targets: e.job.lim.Quality, drift: e.job.lim.Drift}
	if f == variant.AVIF {
		w.effort = e.effort()
	}
	return w
}

// kindOf is the kind that counts, where the URL may have a word in it.
func kindOf(seen Kind, word variant.Legibility) Kind {
	switch {
	case word == variant.LegibleYes:
		return Text
	case word == variant.LegibleNo && seen.legible():
		return Photo
	}
	return seen
}

// flatFrom is the share of pixels that are like their neighbour from which a picture may be smaller without loss than
// with it.
const flatFrom = 0.85

// plain reports whether the picture was seen to be drawn, with at least that share of pixels like their neighbour.
func (e *encoder) plain(share float64) bool {
	v := e.pic.seen
	return v != nil && v.kind != Photo && v.traits.Equal >= share
}

// orLossless is the lossless encode of a drawn, flat picture where the client takes one and it is smaller.
func (e *encoder) orLossless(best encoded) (encoded, error) {
	s := e.job.spec
	if s.Accepts == 0 || best.q == 0 || !e.plain(flatFrom) {
		return best, nil
	}
	f := variant.PNG
	switch {
	case s.Accepts&variant.AcceptWebP != 0:
		f = variant.WebP
	case s.Accepts&variant.AcceptPNG == 0:
		return best, nil
	}
	exact, err := e.save(f, settings{lossless: true, effort: effortWebP, alphaQ: 100, note: "lossless, which is smaller"})
	if err != nil || len(exact.body) >= len(best.body) {
		return best, err
	}
	return exact, nil
}

// inLevels is the picture in few levels, and these without loss, where it is print on flat ground whose target they
// keep, and the client takes a format for it. Up to eight levels cost fewer bytes than any lossy encode of the same
// picture; a URL's own format gives way only to itself.
func (e *encoder) inLevels(f variant.Format) (few encoded, ok bool, err error) {
	s, first := e.job.spec, f
	if exact, takes := exactFormat(s); f != variant.WebP && !takes {
		return few, false, nil
	} else if f != variant.WebP {
		f = exact
	}
	v := e.choices.look(e.pic)
	if v == nil || kindOf(v.kind, s.Legible) != Text || v.traits.Equal < LevelsFlat || e.pic.alpha || explicitQuality(first, s) > 0 || s.AutoSize.Bytes > 0 {
		return few, false, nil
	}
	im, err := e.prepared(f)
	if err != nil {
		return few, false, internal("codec.inLevels", err)
	}
	wanted := max(target(e.wish(f), Text), levelsLeast)
	var reached float64 // of the levels that are kept; 0 = not measured
	var measure func(*pixmap) (float64, error)
	if e.unhurried() && e.measurable() {
		j, err := newJudge(im, true)
		if err != nil {
			return few, false, err
		}
		if j != nil {
			defer j.close()
			measure = func(few *pixmap) (float64, error) {
				if !e.time.More() {
					return 0, nil
				}
				_, reached, err = j.compare(few)
				return reached, err
			}
		}
	}
	pixels, n, err := e.choices.inLevels(im, wanted, measure)
	if err != nil || pixels == nil {
		return few, false, err
	}
	defer pixels.free()
	few, err = e.saveLevels(pixels, f, fmt.Sprintf("text in %d levels, target %.0f", n, wanted))
	few.target, few.score, few.foretold = wanted, reached, measure == nil && e.measurable()
	ok = err == nil && (s.MaxBytes == 0 || len(few.body) <= s.MaxBytes)
	return few, ok, err
}

// exactFormat is the format for pictures without loss that an open URL's client takes.
func exactFormat(s variant.Spec) (f variant.Format, ok bool) {
	switch {
	case s.Accepts&variant.AcceptWebP != 0:
		return variant.WebP, true
	case s.Accepts&variant.AcceptPNG != 0:
		return variant.PNG, true
	}
	return variant.Open, false
}

// saveLevels encodes a picture in few levels without further loss, in WebP or PNG.
func (e *encoder) saveLevels(pixels *pixmap, f variant.Format, note string) (few encoded, err error) {
	set := settings{effort: effortWebP, alphaQ: 100, lossless: true, note: note}
	if f == variant.PNG {
		if set.bits, err = pixels.bits(); err != nil {
			return few, internal("codec.saveLevels", err)
		}
		set.lossless, set.q, set.effort = false, 100, effortPalette
	}
	few, err = e.saveAs(pixels, f, set)
	few.q = 0
	return few, err
}

// choice tells how the quality of an encode was chosen.
func (e *encoder) choice(b encoded) variant.Choice {
	c := variant.Choice{Target: b.target, Predicted: b.predicted, Score: b.score, Tried: strings.Join(e.tried, "; ")}
	if v := e.pic.seen; v != nil {
		c.Kind, c.Print, c.Probe = string(kindOf(v.kind, e.job.spec.Legible)), v.print, v.took
	}
	return c
}

// kindFor is what the picture shows, by the URL's word or by its looks, for an encode in a format; a photo where the
// URL names q, so that nobody needs to look.
func (e *encoder) kindFor(f variant.Format) Kind {
	if explicitQuality(f, e.job.spec) > 0 {
		return Photo
	}
	v := e.choices.look(e.pic)
	if v == nil {
		return kindOf(Photo, e.job.spec.Legible)
	}
	return kindOf(v.kind, e.job.spec.Legible)
}
