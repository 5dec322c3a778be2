package variant

import (
	"math"

	"github.com/goldcrest/goldcrest/sniff"
)

// MasterRecipe is the version of how masters are made, as Recipe is for variants. Raise it when new ones would be
// better.
const MasterRecipe = 2

// MasterName ends the Key of an original's master: SourcePrefix() + MasterName. Keys of variants end in a format, so
// they differ.
const MasterName = "master"

// Original is what variants are made from: an original's bytes, or its master's.
type Original struct {
	Body   []byte
	Info   sniff.Info // parsed from the header of Body; zero = not parsed yet
	Master *Master    // nil: Body is the original itself
	// Marks are the pictures that Specs lay over it as watermarks, by Watermark.Mark.
	Marks map[string][]byte
}

// Inspect parses the header of Body, if that was not done yet.
func (o Original) Inspect() (sniff.Info, error) {
	if o.Info.Format != "" {
		return o.Info, nil
	}
	return sniff.Inspect(o.Body)
}

// Bytes is the size of the original, also if Body is a master.
func (o Original) Bytes() int64 {
	if o.Master != nil {
		return o.Master.Bytes
	}
	return int64(len(o.Body))
}

// Master describes the original of a master. Geometry, and the rule that no variant is larger than its original, use
// these values, not the master's own size.
type Master struct {
	Width, Height int    // of the original, upright
	Format        string // of the original: jpeg, png, webp, ...
	Bytes         int64  // of the original
	Exact         bool   // the master is the original itself without its metadata
}

// Scale is the largest scale of the result relative to an original of that upright size, or to the area that is cut out
// of it. Options that depend on single pixels, or on how they are stored, count as 1.
func (s Spec) Scale(width, height int) float64 {
	skew := s.Resize == Force || orOne(s.ZoomX) != orOne(s.ZoomY)
	if s.Trim.On || s.KeepOrientation || (s.MinWidth > 0 || s.MinHeight > 0) && skew {
		return 1
	}
	w, h := float64(width), float64(height)
	if s.Rotate%180 != 0 {
		w, h = h, w
	}
	w, h = cropped(w, s.Crop.Width), cropped(h, s.Crop.Height)
	scale := s.boxScale(w, h) * math.Max(orOne(s.ZoomX), orOne(s.ZoomY))
	scale = math.Max(scale, math.Max(float64(s.MinWidth)/w, float64(s.MinHeight)/h))
	return scale * orOne(s.DPR)
}

// boxScale is the scale that fits the box.
func (s Spec) boxScale(w, h float64) float64 {
	x, y := float64(s.Width)/w, float64(s.Height)/h
	switch {
	case s.Width == 0 && s.Height == 0, s.Resize == Force && (s.Width == 0 || s.Height == 0):
		return math.Max(1, math.Max(x, y))
	case s.Resize == Fit && s.Width > 0 && s.Height > 0:
		return math.Min(x, y)
	}
	return math.Max(x, y)
}

// cropped is the part of a side that remains after a crop.
func cropped(side, crop float64) float64 {
	switch {
	case crop == 0:
		return side
	case crop >= 1:
		return math.Min(side, math.Floor(crop))
	}
	return math.Max(1, math.Round(side*crop))
}
