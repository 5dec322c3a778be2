// Package codec does one transform in one worker process: limits, decode, resize, quality, encode. It is the only
// package that reads pixels, and with it all C code of the product.
//
// The pixel path is a thin layer over libvips; bimg, which starts libvips when it is imported, is the second engine.
package codec

import (
	"errors"
	"fmt"
	"runtime"
	"slices"

	"github.com/goldcrest/goldcrest/fault"
	"github.com/goldcrest/goldcrest/sniff"
	"github.com/goldcrest/goldcrest/transform"
	"github.com/goldcrest/goldcrest/transform/codec/allowance"
	"github.com/goldcrest/goldcrest/variant"
)

// maxScans is the most scans of a JPEG that are decoded: each costs a pass over the whole picture.
const maxScans = 100

// The engines that New knows.
const (
	EngineVips = "vips"
	EngineBimg = "bimg"
)

// Limits bound one call. 0 pixels allow nothing.
type Limits = transform.Limits

// lowered is l under the limits of one URL, which may only lower them.
func lowered(l Limits, u variant.Limits) Limits {
	if u.Pixels > 0 {
		l.Pixels = min(l.Pixels, u.Pixels)
	}
	if u.Frames > 0 {
		l.Frames = min(l.Frames, u.Frames)
	}
	return l
}

var _ transform.Codec = (*Codec)(nil)

// Codec makes variants. It is safe for concurrent use, unless the process said that it has none: see Alone.
type Codec struct {
	engine  string
	choices chooser
	draws   bool    // SVG
	mark    *pixmap // the configured watermark; nil = none
}

// New settles libvips for this process and checks that it refuses what it must. engine is "vips" (or empty) or "bimg".
func New(engine string) (*Codec, error) {
	if engine == "" {
		engine = EngineVips
	}
	if engine != EngineVips && engine != EngineBimg {
		return nil, fmt.Errorf("codec.New: unknown engine %q, want %q or %q", engine, EngineVips, EngineBimg)
	}
	boot()
	if loadsSVG() {
		return nil, fmt.Errorf("codec.New: libvips loads SVG although untrusted loaders are blocked")
	}
	for _, op := range required {
		if !hasOperation(op) {
			return nil, fmt.Errorf("codec.New: this libvips was built without %s", op)
		}
	}
	if engine == EngineBimg {
		warmBimg()
	}
	choices, err := newAutomatic(aomVersion())
	if err != nil {
		return nil, err
	}
	return &Codec{engine: engine, choices: choices, draws: true}, nil
}

// Reads says which formats of originals there will be, so that Warm spares what only others need. New means all.
func (c *Codec) Reads(inputs []string) { c.draws = slices.Contains(inputs, "svg") }

// Alone promises that this process makes one picture at a time from now on, as a worker does, and has libvips use
// vector code, which takes an eighth off the processor time of a JPEG. liborc makes that code at run time, and frees it
// without the lock under which it makes it (0.4.33; found in https://github.com/libvips/libvips/pull/1211): two
// pictures at a time may crash the process. New takes the promise back.
func (c *Codec) Alone() { useVectors() }

// required are the operations without which a format of the contract could not be read or written.
var required = []string{
	"jpegload_buffer", "pngload_buffer", "webpload_buffer", "heifload_buffer", "tiffload_buffer",
	"jpegsave_buffer", "pngsave_buffer", "webpsave_buffer", "heifsave_buffer", "gifsave_buffer",
}

// Transform makes a variant of original for each spec and hands each to emit as it is ready, on the calling goroutine
// and not in order: a picture may be made from a larger one that is asked for with it, which saves a decode and much of
// the scaling and cannot be told from one made alone. Of a master variants come out as of its original, as long as they
// are not larger than it. A non-nil error stands for every spec not emitted.
func (c *Codec) Transform(original variant.Original, specs []variant.Spec, stage variant.Stage, lim Limits, emit func(i int, img variant.Image, err error)) error {
	info, err := original.Inspect()
	if err != nil {
		return err
	}
	if err := admit(info, lim); err != nil {
		return err
	}
	src, err := open(original, info, lim)
	if err != nil {
		return err
	}
	defer src.close()
	todo := make([]int, len(specs))
	for i := range todo {
		todo[i] = i
	}
	var refused []int
	var why error
	c.make(src, specs, todo, stage, lim, func(i int, img variant.Image, err error) {
		if fault.KindOf(err) == fault.DecodeFailed {
			refused, why = append(refused, i), err
			return
		}
		emit(i, img, err)
	})
	if len(refused) > 0 && src.vouch() {
		c.make(src, specs, refused, stage, lim, emit)
		refused = nil
	}
	for _, i := range refused {
		emit(i, variant.Image{}, why)
	}
	runtime.KeepAlive(original.Body)
	return nil
}

// make makes the specs that todo names.
func (c *Codec) make(src *source, specs []variant.Spec, todo []int, stage variant.Stage, lim Limits, emit func(i int, img variant.Image, err error)) {
	jobs := []*job{}
	for _, i := range todo {
		spec := specs[i]
		j, err := newJob(i, spec, stage, src, lim)
		if err != nil {
			emit(i, variant.Image{}, err)
			continue
		}
		if spec.Master {
			if img, ok := exactMaster(src, j); ok {
				emit(i, img, nil)
				continue
			}
		}
		j.mark = c.mark
		jobs = append(jobs, j)
	}
	groups := grouped(jobs)
	src.share(groups, chained(groups), lim.Memory)
	var larger chain
	defer func() { larger.free() }()
	for i, group := range groups {
		if pic := c.makeGroup(src, group, larger.next(group[0]), leads(groups[i:]), emit); pic != nil {
			larger = append(larger, link{pic, group[0]})
		}
	}
}

// makeGroup renders the pixels that several variants have in common once, from a larger picture where they may be, and
// encodes each. The picture of a group that leads to smaller ones is returned, and is the caller's to free.
func (c *Codec) makeGroup(src *source, group []*job, from *link, leads bool, emit func(i int, img variant.Image, err error)) *picture {
	if c.engine == EngineBimg && src.master == nil {
		group = bimgGroup(c.choices, src, group, emit)
	}
	if len(group) == 0 {
		return nil
	}
	if j := group[0]; len(group) == 1 && !leads && from == nil && j.streams(src) {
		img, err := c.stream(src, j)
		if err != errReread { //nolint:errorlint // our own sentinel, never wrapped
			emit(j.index, img, err)
			return nil
		}
	}
	group[0].from = from
	time := allowance.New(allowance.Spent{Wall: group[0].lim.Wall, CPU: group[0].lim.CPU}, allowance.Now)
	pic, err := c.renderGroup(src, group)
	if err != nil {
		for _, j := range group {
			emit(j.index, variant.Image{}, err)
		}
		return nil
	}
	for _, j := range group {
		e := encoder{choices: c.choices, src: src, pic: pic, job: j, time: time}
		img, err := e.encode()
		e.free()
		emit(j.index, img, err)
		time.Restart()
	}
	if leads {
		return pic
	}
	pic.free()
	return nil
}

// renderGroup renders the pixels of a group. Those of print get the size that was asked for: it is quality that a slow
// line cuts there, never pixels.
func (c *Codec) renderGroup(src *source, group []*job) (*picture, error) {
	first := group[0]
	pic, err := render(src, first)
	if err != nil || first.spec.DPRMost == 0 {
		return pic, err
	}
	if v := c.choices.look(pic); v == nil || !v.kind.legible() {
		return pic, nil
	}
	for _, j := range group {
		if !j.unbound(src) {
			return pic, nil
		}
	}
	pic.free()
	if first.from != nil && !first.follows(first.from.job) {
		first.from = nil
	}
	return render(src, first)
}

// errReread says that the pixels are needed once more than a stream can give them.
var errReread = errors.New("the picture must be rendered to memory")

// stream makes one variant without keeping its pixels: the encoder pulls them through the resizer from the decoder. The
// copy to memory that it spares is 5 to 10 % of the work for a JPEG.
func (c *Codec) stream(src *source, j *job) (variant.Image, error) {
	j.streamed = true
	defer func() { j.streamed = false }()
	pic, err := render(src, j)
	if err != nil {
		return variant.Image{}, err
	}
	defer pic.free()
	e := encoder{choices: c.choices, src: src, pic: pic, job: j}
	defer e.free()
	f := e.format()
	best, err := e.attempt(f)
	switch {
	case err != nil:
		// The encoder was the first to read the pixels, so it may be the source that is broken: rendering to memory
		// tells.
		return variant.Image{}, errReread
	case e.mustNotGrow() && int64(len(best.body)) >= src.bytes():
		return variant.Image{}, errReread
	}
	return e.image(best), nil
}

// admit refuses by the header what is cut off, whatever size it declares, and what would cost too much to decode.
func admit(info sniff.Info, lim Limits) error {
	const op = "codec.admit"
	if !info.Complete && !info.LacksEnd {
		return fault.New(fault.TruncatedSource, op, "the picture is cut off", nil)
	}
	if info.Pixels() > lim.Pixels {
		return fault.New(fault.TooManyPixels, op, fmt.Sprintf("the picture has %d x %d pixels, more than is allowed", info.Width, info.Height), nil)
	}
	if info.Scans > maxScans {
		return fault.New(fault.TooCostly, op, fmt.Sprintf("the JPEG has %d scans, at most %d are decoded", info.Scans, maxScans), nil)
	}
	return nil
}
