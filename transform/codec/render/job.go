package render

import (
	"fmt"
	"math"

	"github.com/goldcrest/goldcrest/fault"
	"github.com/goldcrest/goldcrest/transform"
	"github.com/goldcrest/goldcrest/transform/codec/decode"
	"github.com/goldcrest/goldcrest/transform/codec/geometry"
	"github.com/goldcrest/goldcrest/transform/codec/vips"
	"github.com/goldcrest/goldcrest/variant"
	"github.com/goldcrest/goldcrest/variant/about"
)

// Job is one variant to be made: its spec and everything that is decided before pixels are read.
type Job struct {
	Index    int
	Spec     variant.Spec
	Stage    variant.Stage // requested
	Lim      transform.Limits
	Plan     geometry.Plan
	Load     decode.LoadKey
	Frames   int         // number of frames kept; 1 = a still
	fullDPR  float64     // dpr of the URL, before its weight class bounds it
	Streamed bool        // the pixels are encoded as they are decoded, and can be read only once
	Mark     *vips.Image // the watermark; nil = none
	From     *Link       // a larger picture of the same source to make the pixels from; nil = use the source
	StillFor string
}

// Streams reports whether the encoder can pull the pixels straight from the decoder. That needs one pass from top to
// bottom, no step that reads the picture before the encoder, and a single encode.
func (j *Job) Streams(src *decode.Source) bool {
	s, p := j.Spec, &j.Plan
	looks := s.Trim.On || j.Effects() || p.Crop.Smart || p.Result.Smart
	moves := p.Enlarges() || p.Final != (geometry.Orientation{}) || p.Canvas != p.Result.Size || p.Out != p.Canvas
	// The automatic quality reads the pixels. An open format may become one for which the URL names no q.
	chosen := s.Quality > 0 || s.Accepts == 0 && (ExplicitQuality(s.Format, s) > 0 || s.Format == variant.PNG)
	return j.Frames == 1 && !src.Facts.Alpha && !looks && !moves && chosen && s.MaxBytes == 0 && s.AutoSize.Bytes == 0
}

// lowered returns l with the limits of one URL, which can only lower them.
func lowered(l transform.Limits, u variant.Limits) transform.Limits {
	if u.Pixels > 0 {
		l.Pixels = min(l.Pixels, u.Pixels)
	}
	if u.Frames > 0 {
		l.Frames = min(l.Frames, u.Frames)
	}
	return l
}

// NewJob decides frames, geometry and how the source is decoded.
func NewJob(index int, spec variant.Spec, stage variant.Stage, src *decode.Source, lim transform.Limits) (*Job, error) {
	lim = lowered(lim, spec.Limits)
	if src.Stored.Area() > lim.Pixels {
		return nil, fault.New(fault.TooManyPixels, "codec.newJob", fmt.Sprintf("the picture has %d x %d pixels, more than is allowed", src.Stored.W, src.Stored.H), nil)
	}
	if spec.Limits.Bytes > 0 && src.Bytes() > spec.Limits.Bytes {
		return nil, fault.New(fault.SourceTooLarge, "codec.newJob", "the original is larger than the URL allows", nil)
	}
	j := &Job{Index: index, Spec: spec, Stage: stage, Lim: lim, Frames: 1, fullDPR: spec.DPR}
	j.Spec.Enlarge = src.Enlarges(spec)
	if spec.Format == variant.Info {
		j.Spec.Width, j.Spec.Height = about.Side, about.Side
	}
	if spec.Master {
		j.Spec.Width = masterBox(src, spec.Width)
		j.Spec.Height = j.Spec.Width
	}
	if err := j.setFrames(src); err != nil {
		return nil, err
	}
	if spec.DPRMost > 0 {
		j.Spec.DPR = min(spec.DPR, spec.DPRMost)
	}
	if err := j.draw(src); err != nil {
		return nil, err
	}
	if j.Frames > 1 && j.Plan.Out.Area()*int64(j.Frames) > max(lim.ResultPixels, lim.Pixels) {
		return nil, fault.New(fault.ResultTooLarge, "codec.newJob", "the animation asked for is too large", nil)
	}
	return j, nil
}

// clear reports whether extension and padding are transparent.
func (j *Job) clear() bool {
	return j.Spec.Accepts == 0 && hasAlpha(j.Spec.Format) && !j.Spec.Background.Set
}

// Effects reports whether the pixels are changed other than by geometry.
func (j *Job) Effects() bool {
	s := &j.Spec
	return s.Blur > 0 || s.Sharpen > 0 || s.Pixelate > 1 || s.Watermark.Opacity > 0
}

// writable refuses a format that the URL names and this libvips cannot write.
func (j *Job) writable() error {
	if j.Spec.Format == variant.JXL && j.Spec.Accepts == 0 && !vips.WritesJXL() {
		return fault.New(fault.UnsupportedOption, "codec.newJob", "JPEG XL is not written by this server", nil)
	}
	return nil
}

// draw plans the geometry and how the source is decoded for it.
func (j *Job) draw(src *decode.Source) error {
	if err := j.writable(); err != nil {
		return err
	}
	exif := src.Exif
	if j.Spec.KeepOrientation {
		exif = geometry.Orientation{}
	}
	plan, err := geometry.NewPlan(j.Spec, src.Stored, exif, j.Lim.ResultPixels)
	if err != nil {
		return err
	}
	j.Plan = plan
	j.Load = j.loading(src)
	return nil
}

// Unbound plans again with the dpr of the URL. If that is too large, it returns false and changes nothing.
func (j *Job) Unbound(src *decode.Source) bool {
	bound := *j
	j.Spec.DPR, j.Spec.DPRMost = j.fullDPR, 0
	if err := j.draw(src); err != nil {
		*j = bound
		return false
	}
	return true
}

// setFrames decides between still and animation. If the operator allows animations, a URL that names a format of
// animations gets one, and is refused when it is too long; an open URL gets the first frame in that case.
func (j *Job) setFrames(src *decode.Source) error {
	n := src.Info.Frames
	if n <= 1 || !animates(src.Info.Format) {
		return nil
	}
	j.StillFor = "still of an animation"
	if j.Lim.Frames <= 1 {
		return nil
	}
	asked := j.Spec.Accepts == 0
	format := j.Spec.Format
	if !asked {
		format = AnimatedFormat(j.Spec, j.Lim.AnimatedAVIF)
	}
	if format != variant.WebP && format != variant.GIF && (format != variant.AVIF || !j.Lim.AnimatedAVIF) {
		return nil
	}
	tooLong := j.tooLong(src)
	switch {
	case tooLong && asked:
		return fault.New(fault.TooManyFrames, "codec.newJob", fmt.Sprintf("the animation has %d frames of %d x %d pixels, more than is allowed", n, src.Stored.W, src.Stored.H), nil)
	case tooLong:
		return nil
	}
	j.Frames, j.StillFor = n, ""
	j.Spec.Format = format
	return nil
}

// tooLong reports whether an animation has more frames, or larger ones, than allowed.
func (j *Job) tooLong(src *decode.Source) bool {
	n, area, most := src.Info.Frames, src.Stored.Area(), j.Spec.Limits.FramePixels
	return n > j.Lim.Frames || area*int64(n) > j.Lim.Pixels || most > 0 && area > most
}

// AnimatedFormat is the best animation format that the client of an open URL accepts; "" for none. It is AVIF only if
// the client accepts another one for animations that are too large for AVIF.
func AnimatedFormat(s variant.Spec, avif bool) variant.Format {
	const others = variant.AcceptWebP | variant.AcceptGIF
	switch {
	case avif && s.Accepts&variant.AcceptAVIF != 0 && s.Accepts&others != 0:
		return variant.AVIF
	case s.Accepts&variant.AcceptWebP != 0:
		return variant.WebP
	case s.Accepts&variant.AcceptGIF != 0:
		return variant.GIF
	}
	return variant.Open
}

// loading picks shrink-on-load as far as the wanted size permits, if the decoder supports it and no step needs the full
// picture.
func (j *Job) loading(src *decode.Source) decode.LoadKey {
	k := decode.LoadKey{Shrink: 1, Scale: 1, Pages: j.Frames}
	f := j.Plan.Shrink() * src.Reduced()
	if src.Drawn() {
		k.Scale = src.DrawnScale(j.Plan.StoredScaled(), j.Plan.Final.Of(j.Plan.Crop.Size), j.Spec.Trim.On)
		return k
	}
	if j.Frames > 1 || j.Spec.Trim.On {
		return k
	}
	switch {
	case j.Spec.Master:
		f *= 1.002 // The decoder shrinks to exactly the box of a master, except for rounding.
	case src.Reduced() < 1:
		f /= masterResample
	}
	switch src.Info.Format {
	case "jpeg":
		for _, s := range []int{8, 4, 2} {
			if f >= float64(s) {
				k.Shrink = s
				break
			}
		}
	case "webp":
		// libwebp's own scaler averages areas, so it may halve as often as the size permits. The better kernel does the
		// rest.
		k.Scale = 1 / math.Exp2(math.Max(0, math.Floor(math.Log2(f))))
	}
	return k
}

func animates(sourceFormat string) bool { return sourceFormat == "gif" || sourceFormat == "webp" }

func hasAlpha(f variant.Format) bool { return f != variant.JPEG }

// pixelKey identifies a job's pixels. Two jobs with the same key differ only in their encoding.
type pixelKey struct {
	spec   variant.Spec
	frames int
	clear  bool
}

func (j *Job) pixelKey() pixelKey {
	s := j.Spec
	s.Format, s.Quality, s.FormatQuality, s.MaxBytes, s.AutoSize = "", 0, variant.Qualities{}, 0, variant.AutoSize{}
	s.Net, s.Legible, s.Limits, s.CacheBuster, s.Fallback, s.Hash = 0, 0, variant.Limits{Side: s.Limits.Side}, "", "", variant.Hash{}
	s.Class, s.Accepts, s.KeepCopyright, s.Unprocessed = 0, 0, false, 0
	return pixelKey{s, j.Frames, j.clear()}
}

// Grouped groups jobs by pixelKey, in the order of the first job of each.
func Grouped(jobs []*Job) [][]*Job {
	at := map[pixelKey]int{}
	var groups [][]*Job
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

// masterFit is how much smaller than its bound a master may be, so that the JPEG decoder can shrink directly to its
// size.
const masterFit = 0.9

// masterResample is the least reduction left to the resampler when the decoder shrinks a master. A master is sharper
// than most originals, and the decoder alone would let its noise through.
const masterResample = 1.5

// masterBox is the box of a master within bound: the size to which the decoder shrinks by itself, if it is near the
// bound. This saves half of the work.
func masterBox(src *decode.Source, bound int) int {
	long := max(src.Stored.W, src.Stored.H)
	if src.Info.Format != "jpeg" {
		return bound
	}
	for _, shrink := range []int{2, 4, 8} {
		if side := long / shrink; side <= bound && float64(side) >= masterFit*float64(bound) {
			return side
		}
	}
	return bound
}

// ExplicitQuality is the q that the URL names for a format; 0 for none. The quality option takes precedence over
// format_quality.
func ExplicitQuality(f variant.Format, spec variant.Spec) int {
	if spec.Quality > 0 {
		return int(spec.Quality)
	}
	switch f {
	case variant.JPEG:
		return int(spec.FormatQuality.JPEG)
	case variant.PNG:
		return int(spec.FormatQuality.PNG)
	case variant.WebP:
		return int(spec.FormatQuality.WebP)
	case variant.AVIF:
		return int(spec.FormatQuality.AVIF)
	case variant.GIF:
		return int(spec.FormatQuality.GIF)
	case variant.JXL:
		return int(spec.FormatQuality.JXL)
	}
	return 0
}
