package codec

import (
	"fmt"
	"math"

	"github.com/goldcrest/goldcrest/fault"
	"github.com/goldcrest/goldcrest/variant"
)

// job is one variant to be made: its spec with everything that is decided before pixels are read.
type job struct {
	index    int
	spec     variant.Spec
	stage    variant.Stage // asked for
	lim      Limits
	plan     plan
	load     loadKey
	frames   int     // frames that are kept; 1 = a still
	fullDPR  float64 // what the URL asks for, where its weight class bounds it
	streamed bool    // the pixels are encoded as they are decoded, and read once only
	mark     *pixmap // the watermark; nil = there is none
	from     *link   // a larger picture of the same source, which the pixels are made from; nil = the source
	stillFor string
}

// streams reports whether the encoder may pull the pixels straight from the decoder: one pass from top to bottom,
// nothing that looks at the picture before it is encoded, and a single try.
func (j *job) streams(src *source) bool {
	s, p := j.spec, &j.plan
	looks := s.Trim.On || j.effects() || p.cropSmart || p.resultSmart
	moves := p.enlarges() || p.final != (orientation{}) || p.canvas != p.result || p.out != p.canvas
	// The automatic quality looks at the pixels; an open format may turn into one whose q the URL does not name.
	chosen := s.Quality > 0 || s.Accepts == 0 && (explicitQuality(s.Format, s) > 0 || s.Format == variant.PNG)
	return j.frames == 1 && !src.facts.alpha && !looks && !moves && chosen && s.MaxBytes == 0 && s.AutoSize.Bytes == 0
}

// newJob decides frames, geometry and how the source is decoded.
func newJob(index int, spec variant.Spec, stage variant.Stage, src *source, lim Limits) (*job, error) {
	lim = lowered(lim, spec.Limits)
	if src.stored.area() > lim.Pixels {
		return nil, fault.New(fault.TooManyPixels, "codec.newJob", fmt.Sprintf("the picture has %d x %d pixels, more than is allowed", src.stored.W, src.stored.H), nil)
	}
	if spec.Limits.Bytes > 0 && src.bytes() > spec.Limits.Bytes {
		return nil, fault.New(fault.SourceTooLarge, "codec.newJob", "the original is larger than the URL allows", nil)
	}
	j := &job{index: index, spec: spec, stage: stage, lim: lim, frames: 1, fullDPR: spec.DPR}
	j.spec.Enlarge = src.enlarges(spec)
	if spec.Master {
		j.spec.Width = masterBox(src, spec.Width)
		j.spec.Height = j.spec.Width
	}
	if err := j.setFrames(src); err != nil {
		return nil, err
	}
	if spec.DPRMost > 0 {
		j.spec.DPR = min(spec.DPR, spec.DPRMost)
	}
	if err := j.draw(src); err != nil {
		return nil, err
	}
	if j.frames > 1 && j.plan.out.area()*int64(j.frames) > max(lim.ResultPixels, lim.Pixels) {
		return nil, fault.New(fault.ResultTooLarge, "codec.newJob", "the animation asked for is too large", nil)
	}
	return j, nil
}

// clear reports whether extension and padding are transparent.
func (j *job) clear() bool {
	return j.spec.Accepts == 0 && hasAlpha(j.spec.Format) && !j.spec.Background.Set
}

// effects reports whether something is done to the pixels beside their geometry.
func (j *job) effects() bool {
	s := &j.spec
	return s.Blur > 0 || s.Sharpen > 0 || s.Pixelate > 1 || s.Watermark.Opacity > 0
}

// draw plans the geometry and how the source is decoded for it.
func (j *job) draw(src *source) error {
	exif := src.exif
	if j.spec.KeepOrientation {
		exif = orientation{}
	}
	plan, err := newPlan(j.spec, src.stored, exif, j.lim.ResultPixels)
	if err != nil {
		return err
	}
	j.plan = plan
	j.load = j.loading(src)
	return nil
}

// unbound plans again with the dpr that the URL asks for. It is false, and nothing changes, where that is too large.
func (j *job) unbound(src *source) bool {
	bound := *j
	j.spec.DPR, j.spec.DPRMost = j.fullDPR, 0
	if err := j.draw(src); err != nil {
		*j = bound
		return false
	}
	return true
}

// setFrames decides between still and animation. A URL that names WebP or GIF asks for the animation where the operator
// allows any, and is refused when it is too long; an open URL gets the first frame then.
func (j *job) setFrames(src *source) error {
	n := src.info.Frames
	if n <= 1 || !animates(src.info.Format) {
		return nil
	}
	j.stillFor = "still of an animation"
	if j.lim.Frames <= 1 {
		return nil
	}
	asked := j.spec.Accepts == 0
	format := j.spec.Format
	if !asked {
		format = animatedFormat(j.spec)
	}
	if format != variant.WebP && format != variant.GIF {
		return nil
	}
	tooLong := j.tooLong(src)
	switch {
	case tooLong && asked:
		return fault.New(fault.TooManyFrames, "codec.newJob", fmt.Sprintf("the animation has %d frames of %d x %d pixels, more than is allowed", n, src.stored.W, src.stored.H), nil)
	case tooLong:
		return nil
	}
	j.frames, j.stillFor = n, ""
	j.spec.Format = format
	return nil
}

// tooLong reports whether an animation has more frames, or larger ones, than is allowed.
func (j *job) tooLong(src *source) bool {
	n, area, most := src.info.Frames, src.stored.area(), j.spec.Limits.FramePixels
	return n > j.lim.Frames || area*int64(n) > j.lim.Pixels || most > 0 && area > most
}

// animatedFormat is the best format for an animation that an open URL's client takes; "" for none.
func animatedFormat(s variant.Spec) variant.Format {
	switch {
	case s.Accepts&variant.AcceptWebP != 0:
		return variant.WebP
	case s.Accepts&variant.AcceptGIF != 0:
		return variant.GIF
	}
	return variant.Open
}

// loading picks shrink-on-load right up to the size that is wanted, where the decoder can and nothing needs the full
// picture.
func (j *job) loading(src *source) loadKey {
	k := loadKey{shrink: 1, scale: 1, pages: j.frames}
	f := j.plan.shrink() * src.reduced()
	if src.svg != nil {
		k.scale = src.drawnScale(j.plan.storedScaled(), j.plan.final.of(j.plan.cropSize), j.spec.Trim.On)
		return k
	}
	if j.frames > 1 || j.spec.Trim.On {
		return k
	}
	switch {
	case j.spec.Master:
		f *= 1.002 // Its box is what the decoder shrinks to, but for rounding.
	case src.reduced() < 1:
		f /= masterResample
	}
	switch src.info.Format {
	case "jpeg":
		for _, s := range []int{8, 4, 2} {
			if f >= float64(s) {
				k.shrink = s
				break
			}
		}
	case "webp":
		// libwebp's own scaler averages areas: it may halve as often as the picture allows, the rest is left to the
		// better kernel.
		k.scale = 1 / math.Exp2(math.Max(0, math.Floor(math.Log2(f))))
	}
	return k
}

func animates(sourceFormat string) bool { return sourceFormat == "gif" || sourceFormat == "webp" }

func hasAlpha(f variant.Format) bool { return f != variant.JPEG }

// pixelKey is what decides a job's pixels. Two jobs with one key differ in their encoding alone.
type pixelKey struct {
	spec   variant.Spec
	frames int
	clear  bool
}

func (j *job) pixelKey() pixelKey {
	s := j.spec
	s.Format, s.Quality, s.FormatQuality, s.MaxBytes, s.AutoSize = "", 0, variant.Qualities{}, 0, variant.AutoSize{}
	s.Net, s.Legible, s.Limits, s.CacheBuster, s.Fallback, s.Hash = 0, 0, variant.Limits{Side: s.Limits.Side}, "", "", variant.Hash{}
	s.Class, s.Accepts = 0, 0
	return pixelKey{s, j.frames, j.clear()}
}

// grouped puts jobs of one pixelKey together, in the order of their first.
func grouped(jobs []*job) [][]*job {
	at := map[pixelKey]int{}
	var groups [][]*job
	for _, j := range jobs {
		k := j.pixelKey()
		i, ok := at[k]
		if !ok {
			i = len(groups)
			at[k] = i
			groups = append(groups, nil)
		}
		groups[i] = append(groups[i], j)
	}
	return groups
}
