package encode

import (
	"cmp"
	"fmt"
	"math"
	"slices"

	"github.com/goldcrest/goldcrest/transform/codec/choose"
	"github.com/goldcrest/goldcrest/transform/codec/judge"
	"github.com/goldcrest/goldcrest/transform/codec/look"
	"github.com/goldcrest/goldcrest/transform/codec/quantize"
	"github.com/goldcrest/goldcrest/transform/codec/vips"
	"github.com/goldcrest/goldcrest/variant"
)

// MustNotGrow reports whether the rule "never larger than the original" applies: the URL leaves format and quality open
// and enlarges nothing.
func (e *Encoder) MustNotGrow() bool {
	s := e.Job.Spec
	return s.Accepts != 0 && !s.Enlarge && !e.Job.Plan.Enlarges() && s.Quality == 0 && s.FormatQuality == (variant.Qualities{}) &&
		s.AutoSize.Bytes == 0
}

// paletteQualities are the q of the palettes that an open URL's PNG falls back to, finest first. A drawing of plain
// colours with soft edges scores 89 at 70, with half of the bytes that it has at 100.
var paletteQualities = []int{100, 85, 70}

// lighterLevels are tried for print whose encodes are all larger than the original, in the order of their bytes.
var lighterLevels = []int{2, 3, 4, 6, 8, 12, 16}

// diet is the search for an encode that is smaller than the original.
type diet struct {
	*Encoder
	limit    int64     // the size that is too large
	smallest Encoded   // of all encodes near the target
	coder    Encoded   // the smallest lossy one; Body is nil if there is none
	legible  []Encoded // smaller than the original, below the target, not below the floor
	spare    []Encoded // smaller than the original, below the floor, with scores; those in levels have no q
}

// fits records an encode, and reports whether it is smaller than the original.
func (d *diet) fits(c Encoded) bool {
	if len(c.Body) < len(d.smallest.Body) {
		d.smallest = c
	}
	if lossy := c.Q > 0 && c.Format != variant.PNG; lossy && (d.coder.Body == nil || len(c.Body) < len(d.coder.Body)) {
		d.coder = c
	}
	return int64(len(c.Body)) < d.limit
}

// lighter looks for an encode that is smaller than the original. It tries first what keeps the target: the client's
// other formats, few levels, palettes. Next is the smallest encode that keeps the floor, then the original itself, and
// then encodes below the floor. If none is smaller, it returns the smallest encode near the target.
func (e *Encoder) lighter(first Encoded) (Encoded, error) {
	d := &diet{Encoder: e, limit: e.Src.Bytes(), smallest: first}
	d.fits(first)
	for _, way := range []func(variant.Format) (Encoded, bool, error){d.otherFormat, d.fewLevels, d.palette} {
		if !d.Time.More() {
			break
		}
		if found, ok, err := way(first.Format); ok || err != nil {
			return found, err
		}
	}
	if len(d.legible) == 0 { // Levels at the floor are sharper than an encode of lower q.
		if err := d.lowerQuality(); err != nil {
			return Encoded{}, err
		}
	}
	if len(d.legible) > 0 {
		return slices.MinFunc(d.legible, func(a, b Encoded) int { return len(a.Body) - len(b.Body) }), nil
	}
	if own, ok := e.passThrough(); ok {
		return own, nil
	}
	if !d.Time.More() {
		d.smallest.Note = andNote(d.smallest.Note, "larger than the original: there is no time for more tries")
		return d.smallest, nil
	}
	if found, ok, err := d.belowFloor(); ok || err != nil {
		return found, err
	}
	d.smallest.Note = andNote(d.smallest.Note, "larger than the original: nothing that the client takes is smaller")
	return d.smallest, nil
}

func (d *diet) otherFormat(first variant.Format) (Encoded, bool, error) {
	for _, f := range d.others(first) {
		if !d.Time.More() {
			break
		}
		if s := d.Choices.Choose(d.Pic, d.Wish(f)); d.measures(s) { // One encode at the predicted q shows whether measured ones are worth trying.
			c, err := d.save(f, s)
			if err != nil {
				return c, false, err
			}
			if d.fits(c); int64(len(c.Body)) > d.limit*5/4 {
				continue
			}
		}
		c, err := d.Attempt(f)
		if err != nil {
			return c, false, err
		}
		if d.fits(c) {
			c.Note = andNote(c.Note, fmt.Sprintf("%s would be larger than the original", first))
			return c, true, nil
		}
	}
	return Encoded{}, false, nil
}

// fewLevels is print in the fewest levels that keep the target. It is measured in every stage, since it is only called
// for pictures whose encodes are larger than the original.
func (d *diet) fewLevels(variant.Format) (Encoded, bool, error) {
	f, ok := exactFormat(d.Job.Spec)
	if !ok || !d.takesLevels() {
		return Encoded{}, false, nil
	}
	im, err := d.prepared(f)
	if err != nil {
		return Encoded{}, false, vips.Internal("codec.fewLevels", err)
	}
	j, err := judge.New(im, true)
	if j == nil || err != nil {
		return Encoded{}, false, err
	}
	defer j.Close()
	return d.levelsUp(im, f, j)
}

// levelsUp tries increasing numbers of levels, and records encodes below the target.
func (d *diet) levelsUp(im *vips.Image, f variant.Format, j *judge.Judge) (Encoded, bool, error) {
	count, err := look.Histogram(im)
	if err != nil {
		return Encoded{}, false, vips.Internal("codec.levelsUp", err)
	}
	tables := quantize.Tables(&count, lighterLevels[len(lighterLevels)-1])
	wanted, least := choose.Target(d.Wish(f), look.Text), d.floor(f)
	for _, n := range lighterLevels {
		c, err := d.levels(im, f, tables[n], j)
		if err != nil || !d.fits(c) {
			return c, false, err // More levels need more bytes.
		}
		c.target, c.Note = wanted, fmt.Sprintf("%d levels, target %.0f, measured %.1f", n, wanted, c.score)
		switch {
		case c.score >= wanted-choose.ScoreSlack:
			return c, true, nil
		case c.score >= least-choose.ScoreSlack:
			d.keep(c)
		default:
			d.spare = append(d.spare, c)
		}
		if !d.Time.More() {
			break
		}
	}
	return Encoded{}, false, nil
}

// takesLevels reports whether the picture is drawn and can be measured.
func (d *diet) takesLevels() bool {
	v := d.Choices.Look(d.Pic)
	return v != nil && !d.Pic.Alpha && d.measurable() && choose.KindOf(v.Kind, d.Job.Spec.Legible) != look.Photo
}

// levels maps the picture's samples to few levels, encodes them and measures the score.
func (d *diet) levels(im *vips.Image, f variant.Format, table [256]byte, j *judge.Judge) (Encoded, error) {
	few := im.Clone()
	defer func() { few.Free() }()
	if err := few.MapTo(table); err != nil {
		return Encoded{}, vips.Internal("codec.levels", err)
	}
	reached, err := j.Least(few, math.Inf(-1))
	if err != nil {
		return Encoded{}, err
	}
	c, err := d.saveLevels(few, f, "")
	c.score = reached
	return c, err
}

func (d *diet) palette(variant.Format) (Encoded, bool, error) {
	exact := d.smallest.Format == variant.PNG && d.smallest.Q == 0 // A palette is PNG's only lower quality.
	if d.Job.Spec.Accepts&variant.AcceptPNG == 0 || !exact && !d.plain(look.LevelsFlat) {
		return Encoded{}, false, nil
	}
	for _, q := range paletteQualities {
		if !d.Time.More() {
			break
		}
		c, err := d.save(variant.PNG, d.paletteSettings(q))
		if err != nil {
			return c, false, err
		}
		if d.fits(c) {
			c.Note = andNote(c.Note, "a palette, else larger than the original")
			return c, true, nil
		}
	}
	return Encoded{}, false, nil
}

func (d *diet) paletteSettings(q int) choose.Settings {
	s := choose.Settings{Saving: vips.Saving{Q: q, Effort: choose.EffortPalette}}
	if d.plain(look.LevelsFlat) {
		s.Bits = 8 // Dithering would add grain to its flat areas.
	}
	return s
}

// belowTarget and belowFloor are the notes of variants with reduced quality.
const (
	belowTarget = "below the target, else larger than the original"
	belowFloor  = "below the target and the floor, else larger than the original"
)

// floor is the lowest score that the rule may use: the saver class's target.
func (d *diet) floor(f variant.Format) float64 {
	w := d.Wish(f)
	w.Spec.Class = variant.ClassSaver
	return choose.Target(w, d.kindFor(f))
}

// lossy is the format whose quality is lowered: that of the smallest lossy encode.
func (d *diet) lossy() variant.Format {
	if d.coder.Body != nil {
		return d.coder.Format
	}
	return d.smallest.Format
}

// hopeless reports whether print at its target is more than twice as large as the limit, so that a lower q will not
// suffice.
func (d *diet) hopeless() bool { return d.coder.Body != nil && int64(len(d.coder.Body)) > 2*d.limit }

// lowerQuality encodes at a lower q: print at the floor, measured if possible; other pictures half way down to the
// floor first.
func (d *diet) lowerQuality() error {
	f := d.lossy()
	if f == variant.GIF || f == variant.PNG {
		return nil
	}
	s := d.Choices.Choose(d.Pic, d.Wish(f))
	if d.kindFor(f).Legible() && s.Predicted > 0 && d.measurable() {
		return d.printAtFloor(f, s)
	}
	high := s.Q
	for _, q := range []int{(high + s.Floor) / 2, s.Floor} {
		if q >= high || q != s.Floor && !d.Time.More() {
			continue
		}
		s.Q = q
		c, err := d.save(f, s)
		if err != nil || d.keep(c) {
			return err
		}
	}
	return nil
}

// printAtFloor encodes print at the q that is measured to keep the floor.
func (d *diet) printAtFloor(f variant.Format, s choose.Settings) error {
	if d.hopeless() {
		return nil
	}
	s.Target, s.Q = d.floor(f), s.Floor
	s.Note = fmt.Sprintf("%s, floor %.0f", d.kindFor(f), s.Target)
	c, err := d.measured(f, s)
	if err == nil && c.score >= s.Target-choose.ScoreSlack {
		d.keep(c)
	}
	return err
}

// keep records an encode below the target but not below the floor, and reports whether it is smaller than the original.
func (d *diet) keep(c Encoded) bool {
	if !d.fits(c) {
		return false
	}
	c.Note = andNote(c.Note, belowTarget)
	d.legible = append(d.legible, c)
	return true
}

// levelsCount is added to the score of few levels when it is compared with a lossy encode: below the floor few levels
// keep letters sharp, while a lossy encode smears them.
const levelsCount = 10

// belowFloor is the best encode that is smaller than the original, by score: few levels, or a lossy encode at the
// highest q that is small enough. If there is none, it is a blurred one.
func (d *diet) belowFloor() (Encoded, bool, error) {
	f := d.lossy()
	s := d.Choices.Choose(d.Pic, d.Wish(f))
	switch f {
	case variant.PNG:
		s = d.paletteSettings(0)
		s.Floor = paletteQualities[len(paletteQualities)-1]
	case variant.AVIF:
		s.Effort = choose.EffortFirst // It takes up to five encodes.
	case variant.JXL:
		s.Effort = choose.EffortFirstJXL
	}
	s.FullChroma = false // Chroma loses its details before luma.
	readable := func(c Encoded) bool { return c.score >= 0 }
	if !d.hopeless() || !slices.ContainsFunc(d.spare, readable) {
		c, err := d.fit(f, s, int(d.limit)-1, max(s.Floor-1, 1), 1)
		if err != nil {
			return c, false, err
		}
		if int64(len(c.Body)) < d.limit {
			c.Note = s.Note
			if c.score, err = d.scoreOf(c); err != nil {
				return c, false, err
			}
			d.spare = append(d.spare, c)
		}
	}
	if len(d.spare) == 0 {
		return d.blurred(f, s)
	}
	worth := func(e Encoded) float64 {
		if e.Q == 0 {
			return e.score + levelsCount
		}
		return e.score
	}
	best := slices.MaxFunc(d.spare, func(a, b Encoded) int { return cmp.Compare(worth(a), worth(b)) })
	best.Note = andNote(best.Note, belowFloor)
	return best, true, nil
}

// blurs are tried when a picture's details need more bytes at any q than its original has: sigma in pixels, and q.
var blurs = []struct {
	sigma float64
	q     int
}{{0.8, 10}, {1.6, 10}, {3.2, 10}, {6.4, 10}, {6.4, 1}}

// blurred is the picture with as little detail as is needed to be smaller than the original.
func (d *diet) blurred(f variant.Format, s choose.Settings) (Encoded, bool, error) {
	if d.Pic.Frames > 1 || f == variant.GIF || f == variant.PNG {
		return Encoded{}, false, nil
	}
	im, err := d.prepared(f)
	if err != nil {
		return Encoded{}, false, vips.Internal("codec.blurred", err)
	}
	s.Note = andNote(s.Note, "blurred")
	for _, b := range blurs {
		if !d.Time.More() {
			break
		}
		s.Q = b.q
		c, err := d.softened(im, b.sigma, f, s)
		if err != nil {
			return c, false, err
		}
		if int64(len(c.Body)) < d.limit {
			c.Note = andNote(c.Note, belowFloor)
			return c, true, nil
		}
	}
	return Encoded{}, false, nil
}

// softened encodes the blurred picture.
func (d *diet) softened(im *vips.Image, sigma float64, f variant.Format, s choose.Settings) (Encoded, error) {
	soft := im.Clone()
	defer func() { soft.Free() }()
	err := soft.Blur(sigma)
	if err == nil {
		err = soft.Memory()
	}
	if err != nil {
		return Encoded{}, vips.Internal("codec.softened", err)
	}
	return d.saveAs(soft, f, s)
}

// scoreOf is the score of an encode, of the worst part for print; 0 if it cannot be measured.
func (d *diet) scoreOf(c Encoded) (float64, error) {
	if !d.measurable() {
		return 0, nil
	}
	j, err := d.judge(c.Format)
	if j == nil || err != nil {
		return 0, err
	}
	defer j.Close()
	return j.Worst(c.Body)
}
