// Package judge scores encodes against the pixels from which they were made.
package judge

import (
	"math"
	"runtime"
	"slices"

	"github.com/goldcrest/goldcrest/transform"
	"github.com/goldcrest/goldcrest/transform/codec/geometry"
	"github.com/goldcrest/goldcrest/transform/codec/render"
	"github.com/goldcrest/goldcrest/transform/codec/score"
	"github.com/goldcrest/goldcrest/transform/codec/vips"
	"github.com/goldcrest/goldcrest/variant"
)

// tileSide is about the side of the tiles by which a page of print is judged: some lines of text.
const tileSide = 256

// wholeAhead is how far the score of the whole is above that of the worst tile, from which the whole does not decide
// for another encode of the same picture either. In 1 % of 27,000 pairs of encodes of pages and screens it did, mostly by
// less than half a point.
const wholeAhead = 1

// Judge compares encodes of one picture with its pixels. It belongs to one goroutine at a time.
type Judge struct {
	im    *vips.Image
	ref   score.Pixels // the samples of im
	whole *score.Scorer
	tiles []geometry.Rect // all of one size
	part  *score.Scorer   // for one tile; nil if there are no tiles
	ahead bool            // the whole scored higher than the worst tile by wholeAhead
}

// New makes a Judge, which the caller must close. If print is set, it also scores tiles that contain print. It returns
// nil for pictures that are too small for a score.
func New(im *vips.Image, print bool) (*Judge, error) {
	ref, err := scorable(im)
	if err != nil {
		return nil, err
	}
	j := &Judge{ref: ref}
	if j.whole, err = score.New(ref.Width, ref.Height); err == score.ErrSize {
		return nil, nil
	} else if err != nil {
		return nil, vips.Internal("codec.judge", err)
	}
	j.im = im.Clone()
	if print {
		j.tiles = slices.DeleteFunc(tiling(ref.Width, ref.Height), func(t geometry.Rect) bool { return !busy(part(ref, t)) })
	}
	if len(j.tiles) > 0 {
		if j.part, err = score.New(j.tiles[0].W, j.tiles[0].H); err != nil {
			j.Close()
			return nil, vips.Internal("codec.judge", err)
		}
	}
	return j, nil
}

// Close frees the memory.
func (j *Judge) Close() {
	j.im.Free()
	j.whole.Close()
	if j.part != nil {
		j.part.Close()
	}
}

// Score returns the SSIMULACRA2 of an encode as a client decodes it: of the whole, and of its worst tile. Without tiles
// both are the same.
func (j *Judge) Score(body []byte) (all, worst float64, err error) {
	im, err := decoded(body)
	if err != nil {
		return 0, 0, err
	}
	defer im.Free()
	got, err := scorable(im)
	if err != nil {
		return 0, 0, err
	}
	defer runtime.KeepAlive(im)
	if worst, err = j.worstTile(got, math.Inf(-1)); err == nil {
		all, err = j.scoreWhole(got, worst)
	}
	return all, min(all, worst), err
}

// Worst is the second result of Score. It takes half of the time where an earlier score of the whole was far above that
// of the worst tile.
func (j *Judge) Worst(body []byte) (float64, error) {
	im, err := decoded(body)
	if err != nil {
		return 0, err
	}
	defer im.Free()
	return j.Least(im, math.Inf(-1))
}

// decoded is an encode as a client decodes it.
func decoded(body []byte) (*vips.Image, error) {
	if len(body) > 8 && string(body[4:8]) == "ftyp" { // AVIF
		im, err := vips.DecodeAVIF(body)
		if err != nil {
			return nil, vips.Internal("codec.score", err)
		}
		return im, nil
	}
	lim := transform.Limits{Pixels: math.MaxInt64, ResultPixels: math.MaxInt64, AVIFPixels: math.MaxInt64, Frames: 1}
	asIs := variant.Keep{KeepProfile: true} // The pixels of an encode with a profile were not converted either.
	pic, err := render.Alone(body, variant.Spec{Format: variant.PNG, Keep: asIs}, lim)
	if err != nil {
		return nil, err
	}
	return pic.Im, nil
}

// Least is Worst for pixels. If a tile scores below enough, it returns the score of the first such tile.
func (j *Judge) Least(im *vips.Image, enough float64) (float64, error) {
	got, err := scorable(im)
	if err != nil {
		return 0, err
	}
	defer runtime.KeepAlive(im)
	worst, err := j.worstTile(got, enough)
	if err != nil || worst < enough || j.ahead {
		return worst, err
	}
	all, err := j.scoreWhole(got, worst)
	return min(all, worst), err
}

// worstTile is the lowest score of a tile, or the first one below enough; infinite without tiles.
func (j *Judge) worstTile(got score.Pixels, enough float64) (float64, error) {
	worst := math.Inf(1)
	for _, t := range j.tiles {
		v, err := j.part.Score(part(j.ref, t), part(got, t))
		if err != nil {
			return 0, vips.Internal("codec.scores", err)
		}
		if worst = min(worst, v); worst < enough {
			break
		}
	}
	return worst, nil
}

// scoreWhole is the score of the whole, whose worst tile is known.
func (j *Judge) scoreWhole(got score.Pixels, worst float64) (float64, error) {
	all, err := j.whole.Score(j.ref, got)
	if err != nil {
		return 0, vips.Internal("codec.scores", err)
	}
	j.ahead = all > worst+wholeAhead
	return all, nil
}

// tiling covers a picture with tiles of one size, nearest to tileSide. They overlap by no more than a pixel or so. A
// picture no larger than one tile has none.
func tiling(width, height int) (tiles []geometry.Rect) {
	across, down := max(1, (width+tileSide/2)/tileSide), max(1, (height+tileSide/2)/tileSide)
	if across*down == 1 {
		return nil
	}
	t := geometry.Rect{W: (width + across - 1) / across, H: (height + down - 1) / down}
	for i := range across * down {
		t.X, t.Y = (i%across)*(width-t.W)/max(1, across-1), (i/across)*(height-t.H)/max(1, down-1)
		tiles = append(tiles, t)
	}
	return tiles
}

// part is a part of a picture. It shares the picture's bytes.
func part(p score.Pixels, t geometry.Rect) score.Pixels {
	pitch := p.Width * p.Bands
	return score.Pixels{Data: p.Data[t.Y*pitch+t.X*p.Bands:], Width: t.W, Height: t.H, Bands: p.Bands, Pitch: pitch}
}

// busy reports whether a tile contains print or the like: steep steps, in any colour, in more than a fortieth of its
// pixels.
func busy(p score.Pixels) bool {
	steps := 0
	for y := range p.Height {
		row := p.Data[y*p.Pitch : y*p.Pitch+p.Width*p.Bands]
		for i := p.Bands; i < len(row); i += p.Bands {
			if steep(row[i], row[i-p.Bands]) || steep(row[i+1], row[i+1-p.Bands]) || steep(row[i+2], row[i+2-p.Bands]) {
				steps++
			}
		}
	}
	return steps > p.Width*p.Height/40
}

func steep(a, b byte) bool { return int(a)-int(b) > 48 || int(b)-int(a) > 48 }

// scorable is the samples of an 8-bit picture in memory, grey or colour, as input for the score. They are valid as long
// as the picture.
func scorable(im *vips.Image) (score.Pixels, error) {
	samples, err := im.View()
	if err != nil {
		return score.Pixels{}, vips.Internal("codec.scorable", err)
	}
	s := im.Size()
	return wide(samples, s.W, s.H, im.Facts().Bands), nil
}

// wide is a picture with three bands or four: grey counts three times.
func wide(samples []byte, width, height, bands int) score.Pixels {
	if bands < 3 {
		all := make([]byte, 0, (bands+2)*width*height)
		for i := 0; i < len(samples); i += bands {
			all = append(append(all, samples[i], samples[i], samples[i]), samples[i+1:i+bands]...)
		}
		samples, bands = all, bands+2
	}
	return score.Pixels{Data: samples, Width: width, Height: height, Bands: bands}
}
