package encode

import (
	"fmt"

	"github.com/goldcrest/goldcrest/transform/codec/choose"
	"github.com/goldcrest/goldcrest/transform/codec/judge"
	"github.com/goldcrest/goldcrest/transform/codec/look"
	"github.com/goldcrest/goldcrest/transform/codec/vips"
	"github.com/goldcrest/goldcrest/variant"
)

// Palettes are tried for pictures with so large a share of pixels equal to their neighbour, and so few colours. Of 27
// pages and screens and 14 drawings, none outside was smaller in a palette. A first answer tries them within narrower
// bounds: outside, more than four of five tries are in vain.
const (
	paletteFlat, paletteColours           = 0.7, 10000
	paletteFlatFirst, paletteColoursFirst = 0.85, 4096
)

// palettes are tried for what is drawn, coarsest first. The last one keeps every colour of a picture with up to 256.
var palettes = []vips.Palette{
	{Bits: 2, Q: 100}, {Bits: 8, Q: 10}, {Bits: 8, Q: 30}, {Bits: 8, Q: 50},
	{Bits: 8, Q: 70}, {Bits: 8, Q: 80}, {Bits: 8, Q: 90}, {Bits: 8, Q: 100},
}

// A lossless encoder spends 0.5 to 0.9 bytes on each edge (see look.Edges) in a fine palette, and half of that in a coarse
// one. Of 59 tries in WebP for 65 pages and screens and 43 drawings, in the class normal, 19 of the 20 with up to 1.5 edges
// for each byte of the lossy encode were smaller than it, and 3 of the 39 with more: two of them have up to 3 edges and few
// colours. All smaller PNGs have up to 3.5.
const (
	paletteEdges, paletteEdgesMost, paletteEdgesPNG = 1.5, 3, 3.5
	paletteColoursEdgy                              = 3000
)

// suitsPalette reports whether a picture, ready for an encoder of format f, is worth a try in a palette: whether that may
// be smaller than a lossy encode of so many bytes.
func (e *Encoder) suitsPalette(im *vips.Image, f variant.Format, lossy int) (bool, error) {
	flat, colours := paletteFlat, paletteColours
	if !e.unhurried() {
		flat, colours = paletteFlatFirst, paletteColoursFirst
	}
	if !e.plain(flat) || im.Facts().Bands == 2 { // Palettes are of colours.
		return false, nil
	}
	edges, err := look.Edges(im)
	if err != nil {
		return false, err
	}
	switch each := float64(edges) / float64(lossy); {
	case f == variant.PNG && each > paletteEdgesPNG, f != variant.PNG && each > paletteEdgesMost:
		return false, nil
	case f != variant.PNG && each > paletteEdges:
		colours = min(colours, paletteColoursEdgy)
	}
	n, err := look.Colours(im, colours)
	return n <= colours, err
}

// orPalette returns a drawn, flat picture in a palette, encoded without loss, if the client accepts a format for it, it
// keeps the target and the shades, and it is smaller than best. Otherwise it returns best.
func (e *Encoder) orPalette(best Encoded) (Encoded, error) {
	s := e.Job.Spec
	f, ok := exactFormat(s)
	if !ok || best.Q == 0 || best.target == 0 || s.AutoSize.Bytes > 0 || !e.measurable() {
		return best, nil
	}
	im, err := e.prepared(f)
	if err == nil {
		ok, err = e.suitsPalette(im, f, len(best.Body))
	}
	if err != nil {
		return best, vips.Internal("codec.orPalette", err)
	}
	if !ok {
		return best, nil
	}
	j, err := judge.New(im, e.kindFor(f).Legible())
	if j == nil || err != nil {
		return best, err
	}
	defer j.Close()
	settings := choose.Settings{Target: max(best.target, look.LevelsLeast)}
	return run{Encoder: e, judge: j, format: f, settings: settings}.coarsest(im, best)
}

// coarsest returns the picture in the coarsest palette that is good enough and smaller than best, or best.
func (r run) coarsest(im *vips.Image, best Encoded) (Encoded, error) {
	smallest := best
	for low, high := 0, len(palettes); low < high && r.Time.More(); {
		at := (low + high) / 2
		c, keeps, err := r.inPalette(im, palettes[at], len(smallest.Body))
		switch {
		case err != nil:
			return best, err
		case len(c.Body) > len(best.Body)*3/2: // Coarser ones are hardly smaller by as much.
			return smallest, nil
		case len(c.Body) >= len(smallest.Body):
			high = at
		case keeps:
			smallest, high = c, at
		default:
			low = at + 1
		}
	}
	return smallest, nil
}

// inPalette encodes the picture in a palette. keeps reports whether it has fewer bytes than limit and keeps the target
// and the shades.
func (r run) inPalette(im *vips.Image, p vips.Palette, limit int) (c Encoded, keeps bool, err error) {
	few, err := im.InPalette(p)
	if err != nil {
		return c, false, vips.Internal("codec.inPalette", err)
	}
	defer few.Free()
	if c, err = r.saveLevels(few, r.format, ""); err != nil || len(c.Body) >= limit {
		return c, false, err
	}
	if keeps, err = look.KeepsShades(im, few); err != nil {
		return c, false, vips.Internal("codec.inPalette", err)
	}
	if !keeps {
		return c, false, nil
	}
	c.target = r.settings.Target
	c.score, err = r.judge.Least(few, c.target-choose.ScoreSlack)
	c.Note = fmt.Sprintf("a palette, target %.0f, measured %.1f", c.target, c.score)
	r.tried[len(r.tried)-1] += fmt.Sprintf(" score %.1f", c.score)
	return c, c.score >= c.target-choose.ScoreSlack, err
}
