package codec

import (
	"fmt"
	"maps"
	"runtime"

	"github.com/goldcrest/goldcrest/transform/codec/choose"
	"github.com/goldcrest/goldcrest/transform/codec/sequence"
	"github.com/goldcrest/goldcrest/transform/codec/specimen"
	"github.com/goldcrest/goldcrest/transform/codec/svg"
	"github.com/goldcrest/goldcrest/transform/codec/vips"
	"github.com/goldcrest/goldcrest/variant"
)

var warmLimits = Limits{Pixels: 1 << 16, ResultPixels: 1 << 16, AVIFPixels: 1 << 16, Frames: 1}

// Warm uses every encoder and decoder once, so that libraries and plugins are loaded before the process gives up the
// right to open files. It fails if one of them does not work, which in some distributions only shows at the first use.
func (c *Codec) Warm() error {
	original, err := warmPNG()
	if err != nil {
		return fmt.Errorf("codec.Warm: %w", err)
	}
	files := map[string][]byte{"png": original, "tiff": specimen.TIFF()}
	specs := []variant.Spec{
		{Format: variant.JPEG}, {Format: variant.PNG, Quality: 80}, {Format: variant.WebP}, {Format: variant.GIF},
		{Format: variant.AVIF}, {Format: variant.AVIF, Background: variant.Color{Set: true}}, // With and without transparency, which are saved in two ways.
	}
	err = c.all(original, specs, func(i int, img variant.Image) { files[string(img.Format)] = img.Body })
	if err != nil {
		return fmt.Errorf("codec.Warm: encode: %w", err)
	}
	small := []variant.Spec{{Format: variant.JPEG, Width: 8}, {Format: variant.WebP, Width: 8, Blur: 1, Sharpen: 1}}
	for name, file := range files {
		if err := c.all(file, small, func(int, variant.Image) {}); err != nil {
			return fmt.Errorf("codec.Warm: decode %s: %w", name, err)
		}
	}
	_, _ = c.readsJXL(), c.writesJXL()
	_ = c.readsHEIC() // Not every distribution may ship a decoder. Versions reports a missing one, and the other formats work.
	if c.draws {
		if err := svg.Open().Warm(); err != nil {
			return fmt.Errorf("codec.Warm: %w", err)
		}
	}
	return warmColour()
}

// readsHEIC tries the HEVC decoder, which is a separate plugin.
func (c *Codec) readsHEIC() error {
	return c.all(specimen.HEIC(), []variant.Spec{{Format: variant.JPEG, Width: 8}}, func(int, variant.Image) {})
}

// readsJXL tries the JPEG XL decoder, which not every libvips has.
func (c *Codec) readsJXL() error {
	return c.all(specimen.JXL(), []variant.Spec{{Format: variant.JPEG, Width: 8}}, func(int, variant.Image) {})
}

// writesJXL tries the JPEG XL encoder, which not every libvips has.
func (c *Codec) writesJXL() error {
	return c.all(specimen.TIFF(), []variant.Spec{{Format: variant.JXL, Width: 8}}, func(int, variant.Image) {})
}

// all makes every spec, or returns the first error.
func (c *Codec) all(original []byte, specs []variant.Spec, f func(i int, img variant.Image)) error {
	var first error
	err := c.Transform(variant.Original{Body: original}, specs, variant.StageFinal, warmLimits, func(i int, img variant.Image, err error) {
		if err != nil && first == nil {
			first = fmt.Errorf("%s: %w", specs[i].Format, err)
		} else if err == nil {
			f(i, img)
		}
	})
	if err != nil {
		return err
	}
	return first
}

// warmPNG returns a small gradient with alpha.
func warmPNG() ([]byte, error) {
	const side = 32
	samples := make([]byte, 0, side*side*4)
	for y := range side {
		for x := range side {
			samples = append(samples, byte(x*8), byte(y*8), byte(x*y/4), byte(255-x))
		}
	}
	im, err := vips.FromPixels(samples, side, side, 4)
	if err != nil {
		return nil, err
	}
	defer im.Free()
	return im.Save(vips.Saving{Format: variant.PNG, Lossless: true})
}

// warmColour converts from CMYK, which loads the colour library's built-in profiles.
func warmColour() error {
	im, err := vips.FromPixels(make([]byte, 16*16*4), 16, 16, 4)
	if err != nil {
		return fmt.Errorf("codec.Warm: %w", err)
	}
	defer im.Free()
	if err = im.MarkCMYK(); err == nil {
		err = im.Srgb(true, false)
	}
	if err == nil {
		err = im.Memory()
	}
	if err != nil {
		return fmt.Errorf("codec.Warm: colours: %w", err)
	}
	return nil
}

// Versions returns the engine, the libraries behind it and the libaom version for which its qualities were fitted, and
// reports missing decoders. A library whose version the process cannot read is left out.
func (c *Codec) Versions() map[string]string {
	v := map[string]string{"engine": c.engine, "bimg": bimgVersion, "libvips": vips.Version, "go": runtime.Version(),
		"quality": "for libaom " + choose.SetFor(vips.AOMVersion()) + ", tune " + map[bool]string{true: "iq", false: "ssim"}[vips.TunesIQ()]}
	if c.readsHEIC() != nil {
		v["heic"] = "no decoder"
	}
	if c.readsJXL() != nil {
		v["jxl"] = "no decoder"
	} else if c.writesJXL() != nil {
		v["jxl"] = "no encoder"
	}
	if !sequence.Supported() {
		v["animated_avif"] = "no encoder"
	}
	if documents, text := svg.Open().Usable(); !documents {
		v["svg"] = "not read: librsvg is not installed"
	} else if !text {
		v["svg"] = "read without text: no font of fonts-dejavu-core is installed"
	}
	maps.Copy(v, vips.VisibleLibraries())
	return v
}
