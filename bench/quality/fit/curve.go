package fit

import (
	"math"
	"slices"
)

// curve holds the results of one coder for one reference by q: its score, the score of its worst tile and the logarithm
// of its bytes. The interpolation does not overshoot between measured points.
type curve struct {
	q, score, worst, bytes []float64
}

type curveKey struct{ library, id, coder string }

// curves groups rows; a curve of fewer than three points is left out.
func curves(rows []row) map[curveKey]*curve {
	out := map[curveKey]*curve{}
	slices.SortStableFunc(rows, func(a, b row) int { return a.q - b.q })
	for _, r := range rows {
		k := curveKey{r.library, r.id, r.coder}
		c := out[k]
		if c == nil {
			c = &curve{}
			out[k] = c
		}
		if n := len(c.q); n > 0 && c.q[n-1] == float64(r.q) {
			continue
		}
		c.q, c.score, c.worst = append(c.q, float64(r.q)), append(c.score, r.score), append(c.worst, r.worst)
		c.bytes = append(c.bytes, math.Log(float64(r.bytes)))
	}
	for k, c := range out {
		if len(c.q) < 3 {
			delete(out, k)
		}
	}
	return out
}

// at interpolates by Fritsch and Carlson's monotone cubics (SIAM J. Numer. Anal. 17, 1980), and linearly outside.
func (c *curve) at(values []float64, q float64) float64 {
	x, n := c.q, len(c.q)
	if q <= x[0] {
		return values[0] + (q-x[0])*(values[1]-values[0])/(x[1]-x[0])
	}
	if q >= x[n-1] {
		return values[n-1] + (q-x[n-1])*(values[n-1]-values[n-2])/(x[n-1]-x[n-2])
	}
	i := 0
	for q > x[i+1] {
		i++
	}
	h := x[i+1] - x[i]
	t := (q - x[i]) / h
	a, b := c.slope(values, i), c.slope(values, i+1)
	return values[i]*(1+2*t)*(1-t)*(1-t) + a*h*t*(1-t)*(1-t) + values[i+1]*t*t*(3-2*t) + b*h*t*t*(t-1)
}

// slope is the derivative at point i: the harmonic mean of its neighbours' slopes, or zero at a turning point.
func (c *curve) slope(values []float64, i int) float64 {
	secant := func(i int) float64 { return (values[i+1] - values[i]) / (c.q[i+1] - c.q[i]) }
	switch n := len(c.q); {
	case i == 0:
		return secant(0)
	case i == n-1:
		return secant(n - 2)
	}
	a, b := secant(i-1), secant(i)
	if a*b <= 0 {
		return 0
	}
	return 2 * a * b / (a + b)
}

// reach is the lowest q, between lowest and highest, at which the values reach a target.
func (c *curve) reach(values []float64, target float64) float64 {
	const lowest, highest = 5, 95
	low, high := float64(lowest), float64(highest)
	if c.at(values, low) >= target {
		return low
	}
	if c.at(values, high) <= target {
		return high
	}
	for high-low > 0.01 {
		if mid := (low + high) / 2; c.at(values, mid) < target {
			low = mid
		} else {
			high = mid
		}
	}
	return high
}

// rise is the increase of the score per step of q around q.
func (c *curve) rise(values []float64, q float64) float64 {
	return (c.at(values, q+3) - c.at(values, q-3)) / 6
}
