// Package hints reads the client hints that say how large a client shows a picture. Values are rounded up to few sizes,
// so that one URL has few variants.
package hints

import (
	"math"
	"math/bits"
	"slices"
	"strconv"
	"strings"
)

// The bounds of what counts. A value beyond the upper one counts as the upper one, so that a larger screen gets the
// largest picture. Smaller widths are icons, which share one size.
const (
	minWidth = 64
	maxWidth = 8192
	maxRatio = 8
)

// ratios are the pixel ratios in use.
var ratios = [...]float64{1, 1.5, 2, 3, 4, maxRatio}

// Width reads a header Sec-CH-Width or Width: the pixels of the screen that the picture fills from left to right. It is
// rounded up to a multiple of a quarter of the power of two below it, so by less than a quarter. 0 = nothing usable.
func Width(value string) int {
	n, err := strconv.ParseUint(strings.TrimSpace(value), 10, 32)
	if err != nil || n == 0 {
		return 0
	}
	n = min(max(n, minWidth), maxWidth)
	step := uint64(1) << (bits.Len64(n-1) - 3)
	return int((n + step - 1) / step * step)
}

// Ratio reads a header Sec-CH-DPR or DPR: the pixels of the screen for each CSS pixel, rounded up to the next one of
// ratios. 0 = nothing usable.
func Ratio(value string) float64 {
	f, err := strconv.ParseFloat(strings.TrimSpace(value), 64)
	if err != nil || !(f > 0) || math.IsInf(f, 1) {
		return 0
	}
	i := slices.IndexFunc(ratios[:], func(r float64) bool { return f <= r })
	if i < 0 {
		return maxRatio
	}
	return ratios[i]
}

// CSS is the CSS width of a width in pixels of the screen; a ratio of 0 is 1.
func CSS(width int, ratio float64) int {
	return int(math.Round(float64(width) / max(ratio, 1)))
}
