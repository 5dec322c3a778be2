// Package verbatim decides which variants are the original itself, byte for byte.
package verbatim

import (
	"bytes"
	"fmt"

	"github.com/goldcrest/goldcrest/fault"
	"github.com/goldcrest/goldcrest/variant"
)

// formats are those that may be sent as they are, by their names. SVG and PDF are missing: they can hold scripts.
var formats = map[string]variant.Format{
	"jpeg": variant.JPEG, "png": variant.PNG, "webp": variant.WebP, "gif": variant.GIF, "avif": variant.AVIF,
	"heic": "heic", "tiff": "tiff", "bmp": "bmp", "ico": "x-icon", "jxl": "jxl",
}

// Of returns a copy of the original as the variant. ok is false if the spec wants a picture that is made from it. The
// type is that of the bytes, whatever the origin says.
func Of(o variant.Original, s variant.Spec) (img variant.Image, ok bool, err error) {
	if !s.Raw && s.Unprocessed == 0 {
		return variant.Image{}, false, nil
	}
	info, err := o.Inspect()
	format, sendable := formats[info.Format]
	switch {
	case !s.Raw && (err != nil || !s.Unprocessed.Has(format)):
		return variant.Image{}, false, nil // the transform makes it, or says why not
	case err != nil:
		return variant.Image{}, false, err
	case !sendable:
		return variant.Image{}, false, fault.New(fault.UnsupportedFormat, "verbatim.Of",
			fmt.Sprintf("an original of the format %q is not sent as it is: it can hold scripts", info.Format), nil)
	case s.Limits.Pixels > 0 && info.Pixels() > s.Limits.Pixels:
		return variant.Image{}, false, fault.New(fault.TooManyPixels, "verbatim.Of",
			"the picture has more pixels than the URL allows", nil)
	}
	w, h := info.Upright()
	return variant.Image{
		Body: bytes.Clone(o.Body), Format: format, Width: w, Height: h, Frames: info.Frames,
		SourceFormat: info.Format, SourceWidth: w, SourceHeight: h, SourceFrames: info.Frames, Note: "the original",
	}, true, nil
}
