package quantize

import (
	"math/rand/v2"
	"testing"
)

// The tables have the least squared error for their number of levels. For three levels, a search of all cuts confirms
// it.
func TestTables(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	var count [256]float64
	for _, v := range []int{0, 3, 4, 90, 100, 101, 180, 250, 255} {
		count[v] = float64(1 + random.IntN(1000))
	}
	loss := func(table [256]byte) (sum float64) {
		for v, n := range count {
			d := float64(v) - float64(table[v])
			sum += n * d * d
		}
		return sum
	}
	tables := Tables(&count, 12)
	for n := 2; n <= 12; n++ {
		levels := map[byte]bool{}
		for v := range 256 {
			levels[tables[n][v]] = true
			if v > 0 && tables[n][v] < tables[n][v-1] {
				t.Fatalf("%d levels: %d becomes %d, which is darker than what %d becomes", n, v, tables[n][v], v-1)
			}
		}
		if len(levels) > n+1 { // Values that do not occur may map to anything.
			t.Errorf("%d levels: there are %d", n, len(levels))
		}
		if loss(tables[n]) > loss(tables[n-1]) {
			t.Errorf("%d levels lose more than one fewer", n)
		}
	}
	if loss(tables[9]) != 0 {
		t.Errorf("as many levels as values lose %g", loss(tables[9]))
	}
	least := loss(tables[1])
	for a := 1; a < 256; a++ {
		for b := a + 1; b < 256; b++ {
			least = min(least, loss(cutAt(&count, 0, a, b, 256)))
		}
	}
	if got := loss(tables[3]); got > least {
		t.Errorf("three levels lose %g, a search finds %g", got, least)
	}
}

// cutAt is a table whose levels are the rounded means between the cuts.
func cutAt(count *[256]float64, cuts ...int) (table [256]byte) {
	for i := 1; i < len(cuts); i++ {
		sum, n := 0.0, 0.0
		for v := cuts[i-1]; v < cuts[i]; v++ {
			sum, n = sum+count[v]*float64(v), n+count[v]
		}
		for v := cuts[i-1]; v < cuts[i]; v++ {
			table[v] = byte(sum/max(n, 1) + 0.5)
		}
	}
	return table
}
