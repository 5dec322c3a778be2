// Package dominant finds the most frequent colour of a picture.
package dominant

import "fmt"

const (
	levels = 16         // per channel, each 256/levels values wide
	bins   = levels + 1 // with an empty one at the end, so that every window is complete
	total  = bins * bins * bins
)

// bin sums the pixels of similar colour, weighted by alpha.
type bin struct{ weight, r, g, b uint64 }

func (x *bin) add(y bin) {
	x.weight += y.weight
	x.r += y.r
	x.g += y.g
	x.b += y.b
}

func at(r, g, b int) int { return (r*bins+g)*bins + b }

// Colour returns "#rrggbb", the mean of the pixels in the fullest window of the colour space, two levels wide in each
// channel. samples are interleaved: one band is grey, three are sRGB, and one more is alpha. It is "" if no pixel is
// visible.
func Colour(samples []byte, bands int) string {
	counts := make([]bin, total)
	for ; len(samples) >= bands; samples = samples[bands:] {
		r, alpha := samples[0], uint64(255)
		g, b := r, r
		if bands >= 3 {
			g, b = samples[1], samples[2]
		}
		if bands%2 == 0 {
			alpha = uint64(samples[bands-1])
		}
		counts[at(int(r)*levels/256, int(g)*levels/256, int(b)*levels/256)].add(
			bin{alpha, alpha * uint64(r), alpha * uint64(g), alpha * uint64(b)})
	}
	var fullest bin
	for i := range levels * levels * levels {
		r, g, b := i/(levels*levels), i/levels%levels, i%levels
		var window bin
		for corner := range 8 {
			window.add(counts[at(r+corner>>2, g+corner>>1&1, b+corner&1)])
		}
		if window.weight > fullest.weight {
			fullest = window
		}
	}
	n := fullest.weight
	if n == 0 {
		return ""
	}
	return fmt.Sprintf("#%02x%02x%02x", (fullest.r+n/2)/n, (fullest.g+n/2)/n, (fullest.b+n/2)/n)
}
