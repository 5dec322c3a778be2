package variant

import (
	"fmt"
	"strings"

	"github.com/goldcrest/goldcrest/fault"
	"github.com/goldcrest/goldcrest/variant/naming"
)

// option is one segment of a URL or a preset: a name and its arguments.
type option struct {
	name string
	args []string
}

// reading is the state of one parse. Options are applied in order, so the last one wins.
type reading struct {
	spec  Spec
	terms Terms
}

// rule says how one option is parsed. All options change the pixels or bytes of the variant, and so its Key, except
// those with term set: they affect only the response.
type rule struct {
	most  int // maximum number of arguments; at least one (maybe empty) is always present
	term  bool
	apply func(r *reading, args []string) error
}

// rules holds every option under its name and aliases, imgproxy's first and our own (net, legible, cache_tag) after
// them. preset is not among them: the Parser resolves presets.
var rules = compile([]struct {
	names string
	rule
}{
	{"resize rs", rule{8, false, applyResize}},
	{"size s", rule{7, false, applySize}},
	{"resizing_type rt", rule{1, false, applyResizingType}},
	{"width w", rule{1, false, applyWidth}},
	{"height h", rule{1, false, applyHeight}},
	{"min-width min_width mw", rule{1, false,
		count("width", maxSide, func(r *reading) *int { return &r.spec.MinWidth })}},
	{"min-height min_height mh", rule{1, false,
		count("height", maxSide, func(r *reading) *int { return &r.spec.MinHeight })}},
	{"zoom z", rule{2, false, applyZoom}},
	{"dpr", rule{1, false, measure("dpr", 0.0001, 100, func(r *reading) *float64 { return &r.spec.DPR })}},
	{"enlarge el", rule{1, false, applyEnlarge}},
	{"extend ex", rule{4, false, func(r *reading, args []string) error {
		return extension(r, &r.spec.Extend, args)
	}}},
	{"extend_aspect_ratio extend_ar exar", rule{4, false, func(r *reading, args []string) error {
		return extension(r, &r.spec.ExtendRatio, args)
	}}},
	{"gravity g", rule{3, false, applyGravity}},
	{"crop c", rule{5, false, applyCrop}},
	{"trim t", rule{4, false, applyTrim}},
	{"padding pd", rule{4, false, applyPadding}},
	{"auto_rotate ar", rule{1, false,
		toggle("auto_rotate", false, func(r *reading) *bool { return &r.spec.KeepOrientation })}},
	{"rotate rot", rule{1, false, applyRotate}},
	{"flip fl", rule{2, false, applyFlip}},
	{"background bg", rule{3, false, applyBackground}},
	{"blur bl", rule{1, false, measure("sigma", 0, maxSigma, func(r *reading) *float64 { return &r.spec.Blur })}},
	{"sharpen sh", rule{1, false,
		measure("sigma", 0, maxSigma, func(r *reading) *float64 { return &r.spec.Sharpen })}},
	{"pixelate pix", rule{1, false, count("size", maxSide, func(r *reading) *int { return &r.spec.Pixelate })}},
	{"quality q", rule{1, false, count("quality", 100, func(r *reading) *uint8 { return &r.spec.Quality })}},
	{"format_quality fq", rule{12, false, applyFormatQuality}},
	{"format f ext", rule{1, false, applyFormat}},
	{"max_bytes mb", rule{1, false, count("max_bytes", maxCount, func(r *reading) *int { return &r.spec.MaxBytes })}},
	{"autoquality aq", rule{4, false, applyAutoQuality}},
	{"cachebuster cb", rule{1, false, applyCacheBuster}},
	{"expires exp", rule{1, true, applyExpires}},
	{"filename fn", rule{2, true, applyFilename}},
	{"return_attachment att", rule{1, true,
		toggle("return_attachment", true, func(r *reading) *bool { return &r.terms.Attachment })}},
	{"fallback_image_url fiu", rule{1, false, applyFallback}},
	{"hashsum hs", rule{2, false, applyHashsum}},
	{"max_src_resolution msr", rule{1, false, megapixels(func(r *reading) *int64 { return &r.spec.Limits.Pixels })}},
	{"max_src_file_size msfs", rule{1, false,
		count("the size", maxCount, func(r *reading) *int64 { return &r.spec.Limits.Bytes })}},
	{"max_animation_frames maf", rule{1, false,
		count("the number of frames", 100_000, func(r *reading) *int { return &r.spec.Limits.Frames })}},
	{"max_animation_frame_resolution mafr", rule{1, false,
		megapixels(func(r *reading) *int64 { return &r.spec.Limits.FramePixels })}},
	{"max_result_dimension mrd", rule{1, false,
		count("the dimension", maxSide, func(r *reading) *int { return &r.spec.Limits.Side })}},
	{"watermark wm", rule{6, false, applyWatermark}},
	{"watermark_url wmu", rule{1, false, applyWatermarkURL}},
	{"strip_metadata sm", rule{1, false,
		toggle("its value", false, func(r *reading) *bool { return &r.spec.KeepMetadata })}},
	{"keep_copyright kcr", rule{1, false,
		toggle("its value", true, func(r *reading) *bool { return &r.spec.KeepCopyright })}},
	{"strip_color_profile scp", rule{1, false,
		toggle("its value", false, func(r *reading) *bool { return &r.spec.KeepProfile })}},
	{"skip_processing skp", rule{9, false, applySkip}},
	{"raw", rule{1, false, toggle("raw", true, func(r *reading) *bool { return &r.spec.Raw })}},
	{"cache_tag ct", rule{8, true, applyCacheTags}},
	{"net", rule{1, false, word(netWords[:], "it is none of 2g, 3g, 4g, wifi, auto", func(r *reading) *Net { return &r.spec.Net })}},
	{"legible", rule{1, false,
		word(legibleWords[:], "it is none of 0, 1, auto", func(r *reading) *Legibility { return &r.spec.Legible })}},
})

func compile(list []struct {
	names string
	rule
}) map[string]rule {
	table := make(map[string]rule, 2*len(list))
	for _, entry := range list {
		for _, name := range strings.Fields(entry.names) {
			table[name] = entry.rule
		}
	}
	return table
}

// maxArgument is the maximum length of one argument in bytes; the fallback's URL may be a complete source in base64.
const maxArgument = naming.MaxAddress * 4 / 3

// splitOption cuts a segment into name and arguments.
func splitOption(segment string) option {
	name, rest, _ := strings.Cut(segment, ":")
	return option{name, strings.Split(rest, ":")}
}

// isPreset reports whether the option is a list of presets.
func (o option) isPreset() bool { return o.name == "preset" || o.name == "pr" }

// apply applies one option; free says that it is in the URL itself and not in a preset.
func (r *reading) apply(o option, free bool) error {
	rule, ok := rules[o.name]
	if !ok {
		return fault.New(fault.UnsupportedOption, "variant.ParseOptions", fmt.Sprintf("option %.40q is not supported", o.name), nil)
	}
	err := o.check(rule)
	if err == nil {
		err = rule.apply(r, o.args)
	}
	if err != nil {
		kind := fault.BadOption
		if f, ok := err.(refusal); ok {
			kind = f.kind
		}
		return fault.New(kind, "variant.ParseOptions", fmt.Sprintf("option %q: %s", o.name, err), nil)
	}
	r.terms.Free = r.terms.Free || free && !rule.term
	return nil
}

func (o option) check(rule rule) error {
	if len(o.args) > rule.most {
		return bad("it takes at most %d arguments", rule.most)
	}
	for _, a := range o.args {
		if len(a) > maxArgument {
			return bad("an argument is too long")
		}
	}
	return nil
}

// normal normalises a Spec, so that equal meanings have one Key.
func (s Spec) normal() Spec {
	if s.Raw {
		return Spec{Format: Raw, Keep: Keep{Raw: true}, CacheBuster: s.CacheBuster, Fallback: s.Fallback, Hash: s.Hash,
			Limits: Limits{Pixels: s.Limits.Pixels, Bytes: s.Limits.Bytes}}
	}
	s.KeepCopyright, s.KeepMetadata = s.KeepCopyright || s.KeepMetadata, false
	if s.DPR == 1 {
		s.DPR = 0
	}
	if s.ZoomX == 1 {
		s.ZoomX = 0
	}
	if s.ZoomY == 1 {
		s.ZoomY = 0
	}
	s.ExtendRatio = s.ExtendRatio && !s.Extend
	if !s.Extend && !s.ExtendRatio {
		s.ExtendGravity = Gravity{}
	}
	if s.Crop.Width == 0 && s.Crop.Height == 0 {
		s.Crop = Crop{}
	}
	return s
}
