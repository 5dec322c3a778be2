// Package untouched serves the original's own bytes without what decoders do not need.
package untouched

import (
	"fmt"

	"github.com/goldcrest/goldcrest/transform/codec/container"
	"github.com/goldcrest/goldcrest/transform/codec/decode"
	"github.com/goldcrest/goldcrest/transform/codec/geometry"
	"github.com/goldcrest/goldcrest/transform/codec/render"
	"github.com/goldcrest/goldcrest/transform/codec/vips"
	"github.com/goldcrest/goldcrest/variant"
)

// Rewrite is container.Rewrite with support for JPEG, which needs libjpeg.
func Rewrite(f variant.Format, b []byte) ([]byte, error) {
	if f != variant.JPEG {
		return container.Rewrite(f, b)
	}
	out, ok := vips.RewriteJPEG(b)
	if !ok {
		return nil, fmt.Errorf("rewrite %s: %w", f, container.ErrMalformed)
	}
	return out, nil
}

// Original is the original's own bytes without its metadata, if the job changes no pixel and the file needs no
// conversion.
func Original(src *decode.Source, j *render.Job) (body []byte, format variant.Format, ok bool) {
	s, p, in := j.Spec, j.Plan, src.Info
	changes := s.Trim.On || j.Effects() || s.Background.Set || p.Final != (geometry.Orientation{}) ||
		p.Crop.Size != p.Stored || p.Scaled != p.Stored || p.Out != p.Stored
	f := src.Facts
	plain := !src.Converts() && f.Bits == 8 && in.Bits <= 8 && !in.CMYK && (f.Rgb || f.Grey)
	remade := src.Master != nil && !src.Master.Exact
	format = Format(in.Format)
	if changes || !plain || remade || in.Orientation != 1 || in.Frames != j.Frames || !in.Complete || format == variant.Open {
		return nil, variant.Open, false
	}
	body, err := Rewrite(format, src.Original[:in.End])
	return body, format, err == nil
}

// Format is the format of an original that may be passed through, or Open. AVIF may not: its metadata cannot be removed
// without rewriting the file.
func Format(name string) variant.Format {
	switch name {
	case "jpeg":
		return variant.JPEG
	case "png":
		return variant.PNG
	case "webp":
		return variant.WebP
	case "gif":
		return variant.GIF
	}
	return variant.Open
}

// exactBytes is the largest size of an original that is its own master.
const exactBytes = 1 << 20

// ExactMaster is the original itself without its metadata, if it is small enough and needs no conversion.
func ExactMaster(src *decode.Source, j *render.Job) (variant.Image, bool) {
	if src.Info.Frames > 1 || len(src.Original) > 2*exactBytes { // Rewriting never halves a file.
		return variant.Image{}, false
	}
	body, format, ok := Original(src, j)
	if !ok || len(body) > exactBytes {
		return variant.Image{}, false
	}
	return variant.Image{
		Body: body, Format: format, Width: src.Stored.W, Height: src.Stored.H, Frames: 1, SourceFormat: src.Info.Format,
		SourceWidth: src.Stored.W, SourceHeight: src.Stored.H, SourceFrames: 1, Exact: true, Note: "the original, less its metadata",
	}, true
}
