// Package judge scores encodes against the pixels from which they were made.
package judge

import (
	"math"
	"runtime"

	"github.com/goldcrest/goldcrest/transform"
	"github.com/goldcrest/goldcrest/transform/codec/render"
	"github.com/goldcrest/goldcrest/transform/codec/score"
	"github.com/goldcrest/goldcrest/transform/codec/vips"
	"github.com/goldcrest/goldcrest/variant"
)

// tileSide is the side of the tiles by which a page of print is judged: some lines of text.
const tileSide = 256

// Judge compares encodes of one picture with its pixels. It belongs to one goroutine at a time.
type Judge struct {
	im    *vips.Image
	ref   score.Pixels // the samples of im
	whole *score.Scorer
	tiles []tile
	part  *score.Scorer // for one tile; nil if there are no tiles
}

type tile struct{ x, y int }

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
		for y := 0; y+tileSide <= ref.Height; y += tileSide {
			for x := 0; x+tileSide <= ref.Width; x += tileSide {
				if busy(ref, x, y) {
					j.tiles = append(j.tiles, tile{x, y})
				}
			}
		}
	}
	if len(j.tiles) > 0 {
		if j.part, err = score.New(tileSide, tileSide); err != nil {
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
	if len(body) > 8 && string(body[4:8]) == "ftyp" { // AVIF
		im, err := vips.DecodeAVIF(body)
		if err != nil {
			return 0, 0, vips.Internal("codec.score", err)
		}
		defer im.Free()
		return j.Compare(im)
	}
	lim := transform.Limits{Pixels: math.MaxInt64, ResultPixels: math.MaxInt64, AVIFPixels: math.MaxInt64, Frames: 1}
	pic, err := render.Alone(body, variant.Spec{Format: variant.PNG}, lim)
	if err != nil {
		return 0, 0, err
	}
	defer pic.Free()
	return j.Compare(pic.Im)
}

// Compare is Score for pixels.
func (j *Judge) Compare(im *vips.Image) (all, worst float64, err error) {
	got, err := scorable(im)
	if err != nil {
		return 0, 0, err
	}
	defer runtime.KeepAlive(im)
	if all, err = j.whole.Score(j.ref, got); err != nil {
		return 0, 0, vips.Internal("codec.scores", err)
	}
	worst = all
	for _, t := range j.tiles {
		v, err := j.part.Score(part(j.ref, t), part(got, t))
		if err != nil {
			return 0, 0, vips.Internal("codec.scores", err)
		}
		worst = min(worst, v)
	}
	return all, worst, nil
}

// part is a tile of a picture. It shares the picture's bytes.
func part(p score.Pixels, t tile) score.Pixels {
	pitch := p.Width * p.Bands
	return score.Pixels{Data: p.Data[t.y*pitch+t.x*p.Bands:], Width: tileSide, Height: tileSide, Bands: p.Bands, Pitch: pitch}
}

// busy reports whether a tile contains print or the like: steep steps in more than a fortieth of its pixels.
func busy(p score.Pixels, x, y int) bool {
	steps := 0
	for r := y; r < y+tileSide; r++ {
		for c := x + 1; c < x+tileSide; c++ {
			i := (r*p.Width + c) * p.Bands
			if d := int(p.Data[i]) - int(p.Data[i-p.Bands]); d > 48 || d < -48 {
				steps++
			}
		}
	}
	return steps > tileSide*tileSide/40
}

// scorable is the samples of an 8-bit picture in memory, grey or colour, as input for the score. They are valid as long
// as the picture.
func scorable(im *vips.Image) (score.Pixels, error) {
	samples, err := im.View()
	if err != nil {
		return score.Pixels{}, vips.Internal("codec.scorable", err)
	}
	s, bands := im.Size(), im.Facts().Bands
	if bands < 3 {
		wide := make([]byte, 0, (bands+2)*s.W*s.H)
		for i := 0; i < len(samples); i += bands {
			wide = append(append(wide, samples[i], samples[i], samples[i]), samples[i+1:i+bands]...)
		}
		samples, bands = wide, bands+2
	}
	return score.Pixels{Data: samples, Width: s.W, Height: s.H, Bands: bands}, nil
}
