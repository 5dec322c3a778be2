package codec

import (
	"math"
	"runtime"
	"runtime/debug"
	"sync"

	"github.com/h2non/bimg"

	"github.com/goldcrest/goldcrest/transform/codec/choose"
	"github.com/goldcrest/goldcrest/transform/codec/container"
	"github.com/goldcrest/goldcrest/transform/codec/decode"
	"github.com/goldcrest/goldcrest/transform/codec/encode"
	"github.com/goldcrest/goldcrest/transform/codec/geometry"
	"github.com/goldcrest/goldcrest/transform/codec/render"
	"github.com/goldcrest/goldcrest/variant"
)

// bimgGate guards process-wide state around calls to bimg: bimg's lazily filled tables and the settings of the garbage
// collector.
var bimgGate sync.Mutex

// bimgVersion is the version of the library.
const bimgVersion = bimg.Version

var bimgTypes = map[variant.Format]bimg.ImageType{variant.JPEG: bimg.JPEG, variant.PNG: bimg.PNG, variant.WebP: bimg.WEBP}

// warmBimg fills the tables that bimg would fill without a lock at its first call.
func warmBimg() {
	bimgGate.Lock()
	defer bimgGate.Unlock()
	for _, t := range bimgTypes {
		bimg.IsTypeSupported(t)
		bimg.IsTypeSupportedSave(t)
	}
}

// bimgGroup makes variants with bimg where it produces correct results, and returns the jobs left for the cgo path.
func bimgGroup(choices *choose.Chooser, src *decode.Source, group []*render.Job, emit emitter) []*render.Job {
	var left []*render.Job
	for _, j := range group {
		if img, ok := bimgMake(choices, src, j); ok {
			emit(j.Index, img, nil)
		} else {
			left = append(left, j)
		}
	}
	return left
}

// bimgMake resizes and encodes with bimg. ok is false if the cgo path must make the variant: bimg cannot, bimg fails,
// or the result would break the rule that an open URL's variant is not larger than its original.
func bimgMake(choices *choose.Chooser, src *decode.Source, j *render.Job) (variant.Image, bool) {
	pic := &render.Picture{Size: j.Plan.Out, Asked: j.Plan.Asked, Frames: 1, Grey: src.Facts.Grey}
	e := encode.Encoder{Choices: choices, Src: src, Pic: pic, Job: j}
	f := e.Format()
	s := choices.Choose(pic, e.Wish(f))
	if j.Spec.KeepCopyright || j.Spec.KeepProfile || !bimgCan(src, j, f, s) {
		return variant.Image{}, false
	}
	body, err := bimgResize(src.Original, bimg.Options{
		Width: j.Plan.Out.W, Height: j.Plan.Out.H, Force: true, Type: bimgTypes[f], Quality: s.Q, Interlace: f == variant.JPEG,
		StripMetadata: true, NoAutoRotate: true,
	})
	if err == nil {
		body, err = container.Strip(f, body)
	}
	if err != nil || (e.MustNotGrow() && len(body) >= len(src.Original)) {
		return variant.Image{}, false
	}
	q := s.Q
	if s.Lossless {
		q = 0
	}
	return e.Image(encode.Encoded{Body: body, Format: f, Q: q, Note: s.Note + "; bimg"}), true
}

// bimgCan reports whether bimg makes this variant safely and correctly: a plain reduction of an upright, complete,
// opaque, 8-bit sRGB or grey still, in a format and with settings that it supports. bimg writes to freed memory when it
// shrinks a rotated file, does not detect truncation, and converts colours in the wrong order. The automatic quality
// reads pixels that bimg does not expose.
func bimgCan(src *decode.Source, j *render.Job, f variant.Format, s choose.Settings) bool {
	sp, p, in, facts := j.Spec, j.Plan, src.Info, src.Facts
	source := (in.Format == "jpeg" || in.Format == "png" || in.Format == "webp") && in.Orientation == 1 && in.Complete && in.Frames == 1
	pixels := !src.Converts() && facts.Bits == 8 && in.Bits <= 8 && (facts.Rgb || facts.Grey) && !facts.Alpha && !in.CMYK
	plain := p.Final == geometry.Orientation{} && p.Crop.Size == p.Stored && p.Result.Size == p.Scaled && p.Out == p.Scaled &&
		p.Scaled.W < p.Stored.W && p.Scaled.H < p.Stored.H && !sp.Trim.On && !j.Effects() &&
		sp.MaxBytes == 0 && sp.AutoSize.Bytes == 0
	_, known := bimgTypes[f]
	settings := s.Target == 0 && ((f == variant.PNG && s.Lossless) || (f != variant.PNG && !s.Lossless && !s.FullChroma))
	return source && pixels && plain && known && settings
}

// bimgResize calls bimg with the garbage collector switched off: bimg passes pointers into Go slices to libvips and
// drops the slices while C still reads them. The memory limit would start the collector too, so it is lifted as well.
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
