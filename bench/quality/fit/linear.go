package fit

import "math"

// ridge fits y = base + weights x by least squares with a weight for each sample, and a penalty on large weights.
func ridge(x [][]float64, y, sample []float64, penalty float64) (base float64, weights []float64) {
	n := len(x[0])
	mean, total, middle := make([]float64, n), 0.0, 0.0
	for i, w := range sample {
		total += w
		middle += w * y[i]
		for j, v := range x[i] {
			mean[j] += w * v
		}
	}
	middle /= total
	for j := range mean {
		mean[j] /= total
	}
	a, b := make([][]float64, n), make([]float64, n)
	for j := range a {
		a[j] = make([]float64, n)
		a[j][j] = penalty * total / float64(len(x))
	}
	for i, w := range sample {
		for j := range n {
			d := w * (x[i][j] - mean[j])
			b[j] += d * (y[i] - middle)
			for k := range n {
				a[j][k] += d * (x[i][k] - mean[k])
			}
		}
	}
	weights = solve(a, b)
	base = middle
	for j, w := range weights {
		base -= w * mean[j]
	}
	return base, weights
}

// solve is Gaussian elimination with pivots; it overwrites a and b.
func solve(a [][]float64, b []float64) []float64 {
	n := len(b)
	for i := range n {
		p := i
		for r := i + 1; r < n; r++ {
			if math.Abs(a[r][i]) > math.Abs(a[p][i]) {
				p = r
			}
		}
		a[i], a[p], b[i], b[p] = a[p], a[i], b[p], b[i]
		for r := i + 1; r < n; r++ {
			f := a[r][i] / a[i][i]
			for k := i; k < n; k++ {
				a[r][k] -= f * a[i][k]
			}
			b[r] -= f * b[i]
		}
	}
	x := make([]float64, n)
	for i := n - 1; i >= 0; i-- {
		x[i] = b[i]
		for k := i + 1; k < n; k++ {
			x[i] -= a[i][k] * x[k]
		}
		x[i] /= a[i][i]
	}
	return x
}

// classify fits the scores of classes by gradient descent on their cross-entropy. sample holds the samples' weights.
func classify(x [][]float64, class []int, classes int, sample []float64) (bases []float64, weights [][]float64) {
	const steps, rate, penalty = 4000, 0.5, 0.003
	n := len(x[0])
	bases, weights = make([]float64, classes), make([][]float64, classes)
	for c := range weights {
		weights[c] = make([]float64, n)
	}
	total := 0.0
	for _, w := range sample {
		total += w
	}
	for range steps {
		db, dw := make([]float64, classes), make([][]float64, classes)
		for c := range dw {
			dw[c] = make([]float64, n)
		}
		for i, xi := range x {
			p := softmax(bases, weights, xi)
			for c := range p {
				d := p[c]
				if class[i] == c {
					d--
				}
				d *= sample[i] / total
				db[c] += d
				for j, v := range xi {
					dw[c][j] += d * v
				}
			}
		}
		for c := range weights {
			bases[c] -= rate * db[c]
			for j := range weights[c] {
				weights[c][j] -= rate * (dw[c][j] + penalty*weights[c][j])
			}
		}
	}
	return bases, weights
}

func softmax(bases []float64, weights [][]float64, x []float64) []float64 {
	p, sum := make([]float64, len(bases)), 0.0
	for c := range p {
		v := bases[c]
		for j, w := range weights[c] {
			v += w * x[j]
		}
		p[c] = math.Exp(v)
		sum += p[c]
	}
	for c := range p {
		p[c] /= sum
	}
	return p
}
