package fit

import (
	"fmt"
	"math"
	"slices"

	"github.com/goldcrest/goldcrest/bench/quality/pictures"
	"github.com/goldcrest/goldcrest/bench/quality/stats"
	"github.com/goldcrest/goldcrest/transform/codec/choose"
	"github.com/goldcrest/goldcrest/transform/codec/look"
)

// confusion prints the model's kinds of the pictures: fitted ones and held-out ones.
func confusion(m *look.Model, samples []sample, held func(sample) bool) {
	count := map[string]int{}
	for _, s := range samples {
		set := "fitted"
		if held(s) {
			set = "held out"
		}
		got := m.Kind(s.traits)
		count[set+s.kind+string(got)]++
		if held(s) && (got == look.Text) != (s.kind == pictures.Text) {
			fmt.Printf("held out: %s is %s, taken for %s\n", s.id, s.kind, got)
		}
	}
	fmt.Printf("%-9s %-8s", "", "taken for")
	as := []look.Kind{look.Photo, look.Text, look.Mixed, look.Graphic}
	for _, k := range as {
		fmt.Printf(" %8s", k)
	}
	fmt.Println()
	for _, set := range []string{"fitted", "held out"} {
		for _, k := range pictures.Kinds() {
			fmt.Printf("%-9s %-9s", set, k)
			for _, g := range as {
				fmt.Printf(" %8d", count[set+k+string(g)])
			}
			fmt.Println()
		}
	}
}

// fitting holds the samples of one predictor.
type fitting struct {
	x         [][]float64
	y, weight []float64
	source    []string
	curves    []*curve
	values    [][]float64
}

func (f *fitting) add(s sample, cv *curve, values []float64, q, weight float64) {
	f.x, f.y, f.weight = append(f.x, s.x), append(f.y, q), append(f.weight, weight)
	f.source, f.curves, f.values = append(f.source, s.source), append(f.curves, cv), append(f.values, values)
}

// report prints one line: a fixed q that reaches the same mean, and the model fitted without the source that it judges.
func (f *fitting) report(library string, p look.Predictor) {
	var scores, bytes []float64
	for i := range f.y {
		var x [][]float64
		var y, w []float64
		for k := range f.y {
			if f.source[k] != f.source[i] {
				x, y, w = append(x, f.x[k]), append(y, f.y[k]), append(w, f.weight[k])
			}
		}
		q, weights := ridge(x, y, w, penalty)
		for j, v := range weights {
			q += v * f.x[i][j]
		}
		q = math.Max(p.Low, math.Min(p.High, q))
		scores = append(scores, f.curves[i].at(f.values[i], q))
		bytes = append(bytes, math.Exp(f.curves[i].at(f.curves[i].bytes, q)))
	}
	low, high := 5.0, 95.0
	var fixed, fixedBytes []float64
	for high-low > 0.1 {
		q := (low + high) / 2
		fixed, fixedBytes = nil, nil
		for i, c := range f.curves {
			fixed, fixedBytes = append(fixed, c.at(f.values[i], q)), append(fixedBytes, math.Exp(c.at(c.bytes, q)))
		}
		if stats.Mean(fixed) < stats.Mean(scores) {
			low = q
		} else {
			high = q
		}
	}
	fmt.Printf("%-5s %-7s %-6s %6.0f %4d | q%-3.0f %5.2f %5.1f %5.1f %6.1f | %5.1f %5.2f %5.1f %5.1f %6.1f\n", choose.SetFor(library), p.Coder, p.Kind, p.Target,
		len(f.y), high, stats.Deviation(fixed), stats.Percentile(fixed, 10), slices.Min(fixed), stats.Mean(fixedBytes)/1024,
		stats.Mean(scores), stats.Deviation(scores), stats.Percentile(scores, 10), slices.Min(scores), stats.Mean(bytes)/1024)
}
