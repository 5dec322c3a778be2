package variant

import (
	"math"

	"github.com/goldcrest/goldcrest/sniff"
)

// MasterRecipe numbers the way in which masters are made, as Recipe does for variants: it is raised when new ones would
// be better.
const MasterRecipe = 2

// MasterName ends the Key of an original's master: SourcePrefix() + MasterName. No variant's key ends so, since each
// has a format.
const MasterName = "master"

// Original is what variants are made from: the bytes of an original, or of the master that stands for it.
type Original struct {
	Body   []byte
	Info   sniff.Info // what the header of Body says; zero = nobody has read it yet
	Master *Master    // nil: Body is the original itself
}

// Inspect is what the header of Body says, read where nobody did yet.
func (o Original) Inspect() (sniff.Info, error) {
	if o.Info.Format != "" {
		return o.Info, nil
	}
	return sniff.Inspect(o.Body)
}

// Bytes is the size of the original, also where a master stands for it.
func (o Original) Bytes() int64 {
	if o.Master != nil {
		return o.Master.Bytes
	}
	return int64(len(o.Body))
}

// Master is what is known of the original that a master stands for. Geometry, and the rule that no variant is larger
// than its original, go by it and not by the master's own size.
type Master struct {
	Width, Height int    // of the original, upright
	Format        string // of the original: jpeg, png, webp, ...
	Bytes         int64  // of the original
	Exact         bool   // the master is the original itself, less its metadata
}

// Scale is how large the picture becomes at most against an original of that upright size, or against the area that is
// cut out of it: 1 = as large as it is. What depends on the pixels, or on how they lie in the file, counts as 1.
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

// boxScale is the scale that the box asks for.
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

// cropped is what a crop leaves of a side.
func cropped(side, crop float64) float64 {
	switch {
	case crop == 0:
		return side
	case crop >= 1:
		return math.Min(side, math.Floor(crop))
	}
	return math.Max(1, math.Round(side*crop))
}
