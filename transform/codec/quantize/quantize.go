// Package quantize finds the few levels that represent many values with the least loss.
package quantize

import "math"

// Tables returns, for each number of levels up to most, the table that maps every sample to one of that many levels
// with the least squared error: dynamic programming over the histogram (Bruce, Optimum quantization, 1965). tables[n]
// has n levels.
func Tables(count *[256]float64, most int) (tables [][256]byte) {
	var n, sum, squares [257]float64
	for v, c := range count {
		x := float64(v)
		n[v+1], sum[v+1], squares[v+1] = n[v]+c, sum[v]+c*x, squares[v]+c*x*x
	}
	mean := func(from, to int) float64 { return (sum[to] - sum[from]) / max(n[to]-n[from], 1) }
	cost := func(from, to int) float64 { return squares[to] - squares[from] - mean(from, to)*(sum[to]-sum[from]) }
	least := make([][257]float64, most+1) // the least cost of the first values, by number of levels
	cut := make([][257]int, most+1)       // where the last of these levels begins
	for to := 1; to <= 256; to++ {
		least[0][to] = math.Inf(1)
	}
	tables = make([][256]byte, most+1)
	for k := 1; k <= most; k++ {
		for to := 1; to <= 256; to++ {
			least[k][to] = math.Inf(1)
			for from := range to {
				if c := least[k-1][from] + cost(from, to); c < least[k][to] {
					least[k][to], cut[k][to] = c, from
				}
			}
		}
		for j, to := k, 256; j > 0; j-- {
			from := cut[j][to]
			level := byte(math.Round(mean(from, to)))
			for v := from; v < to; v++ {
				tables[k][v] = level
			}
			to = from
		}
	}
	return tables
}
