// Package render makes the pixels of variants from decoded sources: jobs, and the pictures made from them. It does not
// depend on encoders.
package render

import (
	"github.com/goldcrest/goldcrest/transform/codec/decode"
	"github.com/goldcrest/goldcrest/transform/codec/geometry"
	"github.com/goldcrest/goldcrest/transform/codec/vips"
	"github.com/goldcrest/goldcrest/variant"
)

// Make makes the pixels of a job: trim, crop, scale, turn, crop to the result, blur, sharpen, pixelate, extend, pad.
func Make(src *decode.Source, j *Job) (*Picture, error) {
	if j.Frames > 1 {
		return renderAnimation(src, j)
	}
	im, err := j.pixels(src)
	if err != nil {
		return nil, err
	}
	r := renderer{src: src, job: j, plan: j.Plan, im: im}
	if err := r.run(); err != nil {
		im.Free()
		return nil, err
	}
	pic, err := finish(im, j, 1)
	if err == nil {
		pic.Asked = r.plan.Asked
	}
	return pic, err
}

// pixels returns the image from which a still is made.
func (j *Job) pixels(src *decode.Source) (*vips.Image, error) {
	if j.From != nil {
		return j.From.Pic.Im.Clone(), nil
	}
	return src.Load(j.Load)
}

// renderAnimation renders each frame separately, so that frames do not bleed into each other, and stacks them again.
// Decisions that depend on a frame's content (trim, attention) are made for the first frame and reused.
func renderAnimation(src *decode.Source, j *Job) (*Picture, error) {
	roll, err := src.Load(j.Load)
	if err != nil {
		return nil, err
	}
	defer roll.Free()
	if err := src.Keep(roll); err != nil {
		return nil, vips.Undecodable("codec.render", err)
	}
	frames := make([]*vips.Image, 0, j.Frames)
	defer func() {
		for _, f := range frames {
			f.Free()
		}
	}()
	first := renderer{src: src, job: j, plan: j.Plan}
	for i := range j.Frames {
		f := roll.Clone()
		frames = append(frames, f)
		if err := f.Extract(geometry.Rect{X: 0, Y: i * src.Stored.H, W: src.Stored.W, H: src.Stored.H}); err != nil {
			return nil, vips.Undecodable("codec.render", err)
		}
		first.im = f
		if err := first.run(); err != nil {
			return nil, err
		}
	}
	joined, err := vips.Join(frames)
	if err != nil {
		return nil, vips.Internal("codec.render", err)
	}
	pic, err := finish(joined, j, j.Frames)
	if err != nil {
		return nil, err
	}
	pic.Asked = first.plan.Asked
	pic.Loop, pic.Delays = src.Facts.Loop, make([]int, j.Frames)
	for i := range pic.Delays {
		pic.Delays[i] = 100 // The delay that browsers use if the file gives none.
		if i < len(src.Delays) {
			pic.Delays[i] = src.Delays[i]
		}
	}
	return pic, nil
}

// renderer runs the steps on one frame. Later frames reuse the decisions of the first.
type renderer struct {
	src  *decode.Source
	job  *Job
	plan geometry.Plan
	im   *vips.Image

	decided  bool
	trimmed  geometry.Rect // the area inside the border, as stored
	smartly  geometry.Rect // the attention crop of the upright source, as stored
	resultAt geometry.Rect // the attention crop of the result
}

func (r *renderer) run() error {
	if err := r.trim(); err != nil {
		return err
	}
	if err := r.crop(); err != nil {
		return err
	}
	if err := r.scale(); err != nil {
		return err
	}
	if err := r.look(); err != nil {
		return vips.Internal("codec.render", err)
	}
	if err := r.frame(); err != nil {
		return err
	}
	r.decided = true
	return nil
}

// trim cuts off a border of one colour and plans again for the rest. The border's colour is that of the upright
// picture's top-left pixel, so the picture is turned first.
func (r *renderer) trim() error {
	t := r.job.Spec.Trim
	if !t.On {
		return nil
	}
	exif := r.src.Exif
	if r.job.Spec.KeepOrientation {
		exif = geometry.Orientation{}
	}
	if err := r.im.Memory(); err != nil {
		return vips.Undecodable("codec.trim", err)
	}
	if err := r.im.Orient(exif); err != nil {
		return vips.Internal("codec.trim", err)
	}
	if !r.decided {
		var background []float64
		if t.Color.Set {
			background = []float64{float64(t.Color.R), float64(t.Color.G), float64(t.Color.B)}
		}
		found, err := r.im.FindTrim(t.Threshold, background)
		if err != nil {
			return vips.Internal("codec.trim", err)
		}
		r.trimmed = geometry.EvenTrim(found, r.im.Size(), t)
	}
	if err := r.im.Extract(r.trimmed); err != nil {
		return vips.Internal("codec.trim", err)
	}
	var err error
	r.plan, err = geometry.NewPlan(r.job.Spec, r.trimmed.Size(), geometry.Orientation{}, r.job.Lim.ResultPixels)
	return err
}

// crop cuts the area out of the stored picture, which may have been shrunk on load.
func (r *renderer) crop() error {
	p := &r.plan
	whole := p.Upright.Of(p.Stored)
	if p.Crop.Size == whole {
		return nil
	}
	now := r.im.Size()
	at := shrunk(p.Upright.Stored(p.Crop.At, whole), p.Stored, now)
	var err error
	switch {
	case p.Crop.Smart && !r.decided:
		if err = r.im.Memory(); err == nil {
			r.smartly, err = r.im.Attention(at.Size())
		}
	case p.Crop.Smart:
		err = r.im.Extract(r.smartly)
	default:
		err = r.im.Extract(at)
	}
	if err != nil {
		return vips.Undecodable("codec.crop", err)
	}
	return nil
}

// shrunk maps an area of the stored picture to the loaded size.
func shrunk(a geometry.Rect, stored, now geometry.Size) geometry.Rect {
	if stored == now {
		return a
	}
	h, v := float64(now.W)/float64(stored.W), float64(now.H)/float64(stored.H)
	w, ht := min(max(1, geometry.ScaleSide(a.W, h)), now.W), min(max(1, geometry.ScaleSide(a.H, v)), now.H)
	return geometry.Rect{X: min(geometry.ScaleSide(a.X, h), now.W-w), Y: min(geometry.ScaleSide(a.Y, v), now.H-ht), W: w, H: ht}
}

// scale resizes, converts the colours of the remaining area, and turns the small picture. Everything up to the copy
// into memory is decoded here, so a failure here is the source's.
func (r *renderer) scale() error {
	if r.job.From != nil {
		return r.rescale()
	}
	p := &r.plan
	if s, now := p.StoredScaled(), r.im.Size(); p.Enlarges() || s.W > now.W || s.H > now.H { // An enlargement reads back and forth, which a sequential source cannot.
		if err := r.im.Memory(); err != nil {
			return vips.Undecodable("codec.scale", err)
		}
	}
	steps := []func() error{
		func() error { return r.im.Resize(p.StoredScaled()) },
		func() error {
			if p.Result.Smart || p.Result.Size == p.Scaled {
				return nil
			}
			return r.im.Extract(p.Final.Stored(p.Result.At, p.Scaled))
		},
		r.colours,
	}
	if !r.job.Streamed {
		steps = append(steps, r.im.Memory)
	}
	for _, step := range steps {
		if err := step(); err != nil {
			return vips.Undecodable("codec.scale", err)
		}
	}
	if err := r.im.Orient(p.Final); err != nil {
		return vips.Internal("codec.scale", err)
	}
	return r.attend()
}

// attend crops the result to the area that draws the most attention.
func (r *renderer) attend() error {
	if !r.plan.Result.Smart {
		return nil
	}
	err := r.im.Memory()
	if err == nil && !r.decided {
		r.resultAt, err = r.im.Attention(r.plan.Result.Size)
	} else if err == nil {
		err = r.im.Extract(r.resultAt)
	}
	if err != nil {
		return vips.Internal("codec.attend", err)
	}
	return nil
}

// colours converts to 8-bit sRGB or grey, if the picture is something else.
func (r *renderer) colours() error {
	f := r.src.Facts
	if r.job.Spec.KeepProfile && r.src.KeepsColours() {
		return nil
	}
	if c := r.src.Colours; c != nil {
		return r.im.Convert(c.Table(r.im.Facts().Bits))
	}
	if !r.src.UseICC && f.Bits == 8 && (f.Rgb || f.Grey) {
		return nil
	}
	return r.im.Srgb(r.src.UseICC, f.Grey)
}

func (r *renderer) look() error {
	s := r.job.Spec
	if s.Blur > 0 {
		if err := r.im.Blur(s.Blur); err != nil {
			return err
		}
	}
	if s.Sharpen > 0 {
		if err := r.im.Sharpen(s.Sharpen); err != nil {
			return err
		}
	}
	if s.Pixelate > 1 {
		return r.im.Pixelate(s.Pixelate)
	}
	return nil
}

// frame extends the canvas, pads, and draws the watermark.
func (r *renderer) frame() error {
	p := &r.plan
	if p.Canvas != p.Result.Size {
		if err := r.embed(p.At.X, p.At.Y, p.Canvas); err != nil {
			return vips.Internal("codec.render", err)
		}
	}
	if p.Out != p.Canvas {
		if err := r.embed(p.Padding.Left, p.Padding.Top, p.Out); err != nil {
			return vips.Internal("codec.render", err)
		}
	}
	return r.mark()
}

// embed lays the picture on a larger canvas. The canvas is transparent if the picture has or may have transparency,
// else it has the background colour.
func (r *renderer) embed(x, y int, s geometry.Size) error {
	bg := r.job.Spec.Background
	if r.job.clear() {
		if err := r.im.AddAlpha(); err != nil {
			return err
		}
	}
	f := r.im.Facts()
	if f.Grey && bg.Set && (bg.R != bg.G || bg.G != bg.B) {
		if err := r.im.ToRGB(); err != nil {
			return err
		}
		f = r.im.Facts()
	}
	if f.Alpha && !bg.Set {
		return r.im.Embed(x, y, s, make([]float64, f.Bands))
	}
	colour := ColourBands(bg, f.Grey)
	if f.Alpha {
		colour = append(colour, 255)
	}
	return r.im.Embed(x, y, s, colour)
}

// ColourBands returns a background as band values; white if none is set.
func ColourBands(c variant.Color, grey bool) []float64 {
	if !c.Set {
		c = variant.Color{R: 255, G: 255, B: 255}
	}
	if grey {
		return []float64{float64(c.R)}
	}
	return []float64{float64(c.R), float64(c.G), float64(c.B)}
}
