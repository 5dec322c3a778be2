// Package frosted computes placeholders: short summaries of pictures to show while the pictures load.
package frosted

import (
	"encoding/base64"
	"math"
)

// Hash is the ThumbHash of a small picture, w x h pixels of red, green, blue and alpha, row by row, in base64. Its 25
// or so bytes describe the picture as seen through frosted glass, with its aspect ratio and transparency. The algorithm
// is Evan Wallace's (github.com/evanw/thumbhash), so its decoders for browsers and phones work unchanged.
func Hash(w, h int, pixels []byte) string {
	l, p, q, a, hasAlpha := channels(pixels)
	limit := 7.0
	if hasAlpha {
		limit = 5 // Fewer bits are left for luma.
	}
	longest := float64(max(w, h))
	lx := max(1, int(math.Floor(limit*float64(w)/longest+0.5)))
	ly := max(1, int(math.Floor(limit*float64(h)/longest+0.5)))
	t := transformed{w: w, h: h}
	lw, pw, qw := t.waves(l, max(3, lx), max(3, ly)), t.waves(p, 3, 3), t.waves(q, 3, 3)
	shape, landscape := lx, 0
	if w > h {
		shape, landscape = ly, 1
	}
	head := nearest(63*lw.mean) | nearest(31.5+31.5*pw.mean)<<6 | nearest(31.5+31.5*qw.mean)<<12 | nearest(31*lw.scale)<<18
	tail := shape | nearest(63*pw.scale)<<3 | nearest(63*qw.scale)<<9 | landscape<<15
	all := append(append(lw.factors, pw.factors...), qw.factors...)
	var hash []byte
	if hasAlpha {
		aw := t.waves(a, 5, 5)
		head |= 1 << 23
		hash = []byte{byte(head), byte(head >> 8), byte(head >> 16), byte(tail), byte(tail >> 8), byte(nearest(15*aw.mean) | nearest(15*aw.scale)<<4)}
		all = append(all, aw.factors...)
	} else {
		hash = []byte{byte(head), byte(head >> 8), byte(head >> 16), byte(tail), byte(tail >> 8)}
	}
	for i, f := range all {
		half := byte(nearest(15 * f))
		if i%2 == 0 {
			hash = append(hash, half)
		} else {
			hash[len(hash)-1] |= half << 4
		}
	}
	return base64.StdEncoding.EncodeToString(hash)
}

// channels are luma, yellow against blue, red against green, and alpha, each from 0 or -1 to 1. Transparent pixels are
// laid on the mean colour, weighted by alpha, so that the colour channels need not encode transparency.
func channels(pixels []byte) (l, p, q, a []float64, hasAlpha bool) {
	n := len(pixels) / 4
	var mean [3]float64
	total := 0.0
	for i := range n {
		alpha := float64(pixels[4*i+3]) / 255
		for c := range mean {
			mean[c] += alpha / 255 * float64(pixels[4*i+c])
		}
		total += alpha
	}
	for c := range mean {
		if total > 0 {
			mean[c] /= total
		}
	}
	l, p, q, a = make([]float64, n), make([]float64, n), make([]float64, n), make([]float64, n)
	for i := range n {
		alpha := float64(pixels[4*i+3]) / 255
		var on [3]float64
		for c := range mean {
			on[c] = mean[c]*(1-alpha) + alpha/255*float64(pixels[4*i+c])
		}
		l[i], p[i], q[i], a[i] = (on[0]+on[1]+on[2])/3, (on[0]+on[1])/2-on[2], on[0]-on[1], alpha
	}
	return l, p, q, a, total < float64(n)
}

// nearest rounds halves up, as the reference implementation does.
func nearest(v float64) int { return int(math.Floor(v + 0.5)) }

// transformed is the cosine transform of pictures of one size.
type transformed struct{ w, h int }

// waves are the lowest frequencies of a channel.
type waves struct {
	mean, scale float64
	factors     []float64 // from 0 to 1, relative to scale
}

func (t transformed) waves(channel []float64, nx, ny int) (out waves) {
	columns := make([]float64, t.w)
	for cy := range ny {
		clear(columns)
		for y := range t.h {
			fy := math.Cos(math.Pi / float64(t.h) * float64(cy) * (float64(y) + 0.5))
			for x, v := range channel[y*t.w : (y+1)*t.w] {
				columns[x] += v * fy
			}
		}
		for cx := 0; cx*ny < nx*(ny-cy); cx++ {
			f := 0.0
			for x, v := range columns {
				f += v * math.Cos(math.Pi/float64(t.w)*float64(cx)*(float64(x)+0.5))
			}
			f /= float64(t.w * t.h)
			if cx == 0 && cy == 0 {
				out.mean = f
				continue
			}
			out.factors = append(out.factors, f)
			out.scale = max(out.scale, math.Abs(f))
		}
	}
	for i := range out.factors {
		if out.scale > 0 {
			out.factors[i] = 0.5 + 0.5/out.scale*out.factors[i]
		}
	}
	return out
}
