package codec

import (
	"math"
	"runtime"
	"runtime/debug"
	"sync"

	"github.com/h2non/bimg" // Its init starts libvips, for both engines.

	"github.com/goldcrest/goldcrest/transform/codec/container"
	"github.com/goldcrest/goldcrest/variant"
)

// bimgGate guards what bimg and its safety need of the whole process: its lazily filled tables and the garbage
// collector's state.
var bimgGate sync.Mutex

var bimgTypes = map[variant.Format]bimg.ImageType{variant.JPEG: bimg.JPEG, variant.PNG: bimg.PNG, variant.WebP: bimg.WEBP}

// warmBimg fills the tables that bimg fills unguarded at its first call.
func warmBimg() {
	bimgGate.Lock()
	defer bimgGate.Unlock()
	for _, t := range bimgTypes {
		bimg.IsTypeSupported(t)
		bimg.IsTypeSupportedSave(t)
	}
}

// bimgGroup makes with bimg what bimg makes rightly, and returns the jobs that are left for the cgo path.
func bimgGroup(choices chooser, src *source, group []*job, emit func(i int, img variant.Image, err error)) []*job {
	var left []*job
	for _, j := range group {
		if img, ok := bimgMake(choices, src, j); ok {
			emit(j.index, img, nil)
		} else {
			left = append(left, j)
		}
	}
	return left
}

// bimgMake resizes and encodes with bimg. ok is false where the cgo path must do it: where bimg cannot, fails, or would
// break the rule that no open URL outgrows its original.
func bimgMake(choices chooser, src *source, j *job) (variant.Image, bool) {
	pic := &picture{size: j.plan.out, asked: j.plan.asked, frames: 1, grey: src.facts.grey}
	e := encoder{choices: choices, src: src, pic: pic, job: j}
	f := e.format()
	s := choices.choose(pic, e.wish(f))
	if !bimgCan(src, j, f, s) {
		return variant.Image{}, false
	}
	body, err := bimgResize(src.original, bimg.Options{
		Width: j.plan.out.W, Height: j.plan.out.H, Force: true, Type: bimgTypes[f], Quality: s.q, Interlace: f == variant.JPEG,
		StripMetadata: true, NoAutoRotate: true,
	})
	if err == nil {
		body, err = container.Strip(f, body)
	}
	if err != nil || (e.mustNotGrow() && len(body) >= len(src.original)) {
		return variant.Image{}, false
	}
	q := s.q
	if s.lossless {
		q = 0
	}
	return e.image(encoded{body: body, format: f, q: q, note: s.note + "; bimg"}), true
}

// bimgCan reports whether bimg makes this variant safely and rightly: a plain reduction of an upright, complete,
// opaque, 8-bit sRGB or grey still, in a format and with settings that it has. It writes to freed memory when a rotated
// file is shrunk, knows nothing of truncation, and converts colours in the wrong order. The automatic quality looks at
// pixels that bimg does not show.
func bimgCan(src *source, j *job, f variant.Format, s settings) bool {
	sp, p, in, facts := j.spec, j.plan, src.info, src.facts
	source := (in.Format == "jpeg" || in.Format == "png" || in.Format == "webp") && in.Orientation == 1 && in.Complete && in.Frames == 1
	pixels := !src.converts() && facts.bits == 8 && in.Bits <= 8 && (facts.rgb || facts.grey) && !facts.alpha && !in.CMYK
	plain := p.final == orientation{} && p.cropSize == p.stored && p.result == p.scaled && p.out == p.scaled &&
		p.scaled.W < p.stored.W && p.scaled.H < p.stored.H && !sp.Trim.On && !j.effects() &&
		sp.MaxBytes == 0 && sp.AutoSize.Bytes == 0
	_, known := bimgTypes[f]
	settings := s.target == 0 && ((f == variant.PNG && s.lossless) || (f != variant.PNG && !s.lossless && !s.fullChroma))
	return source && pixels && plain && known && settings
}

// bimgResize calls bimg with the collector held off: bimg hands libvips pointers into Go slices and drops the slices
// while C still reads them. The memory limit would start the collector too, so it is lifted as well.
func bimgResize(original []byte, o bimg.Options) ([]byte, error) {
	bimgGate.Lock()
	defer bimgGate.Unlock()
	percent, limit := debug.SetGCPercent(-1), debug.SetMemoryLimit(math.MaxInt64)
	defer func() {
		debug.SetMemoryLimit(limit)
		debug.SetGCPercent(percent)
	}()
	var pin runtime.Pinner
	pin.Pin(&original[0])
	defer pin.Unpin()
	return bimg.Resize(original, o)
}
