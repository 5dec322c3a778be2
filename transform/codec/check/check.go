// Package check compares the linked encoders with those on which the coefficients of the automatic quality were fitted.
package check

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/goldcrest/goldcrest/transform"
	"github.com/goldcrest/goldcrest/transform/codec/choose"
	"github.com/goldcrest/goldcrest/transform/codec/judge"
	"github.com/goldcrest/goldcrest/transform/codec/specimen"
	"github.com/goldcrest/goldcrest/transform/codec/vips"
	"github.com/goldcrest/goldcrest/variant"
)

// checkFile holds the scores of the specimens for each set of libraries. "cd bench && go run ./quality record" adds
// those of the linked libraries.
//
//go:embed selfcheck.json
var checkFile []byte

// Record holds the scores of one encoder on the specimens of one kind, in the order of specimen.All, at each q.
type Record struct {
	Coder  string      `json:"coder"`
	Print  bool        `json:"print,omitempty"`
	Q      []int       `json:"q"`
	Scores [][]float64 `json:"scores"` // by q, then by specimen
}

// driftFrom is the mean error of an encoder, in points of score, from which its predicted q are corrected. driftMost is
// the largest correction of a q.
const (
	driftFrom = 2
	driftMost = 30
)

// encoder is an encoder with the q at which it is checked: around those of the scores 50, 65 and 80.
type encoder struct {
	coder  string
	format variant.Format
	effort int
	photo  []int
	print  []int
}

// checked lists the encoders.
var checked = []encoder{
	{"avif9", variant.AVIF, choose.EffortFirst, []int{38, 56, 72, 86}, []int{40, 60}},
	{"avif8", variant.AVIF, choose.EffortFinal, []int{38, 56, 72, 86}, []int{40, 60}},
	{"webp4", variant.WebP, choose.EffortWebP, []int{30, 65, 85}, []int{40, 75}},
	{"jpeg", variant.JPEG, 0, []int{30, 55, 80}, []int{45, 75}},
	{"jxl3", variant.JXL, choose.EffortFirstJXL, []int{30, 60, 82}, []int{40, 75}},
	{"jxl5", variant.JXL, choose.EffortFinalJXL, []int{30, 60, 82}, []int{40, 75}},
}

// linked returns the encoders of checked that the linked libraries have.
func linked() []encoder {
	return slices.DeleteFunc(slices.Clone(checked), func(e encoder) bool {
		return e.format == variant.JXL && !vips.WritesJXL()
	})
}

// fullChromaLevel is the index of the first q at which photos are checked in full chroma, as the higher targets use it.
const fullChromaLevel = 2

// Measure encodes the specimens with every encoder and scores them.
func Measure() ([]Record, error) { return corrected(nil) }

// corrected is Measure with every q corrected by a drift.
func corrected(d transform.Drift) ([]Record, error) {
	var out []Record
	encoders := linked()
	for _, k := range encoders {
		for _, print := range []bool{false, true} {
			r := Record{Coder: k.coder, Print: print, Q: k.photo}
			if print {
				r.Q = k.print
			}
			r.Scores = make([][]float64, len(r.Q))
			out = append(out, r)
		}
	}
	for _, s := range specimen.All() {
		if err := measureSpecimen(s, d, encoders, out); err != nil {
			return nil, vips.Internal("codec.Measure", fmt.Errorf("%s: %w", s.Name, err))
		}
	}
	return out, nil
}

// measureSpecimen adds the scores of one specimen to the records.
func measureSpecimen(s specimen.Specimen, d transform.Drift, encoders []encoder, to []Record) error {
	im, err := vips.FromPixels(s.Draw(), specimen.Side, specimen.Side, 3)
	if err != nil {
		return err
	}
	defer im.Free()
	j, err := judge.New(im, false)
	if err != nil {
		return err
	}
	defer j.Close()
	r := judge.Raster{Im: im}
	for i, rec := range to {
		if rec.Print != s.Print {
			continue
		}
		k := encoders[i/2]
		for level, q := range rec.Q {
			body, err := r.Encode(judge.Encoding{Format: k.format, Q: d.Q(rec.Coder, rec.Print, q), Effort: k.effort, FullChroma: s.Print || level >= fullChromaLevel})
			if err != nil {
				return err
			}
			score, _, err := j.Score(body)
			if err != nil {
				return err
			}
			rec.Scores[level] = append(rec.Scores[level], score)
		}
	}
	return nil
}

// Drift measures how the linked encoders differ from those on which the coefficients were fitted, on the specimens. It
// takes about a second of processor time. The result depends only on the libraries.
func Drift() (transform.Drift, error) {
	got, err := Measure()
	if err != nil {
		return nil, err
	}
	all, err := readRecords(checkFile)
	if err != nil {
		return nil, err
	}
	return drift(all[choose.SetFor(vips.AOMVersion())], got)
}

// readRecords reads the expected records, by set of libraries.
func readRecords(file []byte) (map[string][]Record, error) {
	var all map[string][]Record
	if err := json.Unmarshal(file, &all); err != nil {
		return nil, fmt.Errorf("codec: selfcheck.json: %w", err)
	}
	return all, nil
}

// drift compares measured with expected records.
func drift(want, got []Record) (transform.Drift, error) {
	var out transform.Drift
	for _, g := range got {
		w := matching(want, g)
		if w == nil {
			return nil, fmt.Errorf("codec: selfcheck.json: no record of %s for these libraries", g.Coder)
		}
		expected, reached := w.means(), g.means()
		d := transform.CoderDrift{Coder: g.Coder, Print: g.Print, Miss: mean(reached) - mean(expected)}
		if d.Miss > driftFrom || d.Miss < -driftFrom {
			for level, q := range g.Q {
				d.From = append(d.From, float64(q))
				to := where(g.Q, reached, expected[level])
				d.To = append(d.To, min(max(to, float64(max(q-driftMost, 1))), float64(min(q+driftMost, 100))))
			}
		}
		out = append(out, d)
	}
	return out, nil
}

// matching returns the record of the same measurement; nil if there is none.
func matching(all []Record, r Record) *Record {
	for i := range all {
		if w := &all[i]; w.Coder == r.Coder && w.Print == r.Print && slices.Equal(w.Q, r.Q) {
			return w
		}
	}
	return nil
}

// means returns the mean score at each q.
func (r Record) means() []float64 {
	out := make([]float64, len(r.Scores))
	for i, scores := range r.Scores {
		out[i] = mean(scores)
	}
	return out
}

func mean(values []float64) float64 {
	sum := 0.0
	for _, v := range values {
		sum += v
	}
	return sum / float64(len(values))
}

// where interpolates the q at which score is reached.
func where(q []int, reached []float64, score float64) float64 {
	k := 0
	for k < len(q)-2 && score > reached[k+1] {
		k++
	}
	slope := max((reached[k+1]-reached[k])/float64(q[k+1]-q[k]), 0.2)
	return float64(q[k]) + (score-reached[k])/slope
}
