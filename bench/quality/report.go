package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/goldcrest/goldcrest/bench/quality/pictures"
	"github.com/goldcrest/goldcrest/bench/quality/stats"
	"github.com/goldcrest/goldcrest/transform/codec"
	"github.com/goldcrest/goldcrest/transform/codec/check"
	"github.com/goldcrest/goldcrest/transform/codec/judge"
	"github.com/goldcrest/goldcrest/variant"
)

// way is one line of the report: a choice of the product, or the fixed q of another.
type way struct {
	name  string
	spec  variant.Spec
	stage variant.Stage
	fixed *judge.Encoding
	least float64 // an oracle: the smallest encode by fixed whose score is at least this
}

// What clients accept: those from before 2010, and today's.
const (
	old    = variant.AcceptJPEG | variant.AcceptPNG
	modern = old | variant.AcceptWebP | variant.AcceptAVIF
)

// ways are the product's choices for the clients of each class, which also accept older formats, and the defaults of
// other proxies (imgproxy, thumbor, libvips, and the predecessor, which sent JPEG of q 90 or 95).
func ways() []way {
	var out []way
	classes := []struct {
		name  string
		class variant.Class
	}{{"high", variant.ClassHigh}, {"normal", variant.ClassNormal}, {"saver", variant.ClassSaver}}
	for _, c := range classes {
		avif := variant.Spec{Format: variant.AVIF, Class: c.class, Accepts: modern}
		webp := variant.Spec{Format: variant.WebP, Class: c.class, Accepts: old | variant.AcceptWebP}
		jpeg := variant.Spec{Format: variant.JPEG, Class: c.class, Accepts: old}
		out = append(out,
			way{name: c.name + " avif first", spec: avif, stage: variant.StageFirst},
			way{name: c.name + " avif final", spec: avif},
			way{name: c.name + " avif hot", spec: avif, stage: variant.StageHot},
			way{name: c.name + " webp first", spec: webp, stage: variant.StageFirst},
			way{name: c.name + " webp final", spec: webp},
			way{name: c.name + " jpeg first", spec: jpeg, stage: variant.StageFirst},
			way{name: c.name + " jpeg final", spec: jpeg})
	}
	fixed := func(name string, f variant.Format, q, effort int) {
		out = append(out, way{name: name, fixed: &judge.Encoding{Format: f, Q: q, Effort: effort, Plain: true}})
	}
	fixed("fixed q57 avif s9", variant.AVIF, 57, 0)
	fixed("fixed q55 avif s8", variant.AVIF, 55, 1)
	fixed("fixed q38 avif s8", variant.AVIF, 38, 1)
	fixed("fixed q73 webp", variant.WebP, 73, 4)
	fixed("fixed q64 jpeg", variant.JPEG, 64, 0)
	fixed("imgproxy avif q63 s8", variant.AVIF, 63, 1)
	fixed("imgproxy webp q79", variant.WebP, 79, 4)
	fixed("imgproxy, thumbor jpeg q80", variant.JPEG, 80, 0)
	fixed("libvips, imagor jpeg q75", variant.JPEG, 75, 0)
	fixed("predecessor jpeg q90", variant.JPEG, 90, 0)
	return append(out, oracles()...)
}

// ways are those that are asked for.
func (o options) ways() []way {
	return slices.DeleteFunc(ways(), func(w way) bool { return !strings.Contains(w.name, o.only) })
}

// classes are the ways of the classes that are made smaller than high.
func (o options) classes() []way {
	return slices.DeleteFunc(o.ways(), func(w way) bool { return w.fixed != nil || w.spec.Class == variant.ClassHigh })
}

// efforts are those of final, first-stage and hot variants.
var efforts = map[variant.Format][3]int{variant.WebP: {4, 4}, variant.AVIF: {1, 0, 3}}

// report makes every held-out reference in every way, and prints the results.
func report(ctx context.Context, o options) error {
	if o.check {
		o.only = "normal"
	}
	figures, err := o.measure(ctx, o.ways())
	if err != nil {
		return err
	}
	printFigures(figures)
	if o.figures != "" {
		err = keepFigures(o.figures, figures)
	}
	if o.check {
		err = errors.Join(err, checkFigures(figures))
	}
	return err
}

// measure makes the held-out references in these ways: of each picture the first one, of print all.
func (o options) measure(ctx context.Context, in []way) ([]figure, error) {
	c, found, err := o.Find()
	if err != nil {
		return nil, err
	}
	n, seen := 0, map[string]bool{}
	wanted := func(r pictures.Reference) bool {
		ok := o.Judges(r.Source) && (!seen[r.File] || r.Kind == pictures.Text)
		if seen[r.File] = true; ok {
			n++
		}
		return ok
	}
	figures, err := pictures.Each(ctx, o.Jobs, found, wanted, func(r pictures.Reference) ([]figure, error) {
		return judgeWays(c, r, in)
	})
	if err == nil && n == 0 {
		err = fmt.Errorf("no reference of %s is held out; -all judges all of them", strings.Join(o.Dirs, ", "))
	}
	return figures, err
}

// checkFigures fails if a final photo or page is more than check.PromiseMost points below the target of its class, or
// first-stage photos are on average.
func checkFigures(figures []figure) error {
	const least = normalTarget - check.PromiseMost
	var errs []error
	first := map[string][]float64{}
	for _, f := range figures {
		switch {
		case strings.HasSuffix(f.way, " first"):
			first[f.kind] = append(first[f.kind], f.score)
		case f.worst < least:
			errs = append(errs, fmt.Errorf("%s: %s scores %.1f, want at least %d", f.way, f.id, f.worst, least))
		}
	}
	if m := stats.Mean(first[pictures.Photo]); m < least {
		errs = append(errs, fmt.Errorf("first photos score %.1f on average, want at least %d", m, least))
	}
	return errors.Join(errs...)
}

// judgeWays encodes one reference in each way.
func judgeWays(c *codec.Codec, r pictures.Reference, in []way) ([]figure, error) {
	s, err := r.Open()
	if err != nil {
		return nil, err
	}
	defer s.Close()
	start := stats.CPU()
	again, err := judge.NewRaster(s.Lossless, variant.Spec{Format: variant.PNG}, pictures.Unlimited)
	if err != nil {
		return nil, err
	}
	again.Free()
	render := stats.CPU() - start
	var out []figure
	tried := map[judge.Encoding]attempt{}
	libraries := c.Versions()
	for _, w := range in {
		f, body, err := w.make(c, s, tried)
		if err != nil {
			return nil, err
		}
		if f.made -= render; w.fixed != nil {
			f.made = f.encode
		}
		f.kind, f.id, f.bytes = r.Kind, r.ID, float64(len(body))
		f.libraries = fmt.Sprintf("libvips %s, libheif %s, libaom %s", libraries["libvips"], libraries["libheif"],
			strings.TrimPrefix(libraries["libaom"], "v"))
		if f.score, f.worst, err = s.Score(body); err != nil {
			return nil, err
		}
		if f.score < 60 && strings.HasPrefix(w.name, "normal") {
			fmt.Fprintf(os.Stderr, "below 60: %s %s %.1f\n", w.name, r.ID, f.score)
		}
		out = append(out, f)
	}
	return out, nil
}

// make encodes a reference, and measures the times of the figure; made includes the decode of the reference.
func (w way) make(c *codec.Codec, s *pictures.Subject, tried map[judge.Encoding]attempt) (f figure, body []byte, err error) {
	f.way = w.name
	again := w.fixed
	start := stats.CPU()
	switch {
	case w.least > 0:
		if again, err = w.lowest(s, tried); err != nil {
			return f, nil, err
		}
		start = stats.CPU()
	case w.fixed == nil:
		made, err := s.Make(c, w.spec, w.stage)
		if err != nil {
			return f, nil, err
		}
		f.made = stats.CPU() - start
		body = made.Body
		again = &judge.Encoding{
			Format: made.Format, Q: made.Quality, Effort: efforts[made.Format][made.Stage],
			FullChroma: s.Kind != pictures.Photo, Lossless: made.Quality == 0,
		}
		start = stats.CPU()
	}
	encoded, err := s.Encode(*again)
	f.encode = stats.CPU() - start
	if w.fixed != nil {
		body = encoded
	}
	return f, body, err
}
