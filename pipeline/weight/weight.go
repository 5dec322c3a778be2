// Package weight decides which variants take a worker many times as long as most.
package weight

import (
	"time"

	"github.com/goldcrest/goldcrest/pipeline/gate"
	"github.com/goldcrest/goldcrest/variant"
)

// Approximate worker time for each megapixel: to read, by the format of the original, and to write, by the format of
// the variant.
var (
	readTakes = map[string]time.Duration{
		"jpeg": 4 * time.Millisecond, "webp": 15 * time.Millisecond, "gif": 15 * time.Millisecond, "png": 25 * time.Millisecond,
		"tiff": 15 * time.Millisecond, "bmp": 5 * time.Millisecond, "avif": 40 * time.Millisecond, "heic": 40 * time.Millisecond,
		"jxl": 40 * time.Millisecond,
		"svg": 20 * time.Millisecond,
	}
	writeTakes = map[variant.Format]time.Duration{
		variant.JPEG: 15 * time.Millisecond, variant.PNG: 60 * time.Millisecond, variant.WebP: 80 * time.Millisecond,
		variant.GIF: 60 * time.Millisecond, variant.AVIF: 300 * time.Millisecond, variant.JXL: 300 * time.Millisecond,
	}
)

// Heavy reports whether a variant takes many times as long as most. Without the original, only the URL counts.
func Heavy(s variant.Spec, original variant.Original) bool {
	const mega = 1e6
	result := box(s) / mega
	work := time.Duration(0)
	if original.Body != nil {
		pixels := float64(original.Info.Pixels()) / mega
		work = time.Duration(pixels * float64(readTakes[original.Info.Format]))
		if result == 0 || result > pixels && !s.Enlarge {
			result = pixels
		}
	}
	write := result * float64(writeTakes[s.Format])
	if s.Accepts != 0 && dense(original) {
		write *= denseTries
	}
	return work+time.Duration(write) >= gate.HeavyWork
}

// denseTries is the approximate number of encodes to find one that is smaller than a dense original.
const denseTries = 4

// dense reports whether a GIF hardly compresses, as random dots and dithered scans do. At an eighth of a byte per pixel
// even two colours take their full size.
func dense(o variant.Original) bool {
	return o.Info.Format == "gif" && o.Bytes() > o.Info.Pixels()*int64(max(o.Info.Frames, 1))/8
}

// box is the number of pixels that a spec asks for, from its URL only; 0 = as many as the original.
func box(s variant.Spec) float64 {
	w, h := float64(s.Width), float64(s.Height)
	if w == 0 {
		w = h * 4 / 3
	}
	if h == 0 {
		h = w * 3 / 4
	}
	if s.ZoomX > 0 {
		w *= s.ZoomX
	}
	if s.ZoomY > 0 {
		h *= s.ZoomY
	}
	if s.DPR > 0 {
		w, h = w*s.DPR, h*s.DPR
	}
	return w * h
}
