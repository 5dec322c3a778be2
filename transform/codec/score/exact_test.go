package score

import (
	"math"
	"testing"
)

// exact is the definition in double precision, plane by plane, with the recursive filter of the reference tool. The
// tool itself uses single precision. The filter's poles are on the unit circle, so rounding errors add up along a row,
// and pictures with large flat parts (scans) lose up to 2.4 points near 95.
func exact(a, b Pixels) float64 {
	x, y := linearPlanes(a), linearPlanes(b)
	w, h := a.Width, a.Height
	var terms [3][]float64
	for n := 0; n < 6 && w >= 8 && h >= 8; n++ {
		if n > 0 {
			for c := range 3 {
				x[c], y[c] = halved(x[c], w, h), halved(y[c], w, h)
			}
			w, h = (w+1)/2, (h+1)/2
		}
		p, q := xybPlanes(x), xybPlanes(y)
		for c := range 3 {
			terms[c] = append(terms[c], errorsOf(p[c], q[c], w, h)...)
		}
	}
	sum, i := 0.0, 0
	for c := range 3 {
		for _, v := range terms[c] {
			sum += weightAt(i) * v
			i++
		}
	}
	sum *= 0.9562382616834844
	sum = 2.326765642916932*sum - 0.020884521182843837*sum*sum + 6.248496625763138e-05*sum*sum*sum
	return 100 - 10*math.Pow(max(sum, 0), 0.6276336467831387)
}

func linearPlanes(p Pixels) (planes [3][]float64) {
	for c := range 3 {
		planes[c] = make([]float64, 0, p.Width*p.Height)
		for i := c; i < 3*p.Width*p.Height; i += 3 {
			v := float64(p.Data[i]) / 255
			if v <= 0.04045 {
				v /= 12.92
			} else {
				v = math.Pow((v+0.055)/1.055, 2.4)
			}
			planes[c] = append(planes[c], v)
		}
	}
	return planes
}

func halved(in []float64, w, h int) []float64 {
	var out []float64
	for y := 0; y < h; y += 2 {
		for x := 0; x < w; x += 2 {
			sum := 0.0
			for _, d := range [][2]int{{0, 0}, {1, 0}, {0, 1}, {1, 1}} {
				sum += in[min(y+d[1], h-1)*w+min(x+d[0], w-1)]
			}
			out = append(out, sum/4)
		}
	}
	return out
}

func xybPlanes(rgb [3][]float64) (out [3][]float64) {
	const bias = 0.0037930732552754493
	m := [3][3]float64{{0.30, 0.622, 0.078}, {0.23, 0.692, 0.078}, {0.24342268924547819, 0.20476744424496821, 0.5518098665095536}}
	for i := range rgb[0] {
		var root [3]float64
		for c := range 3 {
			root[c] = math.Cbrt(m[c][0]*rgb[0][i]+m[c][1]*rgb[1][i]+m[c][2]*rgb[2][i]+bias) - math.Cbrt(bias)
		}
		luma := (root[0] + root[1]) / 2
		out[0] = append(out[0], (root[0]-root[1])/2*14+0.42)
		out[1] = append(out[1], luma+0.01)
		out[2] = append(out[2], root[2]-luma+0.55)
	}
	return out
}

// filtered runs the recursive filter over n values that are step apart.
func filtered(in, out []float64, n, step int) {
	omega, gain := recursion()
	var prev, before [3]float64
	at := func(i int) float64 {
		if i < 0 || i >= n {
			return 0
		}
		return in[i*step]
	}
	for i := 1 - reach; i < n; i++ {
		sum, total := at(i-reach-1)+at(i+reach-1), 0.0
		for k := range 3 {
			v := sum*gain[k] + 2*math.Cos(omega[k])*prev[k] - before[k]
			before[k], prev[k] = prev[k], v
			total += v
		}
		if i >= 0 {
			out[i*step] = total
		}
	}
}

func blurred(in []float64, w, h int) []float64 {
	across, out := make([]float64, len(in)), make([]float64, len(in))
	for y := range h {
		filtered(in[y*w:], across[y*w:], w, 1)
	}
	for x := range w {
		filtered(across[x:], out[x:], h, w)
	}
	return out
}

func times(a, b []float64) []float64 {
	out := make([]float64, len(a))
	for i := range a {
		out[i] = a[i] * b[i]
	}
	return out
}

// errorsOf returns the 1-norms and the 4-norms of the three maps.
func errorsOf(a, b []float64, w, h int) []float64 {
	m1, m2 := blurred(a, w, h), blurred(b, w, h)
	s11, s22, s12 := blurred(times(a, a), w, h), blurred(times(b, b), w, h), blurred(times(a, b), w, h)
	var one, four [3]float64
	for i := range a {
		num := (1 - (m1[i]-m2[i])*(m1[i]-m2[i])) * (2*(s12[i]-m1[i]*m2[i]) + 0.0009)
		den := (s11[i] - m1[i]*m1[i]) + (s22[i] - m2[i]*m2[i]) + 0.0009
		edge := (1+math.Abs(b[i]-m2[i]))/(1+math.Abs(a[i]-m1[i])) - 1
		for k, v := range [3]float64{1 - num/den, edge, -edge} {
			v = max(v, 0)
			one[k] += v
			four[k] += v * v * v * v
		}
	}
	n := float64(len(a))
	return []float64{one[0] / n, one[1] / n, one[2] / n, math.Pow(four[0]/n, 0.25), math.Pow(four[1]/n, 0.25), math.Pow(four[2]/n, 0.25)}
}

// reach is N of the paper, round(3.2795 sigma + 0.2546) (57).
const reach = 5

// recursion returns the filter's frequencies and gains by the formulas of the paper that the reference follows
// (Charalampidis 2016, numbers in brackets).
func recursion() (omega, gain [3]float64) {
	const sigma, n = 1.5, reach
	var p, r, rho [3]float64
	for i, k := range []float64{1, 3, 5} {
		omega[i] = k * math.Pi / (2 * n)
		sign := 1 - 2*float64(i%2)
		p[i] = sign / math.Tan(omega[i]/2)                      // (37)
		r[i] = sign * p[i] * p[i] / math.Sin(omega[i])          // (44)
		rho[i] = math.Exp(-sigma*sigma*omega[i]*omega[i]/2) / n // (50)
	}
	d13, d35, d51 := p[0]*r[1]-r[0]*p[1], p[1]*r[2]-r[1]*p[2], p[2]*r[0]-r[2]*p[0] // (52)
	z1, z3 := d35/d13, d51/d13
	beta := solve([3][4]float64{
		{p[0], p[1], p[2], 1}, {r[0], r[1], r[2], n*n - sigma*sigma}, {z1, z3, 1, z1*rho[0] + z3*rho[1] + rho[2]}, // (53), (55)
	})
	for i := range 3 {
		gain[i] = -beta[i] * math.Cos(omega[i]*(n+1)) // (33)
	}
	return omega, gain
}

// solve is Cramer's rule for three unknowns; the last column is the right side.
func solve(m [3][4]float64) (x [3]float64) {
	det := func(c [3]int) float64 {
		a := func(i, j int) float64 { return m[i][c[j]] }
		return a(0, 0)*(a(1, 1)*a(2, 2)-a(1, 2)*a(2, 1)) - a(0, 1)*(a(1, 0)*a(2, 2)-a(1, 2)*a(2, 0)) + a(0, 2)*(a(1, 0)*a(2, 1)-a(1, 1)*a(2, 0))
	}
	for i := range 3 {
		c := [3]int{0, 1, 2}
		c[i] = 3
		x[i] = det(c) / det([3]int{0, 1, 2})
	}
	return x
}

// TestWindow compares the window with the impulse response of the recursion.
func TestWindow(t *testing.T) {
	in, out := make([]float64, 21), make([]float64, 21)
	in[10] = 1
	filtered(in, out, 21, 1)
	for i, v := range out {
		want := 0.0
		if d := max(i-10, 10-i); d < reach {
			want = float64(windowAt(d))
		}
		if math.Abs(v-want) > 1e-7 {
			t.Errorf("at %d: %v, want %v", i-10, want, v)
		}
	}
}

// TestAgreesWithTheDefinition compares with exact on blurred, blocky, noisy and banded pictures, also of odd sizes.
func TestAgreesWithTheDefinition(t *testing.T) {
	for _, size := range [][2]int{{8, 8}, {9, 31}, {64, 64}, {203, 117}, {300, 41}} {
		a := pixels(drawn(size[0], size[1]))
		for name, spoil := range map[string]func(i int, v byte) byte{
			"bands":  func(_ int, v byte) byte { return v &^ 15 },
			"noise":  func(i int, v byte) byte { return v ^ byte(i*i>>3&7) },
			"shift":  func(i int, v byte) byte { return a.Data[max(i-3, 0)] },
			"darker": func(_ int, v byte) byte { return v - v/8 },
		} {
			b := Pixels{Width: a.Width, Height: a.Height, Bands: 3}
			for i, v := range a.Data {
				b.Data = append(b.Data, spoil(i, v))
			}
			if got, want := scoreOf(t, a, b), exact(a, b); math.Abs(got-want) > 0.02 {
				t.Errorf("%s, %dx%d: %v, want %v", name, size[0], size[1], got, want)
			}
		}
	}
}
