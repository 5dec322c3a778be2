package hints

import (
	"math"
	"strconv"
	"testing"
)

// Widths are rounded up by less than a quarter, to few values.
func TestWidth(t *testing.T) {
	for value, want := range map[string]int{
		"320": 320, "321": 384, " 385 ": 448, "449": 512, "512": 512, "513": 640, "1": 64, "65": 80, "1000": 1024,
		"8192": 8192, "9000": 8192, "4294967295": 8192, "0": 0, "": 0, "-5": 0, "3.5": 0, "1e3": 0, "4294967296": 0,
	} {
		if got := Width(value); got != want {
			t.Errorf("Width(%q) = %d, want %d", value, got, want)
		}
	}
	seen := map[int]bool{}
	for n := minWidth; n <= maxWidth; n++ {
		w := Width(strconv.Itoa(n))
		if seen[w] = true; w < n || 4*w >= 5*n+4 {
			t.Fatalf("%d becomes %d", n, w)
		}
	}
	if len(seen) > 30 {
		t.Errorf("%d sizes", len(seen))
	}
}

func TestRatio(t *testing.T) {
	for value, want := range map[string]float64{
		"1": 1, "1.0": 1, "0.75": 1, "1.25": 1.5, "2": 2, " 2.625 ": 3, "3.5": 4, "8": 8, "11": 8,
		"0": 0, "-1": 0, "": 0, "x": 0, "NaN": 0, "Inf": 0,
	} {
		if got := Ratio(value); got != want {
			t.Errorf("Ratio(%q) = %v, want %v", value, got, want)
		}
	}
}

// FuzzHints holds that all that a client says becomes nothing, or one of few values, which stay when read again.
func FuzzHints(f *testing.F) {
	for _, value := range []string{"320", "2.625", "1e9", "-0", "+7", "0x10", "NaN", "1_0"} {
		f.Add(value)
	}
	f.Fuzz(func(t *testing.T, value string) {
		w, r := Width(value), Ratio(value)
		if w != 0 && (w < minWidth || w > maxWidth || Width(strconv.Itoa(w)) != w) {
			t.Errorf("width %q: %d", value, w)
		}
		if r != 0 && (r < 1 || r > maxRatio || Ratio(strconv.FormatFloat(r, 'f', -1, 64)) != r) {
			t.Errorf("ratio %q: %v", value, r)
		}
		if w != 0 && math.Abs(float64(CSS(w, r))*max(r, 1)-float64(w)) > max(r, 1)/2 {
			t.Errorf("%d at %v is %d", w, r, CSS(w, r))
		}
	})
}
