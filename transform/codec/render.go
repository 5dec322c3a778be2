package codec

import (
	"github.com/goldcrest/goldcrest/fault"
	"github.com/goldcrest/goldcrest/variant"
)

// picture is a rendered variant in memory, before any encoder: upright, 8-bit sRGB or grey, with alpha only where some
// pixel needs it. The frames of an animation are stacked.
type picture struct {
	im     *pixmap
	size   size // of one frame
	asked  size // what the URL asks for, where that was too long; else nothing
	alpha  bool
	grey   bool
	frames int
	delays []int
	loop   int
	seen   *view // what the probe saw; nil before it was asked

	inMemory bool     // the pixels may be read more than once
	sum      *summary // nil = nobody sums it up
}

func (p *picture) free() {
	p.im.free()
	p.sum.free()
}

// render makes the pixels of a job: trim, crop, scale, turn, crop to the result, blur, sharpen, pixelate, extend, pad.
func render(src *source, j *job) (*picture, error) {
	if j.frames > 1 {
		return renderAnimation(src, j)
	}
	im, err := j.pixels(src)
	if err != nil {
		return nil, err
	}
	r := renderer{src: src, job: j, plan: j.plan, im: im}
	if err := r.run(); err != nil {
		im.free()
		return nil, err
	}
	pic, err := finish(im, j, 1)
	if err == nil {
		pic.asked = r.plan.asked
	}
	return pic, err
}

// pixels are what a still is made from.
func (j *job) pixels(src *source) (*pixmap, error) {
	if j.from != nil {
		return j.from.pic.im.clone(), nil
	}
	return src.load(j.load)
}

// renderAnimation renders frame by frame, so that nothing bleeds from one into the next, and stacks them again. What
// depends on a frame's content (trim, attention) is decided on the first and kept.
func renderAnimation(src *source, j *job) (*picture, error) {
	roll, err := src.load(j.load)
	if err != nil {
		return nil, err
	}
	defer roll.free()
	if err := src.keep(roll); err != nil {
		return nil, undecodable("codec.render", err)
	}
	frames := make([]*pixmap, 0, j.frames)
	defer func() {
		for _, f := range frames {
			f.free()
		}
	}()
	first := renderer{src: src, job: j, plan: j.plan}
	for i := range j.frames {
		f := roll.clone()
		frames = append(frames, f)
		if err := f.extract(rect{0, i * src.stored.H, src.stored.W, src.stored.H}); err != nil {
			return nil, undecodable("codec.render", err)
		}
		first.im = f
		if err := first.run(); err != nil {
			return nil, err
		}
	}
	joined, err := join(frames)
	if err != nil {
		return nil, internal("codec.render", err)
	}
	pic, err := finish(joined, j, j.frames)
	if err != nil {
		return nil, err
	}
	pic.asked = first.plan.asked
	pic.loop, pic.delays = src.facts.loop, make([]int, j.frames)
	for i := range pic.delays {
		pic.delays[i] = 100 // What browsers show where nothing is said.
		if i < len(src.delays) {
			pic.delays[i] = src.delays[i]
		}
	}
	return pic, nil
}

// finish brings the pixels into memory, so that an encoder may read them as often as it likes, and drops an alpha
// channel that says nothing.
func finish(im *pixmap, j *job, frames int) (*picture, error) {
	f := im.facts()
	p := &picture{im: im, size: size{f.width, f.height / frames}, alpha: f.alpha, grey: f.grey, frames: frames}
	var err error
	if p.sum, err = im.watch(p.size); err == nil && j.streamed {
		return p, nil
	}
	if err == nil {
		err = im.memory()
	}
	if err == nil && p.alpha {
		var opaque bool
		if opaque, err = im.opaque(); err == nil && opaque {
			err = im.dropAlpha()
			p.alpha = false
		}
	}
	if err != nil {
		p.free()
		return nil, internal("codec.finish", err)
	}
	p.inMemory = true
	return p, nil
}

// renderer takes one frame through the steps. A second frame reuses what the first decided.
type renderer struct {
	src  *source
	job  *job
	plan plan
	im   *pixmap

	decided  bool
	trimmed  rect // the area inside the border, stored
	smartly  rect // where attention cropped the upright source, as stored
	resultAt rect // where attention cut the result
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
		return internal("codec.render", err)
	}
	if err := r.frame(); err != nil {
		return err
	}
	r.decided = true
	return nil
}

// trim cuts off a border of one colour and plans anew for what is left. The colour in question is that of the upright
// picture's top-left pixel, so the picture is turned first.
func (r *renderer) trim() error {
	t := r.job.spec.Trim
	if !t.On {
		return nil
	}
	exif := r.src.exif
	if r.job.spec.KeepOrientation {
		exif = orientation{}
	}
	if err := r.im.memory(); err != nil {
		return undecodable("codec.trim", err)
	}
	if err := r.im.orient(exif); err != nil {
		return internal("codec.trim", err)
	}
	if !r.decided {
		var background []float64
		if t.Color.Set {
			background = []float64{float64(t.Color.R), float64(t.Color.G), float64(t.Color.B)}
		}
		found, err := r.im.findTrim(t.Threshold, background)
		if err != nil {
			return internal("codec.trim", err)
		}
		r.trimmed = evenTrim(found, r.im.size(), t)
	}
	if err := r.im.extract(r.trimmed); err != nil {
		return internal("codec.trim", err)
	}
	var err error
	r.plan, err = newPlan(r.job.spec, r.trimmed.size(), orientation{}, r.job.lim.ResultPixels)
	return err
}

// evenTrim widens the area where both sides must lose the same; a picture of one colour is left whole.
func evenTrim(found rect, s size, t variant.Trim) rect {
	if found.W == 0 || found.H == 0 {
		return rect{0, 0, s.W, s.H}
	}
	if t.EqualHor {
		side := min(found.X, s.W-found.X-found.W)
		found.X, found.W = side, s.W-2*side
	}
	if t.EqualVer {
		side := min(found.Y, s.H-found.Y-found.H)
		found.Y, found.H = side, s.H-2*side
	}
	return found
}

// crop cuts the area out of the picture as it is stored, which may have been shrunk on load.
func (r *renderer) crop() error {
	p := &r.plan
	whole := p.upright.of(p.stored)
	if p.cropSize == whole {
		return nil
	}
	now := r.im.size()
	at := shrunk(p.upright.stored(p.crop, whole), p.stored, now)
	var err error
	switch {
	case p.cropSmart && !r.decided:
		if err = r.im.memory(); err == nil {
			r.smartly, err = r.im.attention(at.size())
		}
	case p.cropSmart:
		err = r.im.extract(r.smartly)
	default:
		err = r.im.extract(at)
	}
	if err != nil {
		return undecodable("codec.crop", err)
	}
	return nil
}

// shrunk maps an area of the stored picture to the size that it was loaded in.
func shrunk(a rect, stored, now size) rect {
	if stored == now {
		return a
	}
	h, v := float64(now.W)/float64(stored.W), float64(now.H)/float64(stored.H)
	w, ht := min(max(1, scaleSide(a.W, h)), now.W), min(max(1, scaleSide(a.H, v)), now.H)
	return rect{min(scaleSide(a.X, h), now.W-w), min(scaleSide(a.Y, v), now.H-ht), w, ht}
}

// scale resizes, converts the colours of what is left, and turns the small picture. Everything up to the copy into
// memory is decoded here, so a failure here is the source's.
func (r *renderer) scale() error {
	if r.job.from != nil {
		return r.rescale()
	}
	p := &r.plan
	if s, now := p.storedScaled(), r.im.size(); p.enlarges() || s.W > now.W || s.H > now.H { // An enlargement reads back and forth, a sequential source cannot.
		if err := r.im.memory(); err != nil {
			return undecodable("codec.scale", err)
		}
	}
	steps := []func() error{
		func() error { return r.im.resize(p.storedScaled()) },
		func() error {
			if p.resultSmart || p.result == p.scaled {
				return nil
			}
			return r.im.extract(p.final.stored(p.resultAt, p.scaled))
		},
		r.colours,
	}
	if !r.job.streamed {
		steps = append(steps, r.im.memory)
	}
	for _, step := range steps {
		if err := step(); err != nil {
			return undecodable("codec.scale", err)
		}
	}
	if err := r.im.orient(p.final); err != nil {
		return internal("codec.scale", err)
	}
	return r.attend()
}

// attend cuts the result where it draws the eye.
func (r *renderer) attend() error {
	if !r.plan.resultSmart {
		return nil
	}
	err := r.im.memory()
	if err == nil && !r.decided {
		r.resultAt, err = r.im.attention(r.plan.result)
	} else if err == nil {
		err = r.im.extract(r.resultAt)
	}
	if err != nil {
		return internal("codec.attend", err)
	}
	return nil
}

// colours converts to 8-bit sRGB or grey, only where the picture is something else.
func (r *renderer) colours() error {
	f := r.src.facts
	if c := r.src.colours; c != nil {
		return r.im.convert(c)
	}
	if !r.src.useICC && f.bits == 8 && (f.rgb || f.grey) {
		return nil
	}
	return r.im.srgb(r.src.useICC, f.grey)
}

func (r *renderer) look() error {
	s := r.job.spec
	if s.Blur > 0 {
		if err := r.im.blur(s.Blur); err != nil {
			return err
		}
	}
	if s.Sharpen > 0 {
		if err := r.im.sharpen(s.Sharpen); err != nil {
			return err
		}
	}
	if s.Pixelate > 1 {
		return r.im.pixelate(s.Pixelate)
	}
	return nil
}

// frame extends the canvas, pads, and lays the mark over it.
func (r *renderer) frame() error {
	p := &r.plan
	if p.canvas != p.result {
		if err := r.embed(p.at.X, p.at.Y, p.canvas); err != nil {
			return internal("codec.render", err)
		}
	}
	if p.out != p.canvas {
		if err := r.embed(p.padding.Left, p.padding.Top, p.out); err != nil {
			return internal("codec.render", err)
		}
	}
	return r.mark()
}

// embed lays the picture on a larger canvas: transparent where the picture is or may be so, else of the background
// colour.
func (r *renderer) embed(x, y int, s size) error {
	bg := r.job.spec.Background
	if r.job.clear() {
		if err := r.im.addAlpha(); err != nil {
			return err
		}
	}
	f := r.im.facts()
	if f.grey && bg.Set && (bg.R != bg.G || bg.G != bg.B) {
		if err := r.im.toRGB(); err != nil {
			return err
		}
		f = r.im.facts()
	}
	if f.alpha && !bg.Set {
		return r.im.embed(x, y, s, make([]float64, f.bands))
	}
	colour := colourBands(bg, f.grey)
	if f.alpha {
		colour = append(colour, 255)
	}
	return r.im.embed(x, y, s, colour)
}

// colourBands is a background as band values: white where none is set.
func colourBands(c variant.Color, grey bool) []float64 {
	if !c.Set {
		c = variant.Color{R: 255, G: 255, B: 255}
	}
	if grey {
		return []float64{float64(c.R)}
	}
	return []float64{float64(c.R), float64(c.G), float64(c.B)}
}

// internal is the fault of a step that cannot fail for the source's sake.
func internal(op string, cause error) error {
	return fault.New(fault.Internal, op, "the picture could not be made", cause)
}
