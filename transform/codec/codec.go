// Package codec makes variants of an original in a worker process. The packages below it are the steps, in order:
// decode, render, look, choose, encode, judge, strip.
//
// The pixel path is a thin layer over libvips. bimg is the second engine, in bimg.go.
package codec

import (
	"fmt"
	"runtime"
	"slices"

	"github.com/goldcrest/goldcrest/fault"
	"github.com/goldcrest/goldcrest/transform"
	"github.com/goldcrest/goldcrest/transform/codec/allowance"
	"github.com/goldcrest/goldcrest/transform/codec/check"
	"github.com/goldcrest/goldcrest/transform/codec/choose"
	"github.com/goldcrest/goldcrest/transform/codec/decode"
	"github.com/goldcrest/goldcrest/transform/codec/encode"
	"github.com/goldcrest/goldcrest/transform/codec/render"
	"github.com/goldcrest/goldcrest/transform/codec/sequence"
	"github.com/goldcrest/goldcrest/transform/codec/untouched"
	"github.com/goldcrest/goldcrest/transform/codec/vips"
	"github.com/goldcrest/goldcrest/variant"
)

// The supported engines.
const (
	EngineVips = "vips"
	EngineBimg = "bimg"
)

// Limits bounds one call. A limit of 0 pixels allows nothing.
type Limits = transform.Limits

var _ transform.Codec = (*Codec)(nil)

// Codec makes variants. It is safe for concurrent use until Alone is called.
type Codec struct {
	engine  string
	choices *choose.Chooser
	draws   bool // reads SVG
}

// New initialises libvips for this process and checks that it refuses untrusted loaders. engine is "vips" (or empty) or
// "bimg".
func New(engine string) (*Codec, error) {
	if engine == "" {
		engine = EngineVips
	}
	if engine != EngineVips && engine != EngineBimg {
		return nil, fmt.Errorf("codec.New: unknown engine %q, want %q or %q", engine, EngineVips, EngineBimg)
	}
	if err := vips.Boot(); err != nil {
		return nil, fmt.Errorf("codec.New: %w", err)
	}
	if vips.LoadsSVG() {
		return nil, fmt.Errorf("codec.New: libvips loads SVG although untrusted loaders are blocked")
	}
	for _, op := range required {
		if !vips.HasOperation(op) {
			return nil, fmt.Errorf("codec.New: this libvips was built without %s", op)
		}
	}
	if engine == EngineBimg {
		warmBimg()
	}
	choices, err := choose.New(vips.AOMVersion())
	if err != nil {
		return nil, err
	}
	return &Codec{engine: engine, choices: choices, draws: true}, nil
}

// Reads sets the formats of originals to expect, so that Warm can skip what only other formats need. The default is
// all.
func (c *Codec) Reads(inputs []string) { c.draws = slices.Contains(inputs, "svg") }

// Alone promises that this process makes one picture at a time from now on, as a worker does. It lets libvips use
// vector code, which saves an eighth of the processor time of a JPEG. liborc generates that code at run time under a
// lock, but frees it without the lock (0.4.33; found in https://github.com/libvips/libvips/pull/1211), so two
// concurrent pictures may crash the process. New withdraws the promise.
func (c *Codec) Alone() { vips.UseVectors() }

// SelfCheck returns how the linked encoders differ from those on which the coefficients were fitted.
func (c *Codec) SelfCheck() (transform.Drift, error) { return check.Drift() }

// required lists the operations without which a supported format could not be read or written.
var required = []string{
	"jpegload_buffer", "pngload_buffer", "webpload_buffer", "heifload_buffer", "tiffload_buffer",
	"jpegsave_buffer", "pngsave_buffer", "webpsave_buffer", "heifsave_buffer", "gifsave_buffer",
}

// Transform makes a variant of original for each spec and passes it to emit when it is ready, on the calling goroutine
// and in any order. A picture may be made from a larger one of the same call: that saves a decode and much of the
// scaling, and the result is indistinguishable. Variants of a master are the same as those of its original, if they are
// not larger than the master. A non-nil error applies to every spec that was not emitted.
func (c *Codec) Transform(original variant.Original, specs []variant.Spec, stage variant.Stage, lim Limits, emit emitter) error {
	src, err := decode.Open(original, lim)
	if err != nil {
		return err
	}
	defer runtime.KeepAlive(original.Body)
	lim.AnimatedAVIF = lim.AnimatedAVIF && sequence.Supported()
	defer src.Close()
	todo := make([]int, len(specs))
	for i := range todo {
		todo[i] = i
	}
	var refused []int
	var why error
	k := call{Codec: c, src: src, specs: specs, stage: stage, lim: lim, given: original.Marks}
	defer k.freeMarks()
	k.emit = func(i int, img variant.Image, err error) {
		if fault.KindOf(err) == fault.DecodeFailed {
			refused, why = append(refused, i), err
			return
		}
		emit(i, img, err)
	}
	k.make(todo)
	k.emit = emit
	if len(refused) > 0 && src.Vouch() {
		k.make(refused)
		return nil
	}
	for _, i := range refused {
		emit(i, variant.Image{}, why)
	}
	return nil
}

// emitter receives each variant when it is ready.
type emitter = func(i int, img variant.Image, err error)

// call is one call of Transform.
type call struct {
	*Codec
	src   *decode.Source
	specs []variant.Spec
	stage variant.Stage
	lim   Limits
	emit  emitter
	given map[string][]byte      // the files of watermarks
	marks map[string]*vips.Image // those that were read
}

// make makes the specs whose indexes are in todo.
func (c *call) make(todo []int) {
	jobs := []*render.Job{}
	for _, i := range todo {
		j, err := render.NewJob(i, c.specs[i], c.stage, c.src, c.lim)
		if err == nil {
			j.Mark, err = c.mark(j.Spec.Watermark)
		}
		if err != nil {
			c.emit(i, variant.Image{}, err)
			continue
		}
		if j.Spec.Master {
			if img, ok := untouched.ExactMaster(c.src, j); ok {
				c.emit(i, img, nil)
				continue
			}
		}
		jobs = append(jobs, j)
	}
	groups := render.Grouped(jobs)
	for i, follows := range render.Chained(groups) {
		if !follows {
			c.src.Share(groups[i][0].Load, c.lim.Memory)
		}
	}
	var larger render.Chain
	defer func() { larger.Free() }()
	for i, group := range groups {
		if pic := c.makeGroup(group, larger.Next(group[0]), render.Leads(groups[i:])); pic != nil {
			larger = append(larger, render.Link{Pic: pic, Job: group[0]})
		}
	}
}

// makeGroup renders the pixels that several variants share once, from a larger picture if possible, and encodes each
// variant. If smaller pictures will be made from this one, it is returned, and the caller frees it.
func (c *call) makeGroup(group []*render.Job, from *render.Link, leads bool) *render.Picture {
	if c.engine == EngineBimg && c.src.Master == nil {
		group = bimgGroup(c.choices, c.src, group, c.emit)
	}
	if len(group) == 0 || len(group) == 1 && !leads && from == nil && c.stream(group[0]) {
		return nil
	}
	group[0].From = from
	time := allowance.New(allowance.Spent{Wall: group[0].Lim.Wall, CPU: group[0].Lim.CPU}, allowance.Now)
	pic, err := c.renderGroup(group)
	if err != nil {
		for _, j := range group {
			c.emit(j.Index, variant.Image{}, err)
		}
		return nil
	}
	for _, j := range group {
		e := encode.Encoder{Choices: c.choices, Src: c.src, Pic: pic, Job: j, Time: time}
		img, err := e.Encode()
		e.Free()
		c.emit(j.Index, img, err)
		time.Restart()
	}
	if leads {
		return pic
	}
	pic.Free()
	return nil
}

// renderGroup renders the pixels of a group. Text and mixed pictures get the size that was asked for: for them a slow
// network reduces the quality, not the number of pixels.
func (c *call) renderGroup(group []*render.Job) (*render.Picture, error) {
	first := group[0]
	pic, err := render.Make(c.src, first)
	if err != nil || first.Spec.DPRMost == 0 {
		return pic, err
	}
	if v := c.choices.Look(pic); v == nil || !v.Kind.Legible() {
		return pic, nil
	}
	for _, j := range group {
		if !j.Unbound(c.src) {
			return pic, nil
		}
	}
	pic.Free()
	if first.From != nil && !first.Follows(first.From.Job) {
		first.From = nil
	}
	return render.Make(c.src, first)
}

// stream makes one variant without keeping its pixels: the encoder pulls them through the resizer from the decoder.
// This saves the copy to memory, which is 5 to 10 % of the work for a JPEG. It returns false if the picture must be
// rendered to memory instead: because it must be read again, or because encoding failed. The encoder is the first to
// read the pixels here, so the failure may be the source's.
func (c *call) stream(j *render.Job) bool {
	if !j.Streams(c.src) {
		return false
	}
	j.Streamed = true
	defer func() { j.Streamed = false }()
	pic, err := render.Make(c.src, j)
	if err != nil {
		c.emit(j.Index, variant.Image{}, err)
		return true
	}
	defer pic.Free()
	e := encode.Encoder{Choices: c.choices, Src: c.src, Pic: pic, Job: j}
	defer e.Free()
	best, err := e.Attempt(e.Format())
	if err != nil || e.MustNotGrow() && int64(len(best.Body)) >= c.src.Bytes() {
		return false
	}
	c.emit(j.Index, e.Image(best), nil)
	return true
}
