// Package encode makes the bytes of variants. It searches for an encode that reaches the target and, where that rule
// applies, is not larger than the original.
package encode

import (
	"fmt"

	"github.com/goldcrest/goldcrest/transform/codec/allowance"
	"github.com/goldcrest/goldcrest/transform/codec/choose"
	"github.com/goldcrest/goldcrest/transform/codec/container"
	"github.com/goldcrest/goldcrest/transform/codec/credit"
	"github.com/goldcrest/goldcrest/transform/codec/decode"
	"github.com/goldcrest/goldcrest/transform/codec/render"
	"github.com/goldcrest/goldcrest/transform/codec/untouched"
	"github.com/goldcrest/goldcrest/transform/codec/vips"
	"github.com/goldcrest/goldcrest/variant"
)

// Encoded is one encode: the bytes of the picture in one format, without metadata.
type Encoded struct {
	Body   []byte
	Format variant.Format
	Q      int // 0 = lossless
	Note   string

	target    float64 // for which q was chosen; 0 = none
	predicted int     // the q that the model predicts; 0 = none
	score     float64 // as measured; 0 = not measured
	foretold  bool    // not measured, but a final variant would be, and may differ
	levels    int     // of grey; 0 = not reduced to few levels
}

// String describes the encode for explanations.
func (b Encoded) String() string {
	if b.Q == 0 {
		return fmt.Sprintf("%s lossless %d bytes", b.Format, len(b.Body))
	}
	return fmt.Sprintf("%s q%d %d bytes", b.Format, b.Q, len(b.Body))
}

// Encoder makes the bytes of one job from its rendered picture.
type Encoder struct {
	Choices *choose.Chooser
	Src     *decode.Source
	Pic     *render.Picture
	Job     *render.Job
	ready   [2]*vips.Image // the input of encoders: unchanged, and flattened on the background
	tried   []string       // every encode, for explanations
	Time    *allowance.Allowance
}

// Free frees the encoders' input.
func (e *Encoder) Free() {
	for _, im := range e.ready {
		im.Free()
	}
}

// Encode chooses the format and the quality, and keeps the variant of an open URL from being larger than its original.
func (e *Encoder) Encode() (variant.Image, error) {
	switch {
	case e.Job.Spec.Master:
		return e.master()
	case e.Job.Spec.Format == variant.Info:
		return e.about()
	}
	best, err := e.first()
	if err != nil {
		return variant.Image{}, err
	}
	if e.MustNotGrow() && int64(len(best.Body)) >= e.Src.Bytes() {
		foretold := best.foretold
		if best, err = e.lighter(best); err != nil {
			return variant.Image{}, err
		}
		best.foretold = foretold
	}
	return e.Image(best), nil
}

// levelsSure is the number of levels up to which a lossless encode has fewer bytes than a lossy one of the same print.
// With more levels it may have a third more.
const levelsSure = 5

// first is the encode for the spec. Few levels are used if they keep the target, since they cost less time than any
// other encode, and mostly fewer bytes. If nobody waits and few levels are not sure to be smaller, both are made and
// the smaller one is returned.
func (e *Encoder) first() (Encoded, error) {
	f := e.Format()
	few, ok, err := e.inLevels(f)
	if err != nil || ok && (!e.unhurried() || few.levels <= levelsSure || !e.Time.More()) {
		return few, err
	}
	best, err := e.Attempt(f)
	if err != nil {
		return best, err
	}
	if ok && (best.score < few.target-choose.ScoreSlack || len(best.Body) >= len(few.Body)) {
		best = few
	}
	return e.orPalette(best)
}

// Image adds the properties of the variant to an encode.
func (e *Encoder) Image(b Encoded) variant.Image {
	upright := e.Src.Exif.Of(e.Src.Stored)
	note := b.Note
	if e.Job.StillFor != "" {
		note += "; " + e.Job.StillFor
	}
	if e.Src.Master != nil {
		note = andNote(note, "from the master")
	}
	return variant.Image{
		Body: b.Body, Format: b.Format, Width: e.Pic.Size.W, Height: e.Pic.Size.H, AskedWidth: e.Pic.Asked.W, AskedHeight: e.Pic.Asked.H, Quality: b.Q, Frames: e.Pic.Frames,
		SourceFormat: e.Src.Format(), SourceWidth: upright.W, SourceHeight: upright.H, SourceFrames: e.Src.Info.Frames,
		Stage: e.stage(b), Note: note, Placeholder: e.Pic.Placeholder(b.Format, e.Job.Spec.Background), Choice: e.choice(b),
	}
}

// Format is the first choice: the URL's own, or the best that the client accepts for a picture with alpha or one too
// large for AVIF and JPEG XL.
func (e *Encoder) Format() variant.Format {
	s := e.Job.Spec
	f := s.Format
	if s.Accepts == 0 {
		if f == variant.Open {
			return variant.JPEG
		}
		return f
	}
	if e.Pic.Frames > 1 {
		return render.AnimatedFormat(s, f == variant.AVIF && e.suits(f))
	}
	if !e.suits(f) {
		for _, next := range [...]variant.Format{variant.AVIF, variant.WebP, variant.JPEG, variant.PNG} {
			if s.Accepts.Has(next) && e.suits(next) {
				f = next
				break
			}
		}
	}
	if f == variant.JPEG && e.keepsAlpha() {
		return e.withAlpha()
	}
	return f
}

// withAlpha is the format of a client of JPEG for a picture with alpha.
func (e *Encoder) withAlpha() variant.Format {
	switch accepts := e.Job.Spec.Accepts; {
	case accepts&variant.AcceptPNG != 0:
		return variant.PNG
	case accepts&variant.AcceptWebP != 0:
		return variant.WebP
	}
	return variant.JPEG
}

// keepsAlpha reports whether the picture has transparency that must be kept.
func (e *Encoder) keepsAlpha() bool { return e.Pic.Alpha && !e.Job.Spec.Background.Set }

// Attempt encodes in a format with the quality that the spec asks for.
func (e *Encoder) Attempt(f variant.Format) (Encoded, error) {
	if e.moves(f) && e.unhurried() {
		return e.lightestMoving()
	}
	return e.attempt(f, e.Choices.Choose(e.Pic, e.Wish(f)))
}

// attempt is Attempt with settings.
func (e *Encoder) attempt(f variant.Format, s choose.Settings) (Encoded, error) {
	spec := e.Job.Spec
	switch {
	case s.Lossless || f == variant.GIF:
	case spec.AutoSize.Bytes > 0:
		high, low := orDefault(spec.AutoSize.Max, s.Q), orDefault(spec.AutoSize.Min, lowestQuality)
		return e.fit(f, s, spec.AutoSize.Bytes, high, min(low, high))
	case spec.MaxBytes > 0:
		return e.fit(f, s, spec.MaxBytes, s.Q, min(lowestQuality, s.Q))
	case e.measures(s):
		return e.measured(f, s)
	}
	out, err := e.save(f, s)
	if err == nil && e.unsure(f, s) {
		out, err = e.sure(out, s)
	}
	out.foretold = s.Predicted > 0 && e.measurable()
	return out, err
}

// save encodes once and removes metadata that the encoder may have written.
func (e *Encoder) save(f variant.Format, s choose.Settings) (Encoded, error) {
	im, err := e.prepared(f)
	if err != nil {
		return Encoded{}, vips.Internal("codec.save", err)
	}
	return e.saveAs(im, f, s)
}

// saveAs is save for other pixels than the picture's.
func (e *Encoder) saveAs(im *vips.Image, f variant.Format, s choose.Settings) (Encoded, error) {
	s.Format = f
	save := im.Save
	if e.moves(f) {
		save = e.saveMoving(im)
	}
	body, err := save(s.Saving)
	if err != nil {
		return Encoded{}, vips.Internal("codec.save", err)
	}
	if body, err = container.Strip(f, body); err != nil {
		return Encoded{}, vips.Internal("codec.save", err)
	}
	if body, err = e.kept().Write(f, body); err != nil {
		return Encoded{}, vips.Internal("codec.save", err)
	}
	out := Encoded{Body: body, Format: f, Q: s.Q, target: s.Target, predicted: s.Predicted, Note: s.Note}
	if s.Lossless {
		out.Q = 0
	}
	e.tried = append(e.tried, out.String())
	return out, nil
}

// kept is what the URL keeps of the original's metadata.
func (e *Encoder) kept() (k credit.Kept) {
	if e.Job.Spec.KeepCopyright {
		k = credit.Read(e.Src.EXIF)
	}
	if e.Job.Spec.KeepProfile && e.Src.KeepsColours() {
		k.Profile = e.Src.Profile
	}
	return k
}

// prepared is the picture as input for a format: without metadata, and flattened on the background if the format has no
// alpha or the URL names a colour.
func (e *Encoder) prepared(f variant.Format) (*vips.Image, error) {
	flat := 0
	if e.Pic.Alpha && (f == variant.JPEG || e.Job.Spec.Background.Set) {
		flat = 1
	}
	if e.ready[flat] != nil {
		return e.ready[flat], nil
	}
	im := e.Pic.Im.Clone()
	if err := e.prepare(im, flat == 1); err != nil {
		im.Free()
		return nil, err
	}
	e.ready[flat] = im
	return im, nil
}

func (e *Encoder) prepare(im *vips.Image, flat bool) error {
	if flat {
		bg, grey := e.Job.Spec.Background, e.Pic.Grey
		if grey && bg.Set && (bg.R != bg.G || bg.G != bg.B) {
			if err := im.ToRGB(); err != nil {
				return err
			}
			grey = false
		}
		if err := im.Flatten(render.ColourBands(bg, grey)); err != nil {
			return err
		}
		if err := im.Memory(); err != nil {
			return err
		}
	}
	if err := im.Bare(); err != nil {
		return err
	}
	if e.Pic.Frames > 1 {
		im.Animate(e.Pic.Size.H, e.Pic.Loop, e.Pic.Delays)
	}
	return nil
}

// others are the other formats that this client accepts and that suit the picture.
func (e *Encoder) others(first variant.Format) []variant.Format {
	accepts := e.Job.Spec.Accepts
	if e.Pic.Frames > 1 {
		if first != variant.WebP && accepts&variant.AcceptWebP != 0 {
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
	in := e.Src.Format()
	add(variant.JXL, variant.AcceptJXL, e.suits(variant.JXL))
	add(variant.AVIF, variant.AcceptAVIF, e.suits(variant.AVIF))
	add(variant.WebP, variant.AcceptWebP, true)
	add(variant.JPEG, variant.AcceptJPEG, !e.keepsAlpha())
	add(variant.PNG, variant.AcceptPNG, in == "png" || in == "gif" || in == "bmp")
	return out
}

// passThrough is the original without its metadata, if the spec changes no pixel and the file needs no conversion to be
// shown correctly.
func (e *Encoder) passThrough() (Encoded, bool) {
	s := e.Job.Spec
	body, format, ok := untouched.Original(e.Src, e.Job)
	if ok {
		var err error
		body, err = e.kept().Write(format, body)
		ok = err == nil
	}
	if !ok || len(body) > len(e.Src.Original) || !s.Accepts.Has(format) || (s.MaxBytes > 0 && len(body) > s.MaxBytes) {
		return Encoded{}, false
	}
	return Encoded{Body: body, Format: format, Note: "passed through, any encode would be larger"}, true
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
