package transform

import (
	"encoding/base64"
	"fmt"
	"slices"
	"strings"

	"github.com/goldcrest/goldcrest/fault"
	"github.com/goldcrest/goldcrest/sniff"
	"github.com/goldcrest/goldcrest/variant"
	"github.com/goldcrest/goldcrest/variant/about"
)

// maxScans is the number of JPEG scans beyond which a file is meant to be slow, not to be viewed.
const maxScans = 100

// examine reads the header of original and refuses what is invalid for every spec.
func examine(original variant.Original, cfg Config) (sniff.Info, error) {
	if int64(len(original.Body)) > cfg.OriginalBytes {
		return sniff.Info{}, fault.New(fault.SourceTooLarge, "transform.examine", "the source has too many bytes",
			fmt.Errorf("%d bytes, at most %d", len(original.Body), cfg.OriginalBytes))
	}
	info, err := original.Inspect()
	if err != nil {
		return sniff.Info{}, err
	}
	if info.Format == "pdf" && !slices.Contains(cfg.Inputs, "pdf") {
		return sniff.Info{}, fault.New(fault.NotAnImage, "transform.examine",
			"the source is a PDF document, not an image", nil)
	}
	if !slices.Contains(cfg.Inputs, info.Format) {
		return sniff.Info{}, fault.New(fault.UnsupportedFormat, "transform.examine",
			"this image format is not supported",
			fmt.Errorf("transform.inputs does not name %s", info.Format))
	}
	if info.Scans > maxScans {
		return sniff.Info{}, fault.New(fault.TooCostly, "transform.examine", "the JPEG has too many scans",
			fmt.Errorf("%d scans, at most %d", info.Scans, maxScans))
	}
	if info.Format == "tiff" && info.Frames > maxDirectories {
		return sniff.Info{}, fault.New(fault.TooCostly, "transform.examine", "the TIFF has too many directories",
			fmt.Errorf("%d directories or more, at most %d", info.Frames, maxDirectories))
	}
	return info, nil
}

// maxDirectories bounds the pages of a TIFF: the decoder reads all of them, whichever is requested.
const maxDirectories = 1000

// admissible decides whether spec may be made from an original with info, and how many frames are decoded.
func admissible(original variant.Original, info sniff.Info, spec variant.Spec, lim Limits) (frames int, err error) {
	own := spec.Limits
	if own.Bytes > 0 && original.Bytes() > own.Bytes {
		return 0, fault.New(fault.SourceTooLarge, "transform.admissible", "the source has more bytes than the URL allows", nil)
	}
	maxFrames, maxPixels := lim.Frames, lim.Pixels
	if own.Frames > 0 {
		maxFrames = min(maxFrames, own.Frames)
	}
	if own.Pixels > 0 {
		maxPixels = min(maxPixels, own.Pixels)
	}
	if m := original.Master; m != nil {
		info.Width, info.Height = m.Width, m.Height
	}
	frames = 1
	if maxFrames > 1 && animates(spec, lim.AnimatedAVIF) && (info.Format == "gif" || info.Format == "webp") {
		frames = info.Frames
	}
	if asked := spec.Accepts == 0; !asked && (frames > maxFrames || info.Pixels() > maxPixels/int64(frames)) {
		frames = 1 // An open URL gets the first frame of an animation that is too long.
	}
	if frames > maxFrames {
		return 0, fault.New(fault.TooManyFrames, "transform.admissible", "the animation has too many frames",
			fmt.Errorf("%d frames, at most %d", frames, maxFrames))
	}
	if info.Pixels() > maxPixels/int64(frames) {
		return 0, fault.New(fault.TooManyPixels, "transform.admissible", "the picture has too many pixels",
			fmt.Errorf("%d x %d, %d frames, at most %d pixels", info.Width, info.Height, frames, maxPixels))
	}
	return frames, nil
}

// animates reports whether the result of spec can have more than one frame.
func animates(spec variant.Spec, avif bool) bool {
	return spec.Format == variant.WebP || spec.Format == variant.GIF || avif && spec.Format == variant.AVIF ||
		spec.Accepts&(variant.AcceptWebP|variant.AcceptGIF) != 0
}

// trustworthy checks a variant from a worker, on a copy that the worker can no longer change.
func trustworthy(img variant.Image, spec variant.Spec, asked variant.Stage, lim Limits) error {
	if err := holds(img, spec); err != nil {
		return err
	}
	if img.Width < 1 || img.Height < 1 || int64(img.Width) > lim.ResultPixels/int64(img.Height) {
		return fmt.Errorf("a variant of %d x %d", img.Width, img.Height)
	}
	if img.AskedWidth < 0 || img.AskedHeight < 0 {
		return fmt.Errorf("a variant that was asked for as %d x %d", img.AskedWidth, img.AskedHeight)
	}
	if img.Quality < 0 || img.Quality > 100 || img.Frames < 1 || img.Frames > max(lim.Frames, 1) {
		return fmt.Errorf("a variant of quality %d, %d frames", img.Quality, img.Frames)
	}
	if img.Stage != variant.StageFinal && (img.Stage != asked || !img.Format.Staged()) {
		return fmt.Errorf("a %s variant of stage %d where %d was asked for", img.Format, img.Stage, asked)
	}
	if img.SourceWidth < 1 || img.SourceHeight < 1 {
		return fmt.Errorf("a source of %d x %d", img.SourceWidth, img.SourceHeight)
	}
	if !isPlaceholder(img.Placeholder) {
		return fmt.Errorf("a ThumbHash that is none: %q", clean(img.Placeholder))
	}
	return nil
}

// holds checks that the bytes of a variant are in its format, and that the format is permitted for spec.
func holds(img variant.Image, spec variant.Spec) error {
	if !permitted(img.Format, spec) || (img.Format == variant.Info) != (spec.Format == variant.Info) {
		return fmt.Errorf("a variant in the format %q", clean(string(img.Format)))
	}
	if img.Format == variant.Info {
		return about.Check(img.Body)
	}
	name, ok := sniffed[img.Format]
	if got := sniff.Format(img.Body); !ok || got != name {
		return fmt.Errorf("a variant in the format %q that holds %q", clean(string(img.Format)), got)
	}
	return nil
}

// isPlaceholder reports whether text is empty or can be a ThumbHash. It is copied unchanged to file headers and
// answers.
func isPlaceholder(text string) bool {
	if len(text) > 44 || strings.ContainsAny(text, "\r\n") {
		return false
	}
	_, err := base64.StdEncoding.Strict().DecodeString(text)
	return err == nil
}

// sniffed maps the formats of variants to the format that their first bytes must have.
var sniffed = map[variant.Format]string{
	variant.JPEG: "jpeg", variant.PNG: "png", variant.WebP: "webp", variant.AVIF: "avif", variant.GIF: "gif",
	variant.JXL: "jxl",
}

// permitted reports whether format f is a permitted answer to spec.
func permitted(f variant.Format, spec variant.Spec) bool {
	if spec.Accepts == 0 {
		return spec.Format == variant.Open || f == spec.Format
	}
	return f == spec.Format || spec.Accepts.Has(f)
}
