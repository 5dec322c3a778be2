package codec

import (
	"fmt"
	"math"

	"github.com/goldcrest/goldcrest/sniff"
	"github.com/goldcrest/goldcrest/transform/codec/score"
	"github.com/goldcrest/goldcrest/variant"
)

// tileSide is the side of the parts that a page of print is judged by: some lines of it.
const tileSide = 256

// judge compares encodes of one picture with its pixels. It keeps a copy of these, and belongs to one goroutine at a
// time.
type judge struct {
	ref   score.Pixels
	whole *score.Scorer
	tiles []tile
	part  *score.Scorer // of a tile; nil where there are none
}

type tile struct{ x, y int }

// newJudge makes a judge, which the caller must close. print has it look at tiles that hold print, too. It is nil for
// pictures that are too small to have a score.
func newJudge(im *pixmap, print bool) (*judge, error) {
	ref, err := scorable(im)
	if err != nil {
		return nil, err
	}
	j := &judge{ref: ref}
	if j.whole, err = score.New(ref.Width, ref.Height); err == score.ErrSize {
		return nil, nil
	} else if err != nil {
		return nil, internal("codec.judge", err)
	}
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
			j.close()
			return nil, internal("codec.judge", err)
		}
	}
	return j, nil
}

func (j *judge) close() {
	j.whole.Close()
	if j.part != nil {
		j.part.Close()
	}
}

// scores are those of an encode as a client decodes it: of the whole, and of its worst tile, which is the whole where
// there are none.
func (j *judge) scores(body []byte) (all, worst float64, err error) {
	info, err := sniff.Inspect(body)
	if err != nil {
		return 0, 0, err
	}
	lim := Limits{Pixels: math.MaxInt64, ResultPixels: math.MaxInt64, AVIFPixels: math.MaxInt64, Frames: 1}
	pic, err := decoded(body, info, variant.Spec{Format: variant.PNG}, lim)
	if err != nil {
		return 0, 0, err
	}
	defer pic.free()
	return j.compare(pic.im)
}

// compare is scores of pixels.
func (j *judge) compare(im *pixmap) (all, worst float64, err error) {
	got, err := scorable(im)
	if err != nil {
		return 0, 0, err
	}
	if all, err = j.whole.Score(j.ref, got); err != nil {
		return 0, 0, internal("codec.scores", err)
	}
	worst = all
	for _, t := range j.tiles {
		v, err := j.part.Score(part(j.ref, t), part(got, t))
		if err != nil {
			return 0, 0, internal("codec.scores", err)
		}
		worst = min(worst, v)
	}
	return all, worst, nil
}

// part is a tile of a picture, which shares its bytes.
func part(p score.Pixels, t tile) score.Pixels {
	pitch := p.Width * p.Bands
	return score.Pixels{Data: p.Data[t.y*pitch+t.x*p.Bands:], Width: tileSide, Height: tileSide, Bands: p.Bands, Pitch: pitch}
}

// busy reports whether a tile holds print or the like: steep steps in at least a fortieth of its pixels.
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

// scorable copies the samples of a picture of 8 bits, grey or colour, as the score takes them.
func scorable(im *pixmap) (score.Pixels, error) {
	samples, err := im.samples()
	if err != nil {
		return score.Pixels{}, internal("codec.scorable", err)
	}
	s, bands := im.size(), im.facts().bands
	if bands < 3 {
		wide := make([]byte, 0, (bands+2)*s.W*s.H)
		for i := 0; i < len(samples); i += bands {
			wide = append(append(wide, samples[i], samples[i], samples[i]), samples[i+1:i+bands]...)
		}
		samples, bands = wide, bands+2
	}
	return score.Pixels{Data: samples, Width: s.W, Height: s.H, Bands: bands}, nil
}

// decoded renders an original in memory.
func decoded(original []byte, info sniff.Info, spec variant.Spec, lim Limits) (*picture, error) {
	src, err := open(variant.Original{Body: original}, info, lim)
	if err != nil {
		return nil, err
	}
	defer src.close()
	j, err := newJob(0, spec, variant.StageFinal, src, lim)
	if err != nil {
		return nil, err
	}
	pic, err := render(src, j)
	if err != nil {
		return nil, err
	}
	if err := pic.im.memory(); err != nil {
		pic.free()
		return nil, internal("codec.decoded", err)
	}
	return pic, nil
}

// Judge compares encodes of a Raster with it. It belongs to one goroutine at a time, and Close gives its memory back.
type Judge struct{ j *judge }

// Judge makes a Judge; print has it look at the parts that hold print, too.
func (r *Raster) Judge(print bool) (*Judge, error) {
	j, err := newJudge(r.im, print)
	if err == nil && j == nil {
		err = fmt.Errorf("codec.Judge: %w", score.ErrSize)
	}
	if err != nil {
		return nil, err
	}
	return &Judge{j}, nil
}

// Close gives the memory back.
func (j *Judge) Close() { j.j.close() }

// Score is the SSIMULACRA2 of an encode: of the whole, and of its worst part of print (the whole's where there is
// none).
func (j *Judge) Score(body []byte) (all, worst float64, err error) { return j.j.scores(body) }
