package codec

import (
	"fmt"

	"github.com/goldcrest/goldcrest/transform/codec/allowance"
	"github.com/goldcrest/goldcrest/transform/codec/container"
	"github.com/goldcrest/goldcrest/variant"
)

// encoded is one attempt: the bytes of the picture in one format, without metadata.
type encoded struct {
	body   []byte
	format variant.Format
	q      int // 0 = lossless
	note   string

	target    float64 // that q was chosen for; 0 = none
	predicted int     // the q that the model named; 0 = none
	score     float64 // that it reached; 0 = nobody measured it
	foretold  bool    // a final one would be measured, and may be another
}

// String is the attempt in a few words.
func (b encoded) String() string {
	if b.q == 0 {
		return fmt.Sprintf("%s lossless %d bytes", b.format, len(b.body))
	}
	return fmt.Sprintf("%s q%d %d bytes", b.format, b.q, len(b.body))
}

// encoder makes the bytes of one job from its rendered picture.
type encoder struct {
	choices chooser
	src     *source
	pic     *picture
	job     *job
	ready   [2]*pixmap // what an encoder gets: as it is, and laid on the background
	tried   []string   // every encode, for explanations
	time    *allowance.Allowance
}

func (e *encoder) free() {
	for _, im := range e.ready {
		im.free()
	}
}

// encode chooses the format and the quality, and keeps an open URL from costing more than its original.
func (e *encoder) encode() (variant.Image, error) {
	if e.job.spec.Master {
		return e.master()
	}
	best, err := e.first()
	if err != nil {
		return variant.Image{}, err
	}
	if e.mustNotGrow() && int64(len(best.body)) >= e.src.bytes() {
		foretold := best.foretold
		if best, err = e.lighter(best); err != nil {
			return variant.Image{}, err
		}
		best.foretold = foretold
	}
	return e.image(best), nil
}

// first is the encode that the spec leads to: in few levels where that keeps the target, as it costs fewer bytes and
// less time than any other.
func (e *encoder) first() (encoded, error) {
	f := e.format()
	if few, ok, err := e.inLevels(f); ok || err != nil {
		return few, err
	}
	best, err := e.attempt(f)
	if err != nil {
		return best, err
	}
	return e.orLossless(best)
}

func (e *encoder) image(b encoded) variant.Image {
	upright := e.src.exif.of(e.src.stored)
	note := b.note
	if e.job.stillFor != "" {
		note += "; " + e.job.stillFor
	}
	if e.src.master != nil {
		note = andNote(note, "from the master")
	}
	return variant.Image{
		Body: b.body, Format: b.format, Width: e.pic.size.W, Height: e.pic.size.H, AskedWidth: e.pic.asked.W, AskedHeight: e.pic.asked.H, Quality: b.q, Frames: e.pic.frames,
		SourceFormat: e.src.format(), SourceWidth: upright.W, SourceHeight: upright.H, SourceFrames: e.src.info.Frames,
		Stage: e.stage(b), Note: note, Placeholder: e.pic.placeholder(b.format, e.job.spec.Background), Choice: e.choice(b),
	}
}

// format is the first choice: the URL's own, or what the client takes for a picture with alpha or one too large for
// AVIF.
func (e *encoder) format() variant.Format {
	s := e.job.spec
	f := s.Format
	if s.Accepts == 0 {
		if f == variant.Open {
			return variant.JPEG
		}
		return f
	}
	if f == variant.AVIF && !e.avifAllowed() {
		switch {
		case s.Accepts&variant.AcceptWebP != 0:
			f = variant.WebP
		case s.Accepts&variant.AcceptJPEG != 0:
			f = variant.JPEG
		case s.Accepts&variant.AcceptPNG != 0:
			f = variant.PNG
		}
	}
	if f == variant.JPEG && e.keepsAlpha() {
		switch {
		case s.Accepts&variant.AcceptPNG != 0:
			return variant.PNG
		case s.Accepts&variant.AcceptWebP != 0:
			return variant.WebP
		}
	}
	return f
}

func (e *encoder) avifAllowed() bool { return e.pic.size.area() <= e.job.lim.AVIFPixels }

// keepsAlpha reports whether transparency is in the picture and is meant to stay.
func (e *encoder) keepsAlpha() bool { return e.pic.alpha && !e.job.spec.Background.Set }

// attempt encodes in a format with the quality that the spec leads to.
func (e *encoder) attempt(f variant.Format) (encoded, error) {
	s := e.choices.choose(e.pic, e.wish(f))
	spec := e.job.spec
	switch {
	case s.lossless || f == variant.GIF:
	case spec.AutoSize.Bytes > 0:
		high, low := orDefault(spec.AutoSize.Max, s.q), orDefault(spec.AutoSize.Min, lowestQuality)
		return e.fit(f, s, spec.AutoSize.Bytes, high, min(low, high))
	case spec.MaxBytes > 0:
		return e.fit(f, s, spec.MaxBytes, s.q, min(lowestQuality, s.q))
	case e.measures(s):
		return e.measured(f, s)
	}
	out, err := e.save(f, s)
	out.foretold = s.predicted > 0 && e.measurable()
	return out, err
}

// save encodes once and cuts out of the container what the encoder may have put there.
func (e *encoder) save(f variant.Format, s settings) (encoded, error) {
	im, err := e.prepared(f)
	if err != nil {
		return encoded{}, internal("codec.save", err)
	}
	return e.saveAs(im, f, s)
}

// saveAs is save for pixels that differ from the picture's.
func (e *encoder) saveAs(im *pixmap, f variant.Format, s settings) (encoded, error) {
	body, err := im.save(s.options(f))
	if err != nil {
		return encoded{}, internal("codec.save", err)
	}
	if body, err = container.Strip(f, body); err != nil {
		return encoded{}, internal("codec.save", err)
	}
	out := encoded{body: body, format: f, q: s.q, target: s.target, predicted: s.predicted, note: s.note}
	if s.lossless {
		out.q = 0
	}
	e.tried = append(e.tried, out.String())
	return out, nil
}

// prepared is the picture as the format takes it: bare of metadata, and laid on the background where the format has no
// alpha or the URL names a colour.
func (e *encoder) prepared(f variant.Format) (*pixmap, error) {
	flat := 0
	if e.pic.alpha && (f == variant.JPEG || e.job.spec.Background.Set) {
		flat = 1
	}
	if e.ready[flat] != nil {
		return e.ready[flat], nil
	}
	im := e.pic.im.clone()
	if err := e.prepare(im, flat == 1); err != nil {
		im.free()
		return nil, err
	}
	e.ready[flat] = im
	return im, nil
}

func (e *encoder) prepare(im *pixmap, flat bool) error {
	if flat {
		bg, grey := e.job.spec.Background, e.pic.grey
		if grey && bg.Set && (bg.R != bg.G || bg.G != bg.B) {
			if err := im.toRGB(); err != nil {
				return err
			}
			grey = false
		}
		if err := im.flatten(colourBands(bg, grey)); err != nil {
			return err
		}
		if err := im.memory(); err != nil {
			return err
		}
	}
	if err := im.bare(); err != nil {
		return err
	}
	if e.pic.frames > 1 {
		im.animate(e.pic.size.H, e.pic.loop, e.pic.delays)
	}
	return nil
}

// others are the formats beside the first that this client takes and that suit the picture.
func (e *encoder) others(first variant.Format) []variant.Format {
	accepts := e.job.spec.Accepts
	if e.pic.frames > 1 {
		if first == variant.GIF && accepts&variant.AcceptWebP != 0 {
			return []variant.Format{variant.WebP}
		}
		return nil
	}
	var out []variant.Format
	add := func(f variant.Format, bit variant.FormatSet, suits bool) {
		if f != first && accepts&bit != 0 && suits {
			out = append(out, f)
		}
	}
	in := e.src.format()
	add(variant.AVIF, variant.AcceptAVIF, e.avifAllowed())
	add(variant.WebP, variant.AcceptWebP, true)
	add(variant.JPEG, variant.AcceptJPEG, !e.keepsAlpha())
	add(variant.PNG, variant.AcceptPNG, in == "png" || in == "gif" || in == "bmp")
	return out
}

// passThrough is the original's own bytes with its metadata cut out, where the spec changes no pixel and the file needs
// no conversion to be shown rightly.
func (e *encoder) passThrough() (encoded, bool) {
	s := e.job.spec
	body, format, ok := untouched(e.src, e.job)
	if !ok || len(body) > len(e.src.original) || !s.Accepts.Has(format) || (s.MaxBytes > 0 && len(body) > s.MaxBytes) {
		return encoded{}, false
	}
	return encoded{body: body, format: format, note: "passed through, any encode would be larger"}, true
}

// untouched is the original's own bytes less its metadata, where the job changes no pixel and the file needs no
// conversion.
func untouched(src *source, j *job) (body []byte, format variant.Format, ok bool) {
	s, p, in := j.spec, j.plan, src.info
	changes := s.Trim.On || j.effects() || s.Background.Set || p.final != (orientation{}) ||
		p.cropSize != p.stored || p.scaled != p.stored || p.out != p.stored
	f := src.facts
	plain := !src.converts() && f.bits == 8 && in.Bits <= 8 && !in.CMYK && (f.rgb || f.grey)
	remade := src.master != nil && !src.master.Exact
	format = sourceFormat(in.Format)
	if changes || !plain || remade || in.Orientation != 1 || in.Frames != j.frames || !in.Complete || format == variant.Open {
		return nil, variant.Open, false
	}
	body, err := rewriteContainer(format, src.original[:in.End])
	return body, format, err == nil
}

// sourceFormat is the format of an original that may be passed through; AVIF is not among them, as its metadata cannot
// be cut out without rewriting the file.
func sourceFormat(name string) variant.Format {
	switch name {
	case "jpeg":
		return variant.JPEG
	case "png":
		return variant.PNG
	case "webp":
		return variant.WebP
	case "gif":
		return variant.GIF
	}
	return variant.Open
}

func andNote(a, b string) string {
	if a == "" {
		return b
	}
	return a + "; " + b
}

func orDefault(v uint8, otherwise int) int {
	if v == 0 {
		return otherwise
	}
	return int(v)
}
