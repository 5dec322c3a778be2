package transform

import (
	"fmt"
	"math"
	"slices"
	"strings"
)

// Drift is how the installed encoders differ from those for which the coefficients of the automatic quality were
// fitted, as the self-check measured it. The zero value corrects nothing.
type Drift []CoderDrift

// CoderDrift is the drift of one encoder for one kind of picture.
type CoderDrift struct {
	Coder string  `json:"coder"`           // avif9, avif8, webp4, jpeg, jxl3, jxl5
	Print bool    `json:"print,omitempty"` // for drawings and print instead of photos
	Miss  float64 `json:"miss"`            // mean difference from the expected score, before any correction
	// From and To are values of q: those that the coefficients predict, ascending, and their replacements. Both are
	// empty if nothing is corrected.
	From []float64 `json:"from,omitempty"`
	To   []float64 `json:"to,omitempty"`
}

// Q returns the corrected value of a predicted q.
func (d Drift) Q(coder string, print bool, q int) int {
	i := slices.IndexFunc(d, func(c CoderDrift) bool { return c.Coder == coder && c.Print == print })
	if i < 0 || len(d[i].From) == 0 {
		return q
	}
	from, to, v := d[i].From, d[i].To, float64(q)
	last := len(from) - 1
	shift := to[0] - from[0]
	for k := 0; k < last && v > from[k]; k++ {
		shift = to[k] - from[k] + min((v-from[k])/(from[k+1]-from[k]), 1)*(to[k+1]-from[k+1]-to[k]+from[k])
	}
	return min(max(int(math.Round(v+shift)), 1), 100)
}

// Corrects reports whether anything is corrected.
func (d Drift) Corrects() bool {
	return slices.ContainsFunc(d, func(c CoderDrift) bool { return len(c.From) > 0 })
}

// String describes the corrections for an operator.
func (d Drift) String() string {
	if len(d) == 0 {
		return "not checked"
	}
	var words []string
	for _, c := range d {
		if len(c.From) > 0 {
			words = append(words, fmt.Sprintf("%s %+.1f", c.Coder+" "+c.Kind(), c.Miss))
		}
	}
	if words == nil {
		return "as expected"
	}
	return "corrected: " + strings.Join(words, ", ")
}

// Kind is the kind of picture with which the encoder was checked: photo or print.
func (c CoderDrift) Kind() string {
	if c.Print {
		return "print"
	}
	return "photo"
}

// maxDrift bounds a worker's report: one with more coders than there are, or with invalid corrections, is refused.
const maxDrift = 16

// valid reports whether a drift from a worker can be used.
func (d Drift) valid() bool {
	return len(d) <= maxDrift && !slices.ContainsFunc(d, func(c CoderDrift) bool { return !c.valid() })
}

func (c CoderDrift) valid() bool {
	if len(c.Coder) > 16 || len(c.From) != len(c.To) || len(c.From) > maxDrift || !(math.Abs(c.Miss) <= 200) { // or NaN
		return false
	}
	for k, from := range c.From {
		if k > 0 && from <= c.From[k-1] || !(min(from, c.To[k]) >= 0) || !(max(from, c.To[k]) <= 100) {
			return false
		}
	}
	return true
}
