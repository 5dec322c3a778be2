package render

import (
	"time"

	"github.com/goldcrest/goldcrest/transform"
	"github.com/goldcrest/goldcrest/transform/codec/decode"
	"github.com/goldcrest/goldcrest/transform/codec/geometry"
	"github.com/goldcrest/goldcrest/transform/codec/look"
	"github.com/goldcrest/goldcrest/transform/codec/vips"
	"github.com/goldcrest/goldcrest/variant"
)

// Picture is a rendered variant in memory, before encoding: upright, 8-bit sRGB or grey, with alpha only if some pixel
// needs it. The frames of an animation are stacked vertically.
type Picture struct {
	Im     *vips.Image
	Size   geometry.Size // of one frame
	Asked  geometry.Size // the size that the URL asks for, if it was too large; else zero
	Alpha  bool
	Grey   bool
	Frames int
	Delays []int
	Loop   int
	Seen   *look.View // the result of the probe; nil = not probed yet

	inMemory bool // the pixels may be read more than once
	sum      summary
}

// Free frees the picture's memory.
func (p *Picture) Free() {
	p.Im.Free()
	p.sum.cells.Free()
}

// Look probes the picture once and keeps the result. It is nil for pictures that cannot be probed: animations, pictures
// that are not in memory, and tiny ones.
func (p *Picture) Look(m *look.Model) *look.View {
	if p.Seen != nil {
		return p.Seen
	}
	if p.Im == nil || p.Frames != 1 || !p.inMemory || (p.Size.W/look.ProbeTile)*(p.Size.H/look.ProbeTile) < look.FewestTiles {
		return nil
	}
	start := time.Now()
	t, letters, err := look.Probe(p.Im)
	if err != nil {
		return nil // Without a trial, the q of the table is used.
	}
	p.Seen = &look.View{Traits: t, Kind: m.Kind(t), Print: m.Shares(t)[string(look.Text)], Letters: letters, Took: time.Since(start)}
	return p.Seen
}

// finish copies the pixels into memory, so that encoders can read them repeatedly, and drops an alpha channel that is
// opaque everywhere.
func finish(im *vips.Image, j *Job, frames int) (*Picture, error) {
	f := im.Facts()
	p := &Picture{Im: im, Size: geometry.Size{W: f.Width, H: f.Height / frames}, Alpha: f.Alpha, Grey: f.Grey, Frames: frames}
	var err error
	if err = p.watch(); err == nil && j.Streamed {
		return p, nil
	}
	if err == nil {
		err = im.Memory()
	}
	if err == nil && p.Alpha {
		var opaque bool
		if opaque, err = im.Opaque(); err == nil && opaque {
			err = im.DropAlpha()
			p.Alpha = false
		}
	}
	if err != nil {
		p.Free()
		return nil, vips.Internal("codec.finish", err)
	}
	p.inMemory = true
	return p, nil
}

// Alone renders one variant of an original in memory.
func Alone(original []byte, spec variant.Spec, lim transform.Limits) (*Picture, error) {
	src, err := decode.Open(variant.Original{Body: original}, lim)
	if err != nil {
		return nil, err
	}
	defer src.Close()
	j, err := NewJob(0, spec, variant.StageFinal, src, lim)
	if err != nil {
		return nil, err
	}
	pic, err := Make(src, j)
	if err != nil {
		return nil, err
	}
	if err := pic.Im.Memory(); err != nil {
		pic.Free()
		return nil, vips.Internal("render.Alone", err)
	}
	return pic, nil
}
