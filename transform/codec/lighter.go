package codec

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/goldcrest/goldcrest/transform/codec/quantize"
	"github.com/goldcrest/goldcrest/variant"
)

// mustNotGrow reports whether the rule "never larger than the original" holds: the URL leaves format and quality open
// and enlarges nothing.
func (e *encoder) mustNotGrow() bool {
	s := e.job.spec
	return s.Accepts != 0 && !s.Enlarge && !e.job.plan.enlarges() && s.Quality == 0 && s.FormatQuality == (variant.Qualities{}) &&
		s.AutoSize.Bytes == 0
}

// paletteQualities are the q of the palettes that an open URL's PNG falls back to, the finest first. A drawing of plain
// colours with soft edges scores 89 at 70, and takes half of what it does at 100.
var paletteQualities = []int{100, 85, 70}

// lighterLevels are tried of print whose encodes are all larger than the original, in the order of their bytes.
var lighterLevels = []int{2, 3, 4, 6, 8, 12, 16}

// diet is the search for an encode that is smaller than the original.
type diet struct {
	*encoder
	limit    int64     // the bytes that are too many
	smallest encoded   // of all that came near to the target
	coder    encoded   // the smallest of those that are lossy; none = nil body
	legible  []encoded // smaller than the original, below the target, at the floor or above
	spare    []encoded // smaller than the original and below the floor, with their scores; those in levels have no q
}

// fits takes an encode into account, and reports whether it is smaller than the original.
func (d *diet) fits(c encoded) bool {
	if len(c.body) < len(d.smallest.body) {
		d.smallest = c
	}
	if lossy := c.q > 0 && c.format != variant.PNG; lossy && (d.coder.body == nil || len(c.body) < len(d.coder.body)) {
		d.coder = c
	}
	return int64(len(c.body)) < d.limit
}

// lighter looks for bytes below the original's. What keeps the target comes first: the client's other formats, few
// levels, palettes. Then the lightest that keeps the floor, then the original itself, and then what is below the floor.
// If none is smaller, it is the smallest of those that came near to the target.
func (e *encoder) lighter(first encoded) (encoded, error) {
	d := &diet{encoder: e, limit: e.src.bytes(), smallest: first}
	d.fits(first)
	for _, way := range []func(variant.Format) (encoded, bool, error){d.otherFormat, d.fewLevels, d.palette} {
		if !d.time.More() {
			break
		}
		if found, ok, err := way(first.format); ok || err != nil {
			return found, err
		}
	}
	if len(d.legible) == 0 { // Levels at the floor are sharper than what a lower q leaves.
		if err := d.lowerQuality(); err != nil {
			return encoded{}, err
		}
	}
	if len(d.legible) > 0 {
		return slices.MinFunc(d.legible, func(a, b encoded) int { return len(a.body) - len(b.body) }), nil
	}
	if own, ok := e.passThrough(); ok {
		return own, nil
	}
	if !d.time.More() {
		d.smallest.note = andNote(d.smallest.note, "larger than the original: there is no time for more tries")
		return d.smallest, nil
	}
	if found, ok, err := d.belowFloor(); ok || err != nil {
		return found, err
	}
	d.smallest.note = andNote(d.smallest.note, "larger than the original: nothing that the client takes is smaller")
	return d.smallest, nil
}

func (d *diet) otherFormat(first variant.Format) (encoded, bool, error) {
	for _, f := range d.others(first) {
		if !d.time.More() {
			break
		}
		if s := d.choices.choose(d.pic, d.wish(f)); d.measures(s) { // One encode tells whether its measured ones come into question.
			c, err := d.save(f, s)
			if err != nil {
				return c, false, err
			}
			if d.fits(c); int64(len(c.body)) > d.limit*5/4 {
				continue
			}
		}
		c, err := d.attempt(f)
		if err != nil {
			return c, false, err
		}
		if d.fits(c) {
			c.note = andNote(c.note, fmt.Sprintf("%s would be larger than the original", first))
			return c, true, nil
		}
	}
	return encoded{}, false, nil
}

// fewLevels is print in the fewest levels that keep the target. It is measured in any stage: only pictures whose
// encodes are larger than the original come here.
func (d *diet) fewLevels(variant.Format) (encoded, bool, error) {
	f, ok := exactFormat(d.job.spec)
	if !ok || !d.takesLevels() {
		return encoded{}, false, nil
	}
	im, err := d.prepared(f)
	if err != nil {
		return encoded{}, false, internal("codec.fewLevels", err)
	}
	j, err := newJudge(im, true)
	if j == nil || err != nil {
		return encoded{}, false, err
	}
	defer j.close()
	return d.levelsUp(im, f, j)
}

// levelsUp tries more and more levels, and keeps what falls short of the target.
func (d *diet) levelsUp(im *pixmap, f variant.Format, j *judge) (encoded, bool, error) {
	count, err := im.histogram()
	if err != nil {
		return encoded{}, false, internal("codec.levelsUp", err)
	}
	tables := quantize.Tables(&count, lighterLevels[len(lighterLevels)-1])
	wanted, least := target(d.wish(f), Text), d.floor(f)
	for _, n := range lighterLevels {
		c, err := d.levels(im, f, tables[n], j)
		if err != nil || !d.fits(c) {
			return c, false, err // More levels take more bytes.
		}
		c.target, c.note = wanted, fmt.Sprintf("%d levels, target %.0f, measured %.1f", n, wanted, c.score)
		switch {
		case c.score >= wanted-scoreSlack:
			return c, true, nil
		case c.score >= least-scoreSlack:
			d.keep(c)
		default:
			d.spare = append(d.spare, c)
		}
		if !d.time.More() {
			break
		}
	}
	return encoded{}, false, nil
}

// takesLevels reports whether the picture is drawn, and can be measured.
func (d *diet) takesLevels() bool {
	v := d.choices.look(d.pic)
	return v != nil && !d.pic.alpha && d.measurable() && kindOf(v.kind, d.job.spec.Legible) != Photo
}

// levels is the picture with its samples mapped to few levels, and what it scores.
func (d *diet) levels(im *pixmap, f variant.Format, table [256]byte, j *judge) (encoded, error) {
	few := im.clone()
	defer func() { few.free() }()
	if err := few.mapTo(table); err != nil {
		return encoded{}, internal("codec.levels", err)
	}
	_, reached, err := j.compare(few)
	if err != nil {
		return encoded{}, err
	}
	c, err := d.saveLevels(few, f, "")
	c.score = reached
	return c, err
}

func (d *diet) palette(variant.Format) (encoded, bool, error) {
	exact := d.smallest.format == variant.PNG && d.smallest.q == 0 // PNG's only lower quality is a palette.
	if d.job.spec.Accepts&variant.AcceptPNG == 0 || !exact && !d.plain(LevelsFlat) {
		return encoded{}, false, nil
	}
	for _, q := range paletteQualities {
		if !d.time.More() {
			break
		}
		c, err := d.save(variant.PNG, d.paletteSettings(q))
		if err != nil {
			return c, false, err
		}
		if d.fits(c) {
			c.note = andNote(c.note, "a palette, else larger than the original")
			return c, true, nil
		}
	}
	return encoded{}, false, nil
}

func (d *diet) paletteSettings(q int) settings {
	s := settings{q: q, effort: effortPalette}
	if d.plain(LevelsFlat) {
		s.bits = 8 // Dithering would fill its plain areas with grain.
	}
	return s
}

// belowTarget and belowFloor are what explanations say of a variant that had to give its quality up.
const (
	belowTarget = "below the target, else larger than the original"
	belowFloor  = "below the target and the floor, else larger than the original"
)

// floor is the score that the rule may go down to: the saver's target.
func (d *diet) floor(f variant.Format) float64 {
	w := d.wish(f)
	w.spec.Class = variant.ClassSaver
	return target(w, d.kindFor(f))
}

// lossy is the format whose quality is lowered: that of the smallest lossy encode.
func (d *diet) lossy() variant.Format {
	if d.coder.body != nil {
		return d.coder.format
	}
	return d.smallest.format
}

// hopeless reports whether print takes so many bytes at its target that lower ones will not do: less than half of them
// would be needed.
func (d *diet) hopeless() bool { return d.coder.body != nil && int64(len(d.coder.body)) > 2*d.limit }

// lowerQuality encodes at a lower q: print at the floor, by measure where that can be had, and other pictures half way
// down to it first.
func (d *diet) lowerQuality() error {
	f := d.lossy()
	if f == variant.GIF || f == variant.PNG {
		return nil
	}
	s := d.choices.choose(d.pic, d.wish(f))
	if d.kindFor(f).legible() && s.predicted > 0 && d.measurable() {
		return d.printAtFloor(f, s)
	}
	high := s.q
	for _, q := range []int{(high + s.floor) / 2, s.floor} {
		if q >= high || q != s.floor && !d.time.More() {
			continue
		}
		s.q = q
		c, err := d.save(f, s)
		if err != nil || d.keep(c) {
			return err
		}
	}
	return nil
}

// printAtFloor encodes print at the q that is measured to keep the floor.
func (d *diet) printAtFloor(f variant.Format, s settings) error {
	if d.hopeless() {
		return nil
	}
	s.target, s.q = d.floor(f), s.floor
	s.note = fmt.Sprintf("%s, floor %.0f", d.kindFor(f), s.target)
	c, err := d.measured(f, s)
	if err == nil && c.score >= s.target-scoreSlack {
		d.keep(c)
	}
	return err
}

// keep takes what is below the target and not below the floor into account, and reports whether it is smaller than the
// original.
func (d *diet) keep(c encoded) bool {
	if !d.fits(c) {
		return false
	}
	c.note = andNote(c.note, belowTarget)
	d.legible = append(d.legible, c)
	return true
}

// levelsCount is how much more few levels count than a lossy encode of the same score: below the floor the one keeps
// its letters sharp, where the other smears them.
const levelsCount = 10

// belowFloor is the best that is smaller than the original: by its score of few levels, and a lossy encode at the
// highest q that is small enough. Where none is, it is a blurred one.
func (d *diet) belowFloor() (encoded, bool, error) {
	f := d.lossy()
	s := d.choices.choose(d.pic, d.wish(f))
	switch f {
	case variant.PNG:
		s = d.paletteSettings(0)
		s.floor = paletteQualities[len(paletteQualities)-1]
	case variant.AVIF:
		s.effort = effortFirst // It takes up to five encodes.
	}
	s.fullChroma = false // Colours lose their details before light does.
	readable := func(c encoded) bool { return c.score >= 0 }
	if !d.hopeless() || !slices.ContainsFunc(d.spare, readable) {
		c, err := d.fit(f, s, int(d.limit)-1, max(s.floor-1, 1), 1)
		if err != nil {
			return c, false, err
		}
		if int64(len(c.body)) < d.limit {
			c.note = s.note
			if c.score, err = d.scoreOf(c); err != nil {
				return c, false, err
			}
			d.spare = append(d.spare, c)
		}
	}
	if len(d.spare) == 0 {
		return d.blurred(f, s)
	}
	worth := func(e encoded) float64 {
		if e.q == 0 {
			return e.score + levelsCount
		}
		return e.score
	}
	best := slices.MaxFunc(d.spare, func(a, b encoded) int { return cmp.Compare(worth(a), worth(b)) })
	best.note = andNote(best.note, belowFloor)
	return best, true, nil
}

// blurs are how a picture is softened whose details take more bytes at any q than its original has: sigma in pixels,
// and q.
var blurs = []struct {
	sigma float64
	q     int
}{{0.8, 10}, {1.6, 10}, {3.2, 10}, {6.4, 10}, {6.4, 1}}

// blurred is the picture with so many details less that it is smaller than the original.
func (d *diet) blurred(f variant.Format, s settings) (encoded, bool, error) {
	if d.pic.frames > 1 || f == variant.GIF || f == variant.PNG {
		return encoded{}, false, nil
	}
	im, err := d.prepared(f)
	if err != nil {
		return encoded{}, false, internal("codec.blurred", err)
	}
	s.note = andNote(s.note, "blurred")
	for _, b := range blurs {
		if !d.time.More() {
			break
		}
		s.q = b.q
		c, err := d.softened(im, b.sigma, f, s)
		if err != nil {
			return c, false, err
		}
		if int64(len(c.body)) < d.limit {
			c.note = andNote(c.note, belowFloor)
			return c, true, nil
		}
	}
	return encoded{}, false, nil
}

// softened encodes the picture with a blur.
func (d *diet) softened(im *pixmap, sigma float64, f variant.Format, s settings) (encoded, error) {
	soft := im.clone()
	defer func() { soft.free() }()
	err := soft.blur(sigma)
	if err == nil {
		err = soft.memory()
	}
	if err != nil {
		return encoded{}, internal("codec.softened", err)
	}
	return d.saveAs(soft, f, s)
}

// scoreOf is the score of an encode, of its worst part for print; 0 where it cannot be measured.
func (d *diet) scoreOf(c encoded) (float64, error) {
	if !d.measurable() {
		return 0, nil
	}
	j, err := d.judge(c.format)
	if j == nil || err != nil {
		return 0, err
	}
	defer j.close()
	_, worst, err := j.scores(c.body)
	return worst, err
}
