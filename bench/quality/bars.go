package main

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/goldcrest/goldcrest/bench/quality/larger"
	"github.com/goldcrest/goldcrest/bench/quality/pictures"
	"github.com/goldcrest/goldcrest/transform/codec"
	"github.com/goldcrest/goldcrest/variant"
)

// The targets of the classes normal and saver, and the saver's for print.
const (
	normalTarget = 70
	saverTarget  = 50
	saverPrint   = 60
)

// oracleMost is the share of the oracle's bytes that variants may have.
const oracleMost = 1.03

var formats = []string{"avif", "webp", "jpeg"}

// bar is one sentence of what the pictures have to keep.
type bar struct {
	sentence string
	value    float64 // NaN: not measured
	most     bool    // the limit is the most allowed, else the least
	limit    float64
}

// holds reports whether the bar is kept, as printed.
func (b bar) holds() bool {
	v := math.Round(b.value*100) / 100
	return b.most && v <= b.limit || !b.most && v >= b.limit
}

// bars prints what is demanded of the pictures, what they reach, and whether each demand is kept. It measures the
// pictures, or reads their figures from a file; variants that are larger than their originals are always measured.
func bars(ctx context.Context, o options) error {
	c, _, err := o.Find()
	if err != nil {
		return err
	}
	made, err := larger.Measure(ctx, c, o.Dirs, o.Jobs)
	if err != nil {
		return err
	}
	var figures []figure
	if o.figures != "" {
		figures, err = readFigures(o.figures)
	} else {
		o.Jobs = 1 // for the times
		needless := func(w way) bool {
			return w.fixed != nil && w.least == 0 || w.stage == variant.StageHot && w.spec.Class != variant.ClassNormal
		}
		figures, err = o.measure(ctx, slices.DeleteFunc(ways(), needless))
	}
	if err != nil {
		return err
	}
	sentence := fmt.Sprintf("larger than their original, of %d variants", len(made))
	all := append(barsOf(figures), bar{sentence, float64(made.Larger()), true, 0})
	fmt.Println(counted(figures))
	if missed := printBars(all); missed > 0 {
		return fmt.Errorf("%d of %d bars are missed", missed, len(all))
	}
	return nil
}

// printBars prints a line for each bar, and returns how many are missed.
func printBars(all []bar) (missed int) {
	for _, b := range all {
		sign, holds := ">=", "yes"
		if b.most {
			sign = "<="
		}
		switch {
		case math.IsNaN(b.value):
			holds = "not measured"
		case !b.holds():
			holds = "no"
			missed++
		}
		fmt.Printf("%-58s %s %6.2f %8.2f  %s\n", b.sentence, sign, b.limit, b.value, holds)
	}
	return missed
}

// Names of the kinds in sentences.
var kindNames = map[string]string{pictures.Photo: "photos", pictures.Text: "print", pictures.Graphic: "drawings"}

// demands collects the bars that figures tell of.
type demands struct {
	figures []figure
	all     []bar
}

// of summarizes a way and kind; its numbers are NaN if it was not measured.
func (d *demands) of(way, kind string) summary {
	s := summarize(d.figures, way, kind)
	if s.n == 0 {
		nan := math.NaN()
		return summary{0, nan, nan, nan, nan, nan, nan, nan, nan, nan}
	}
	return s
}

func (d *demands) most(value, limit float64, sentence ...string) {
	d.all = append(d.all, bar{strings.Join(sentence, " "), value, true, limit})
}

func (d *demands) least(value, limit float64, sentence ...string) {
	d.all = append(d.all, bar{strings.Join(sentence, " "), value, false, limit})
}

// barsOf holds figures against the bars.
func barsOf(figures []figure) []bar {
	d := demands{figures: figures}
	s := d.of("normal avif final", pictures.Photo)
	d.most(s.mean, 71.2, "normal avif final, photos: mean")
	d.most(s.sd, 1, "normal avif final, photos: standard deviation")
	d.least(s.p10, 69.4, "normal avif final, photos: p10")
	d.least(s.worst, 69, "normal avif final, photos: worst")
	d.most(s.kib/d.of(oracle8, pictures.Photo).kib, oracleMost, "normal avif final, photos: oracle's bytes")
	d.most(d.of("normal avif hot", pictures.Photo).kib/d.of(oracle6, pictures.Photo).kib, oracleMost,
		"normal avif hot, photos: oracle's bytes")
	for _, format := range []string{"webp", "jpeg"} {
		s := d.of("normal "+format+" final", pictures.Photo)
		d.most(s.sd, 1.2, "normal", format, "final, photos: standard deviation")
		d.least(s.worst, 68.5, "normal", format, "final, photos: worst")
	}
	for _, kind := range pictures.Kinds() {
		s := d.of("normal avif first", kind)
		d.least(s.p10, 67.5, "normal avif first,", kindNames[kind]+": p10")
		d.least(s.lowest, 65, "normal avif first,", kindNames[kind]+": worst")
	}
	for _, format := range formats {
		saver := d.of("saver "+format+" final", pictures.Photo)
		d.most(saver.sd, 2, "saver", format, "final, photos: standard deviation")
		for _, kind := range pictures.Kinds() {
			d.least(d.of("saver "+format+" final", kind).p10, 48.5, "saver", format, "final,", kindNames[kind]+": p10")
		}
	}
	d.print()
	d.times()
	return d.all
}

// print adds the bars of print. Final print may fall short of its target by 0.5, as all variants may.
func (d *demands) print() {
	for _, class := range []string{"high", "normal", "saver"} {
		for _, stage := range []string{"first", "final"} {
			lowest := math.Inf(1)
			for _, format := range formats {
				lowest = min(lowest, d.of(class+" "+format+" "+stage, pictures.Text).lowest)
			}
			d.least(lowest, saverPrint, class, stage+", print: worst tile")
		}
	}
	for _, format := range formats {
		d.most(d.of("normal "+format+" final", pictures.Text).mean, 75, "normal", format, "final, print: mean")
	}
}

// times adds the processor time of final variants, all of the choice in it, in encodes of one AVIF of speed 8 that
// reaches the target.
func (d *demands) times() {
	for _, of := range [][2]string{{"normal", oracle8}, {"saver", oracleSaver}} {
		class, oracle := of[0], of[1]
		for _, format := range formats {
			for _, kind := range pictures.Kinds() {
				ratio := d.of(class+" "+format+" final", kind).made / d.of(oracle, kind).encode
				d.most(ratio, 2.6, class, format, "final,", kindNames[kind]+": encodes")
			}
		}
	}
}

// listLarger lists the variants that are larger than their original, and those below their target to avoid that.
func listLarger(ctx context.Context, o options) error {
	c, err := codec.New(codec.EngineVips)
	if err != nil {
		return err
	}
	all, err := larger.Measure(ctx, c, o.Dirs, o.Jobs)
	if err != nil {
		return err
	}
	all.Print()
	if n := all.Larger(); n > 0 {
		return fmt.Errorf("%d variants are larger than their original", n)
	}
	return nil
}
