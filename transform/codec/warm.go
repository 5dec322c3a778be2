package codec

import (
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"maps"
	"runtime"

	"github.com/h2non/bimg"

	"github.com/goldcrest/goldcrest/transform/codec/svg"
	"github.com/goldcrest/goldcrest/variant"
)

// warmHEIC is a black HEIC of 16 x 16 pixels. No encoder for it is needed at run time, so it is kept here.
const warmHEIC = "AAAAHGZ0eXBoZWljAAAAAG1pZjFoZWljbWlhZgAAAa1tZXRhAAAAAAAAACFoZGxyAAAAAAAAAABwaWN0AAAAAAAAAAAAAAAAAAAAAA5waXRtAAAAAAACAAAA" +
	"EGlkYXQAAAAAABAAEAAAADhpbG9jAQAAAERAAAIAAQAAAAAAAAHRAAEAAAAAAAAAKwACAAEAAAAAAAAAAQAAAAAAAAAIAAAAOGlpbmYAAAAAAAIAAAAVaW5mZQIA" +
	"AAEAAQAAaHZjMQAAAAAVaW5mZQIAAAAAAgAAZ3JpZAAAAADYaXBycAAAALZpcGNvAAAAdmh2Y0MBA3AAAAAAAAAAAAAe8AD8/fj4AAAPAyAAAQAYQAEMAf//A3AA" +
	"AAMAkAAAAwAAAwAeugJAIQABACpCAQEDcAAAAwCQAAADAAADAB6gIIEFluqumubgQEDAgAAAAwCAAAADAIQiAAEABkQBwXPBiQAAABRpc3BlAAAAAAAAAEAAAABA" +
	"AAAAFGlzcGUAAAAAAAAAEAAAABAAAAAQcGl4aQAAAAADCAgIAAAAGmlwbWEAAAAAAAAAAgABAoECAAICA4QAAAAaaXJlZgAAAAAAAAAOZGltZwACAAEAAQAAADNt" +
	"ZGF0AAAAJygBrxMhMZb4TlCn//1nhc0MlUxauU+lc90KUJNyfrj+8oeTxWKC4A=="

var warmLimits = Limits{Pixels: 1 << 16, ResultPixels: 1 << 16, AVIFPixels: 1 << 16, Frames: 1}

// Warm uses every encoder and decoder once, so that libraries and plugins are loaded before the process gives up the
// right to open files. It fails when one of them does not work, which some distributions show at the first use only.
func (c *Codec) Warm() error {
	original, err := warmPNG()
	if err != nil {
		return fmt.Errorf("codec.Warm: %w", err)
	}
	files := map[string][]byte{"png": original, "tiff": warmTIFF()}
	specs := []variant.Spec{
		{Format: variant.JPEG}, {Format: variant.PNG, Quality: 80}, {Format: variant.WebP}, {Format: variant.GIF},
		{Format: variant.AVIF}, {Format: variant.AVIF, Background: variant.Color{Set: true}}, // With transparency and without, which are saved in two ways.
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
	_ = c.readsHEIC() // Not every distribution may ship a decoder: Versions says so, and the other formats work.
	if c.draws {
		if err := svg.Open().Warm(); err != nil {
			return fmt.Errorf("codec.Warm: %w", err)
		}
	}
	return warmColour()
}

// readsHEIC tries the HEVC decoder, which is a plugin of its own.
func (c *Codec) readsHEIC() error {
	file, err := base64.StdEncoding.DecodeString(warmHEIC)
	if err != nil {
		return err
	}
	return c.all(file, []variant.Spec{{Format: variant.JPEG, Width: 8}}, func(int, variant.Image) {})
}

// all makes every spec or fails.
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

// warmPNG is a small gradient with alpha.
func warmPNG() ([]byte, error) {
	const side = 32
	samples := make([]byte, 0, side*side*4)
	for y := range side {
		for x := range side {
			samples = append(samples, byte(x*8), byte(y*8), byte(x*y/4), byte(255-x))
		}
	}
	im, err := fromPixels(samples, side, side, 4)
	if err != nil {
		return nil, err
	}
	defer im.free()
	return im.save(settings{lossless: true}.options(variant.PNG))
}

// warmColour converts CMYK, which loads the colour library's own profiles.
func warmColour() error {
	im, err := fromPixels(make([]byte, 16*16*4), 16, 16, 4)
	if err != nil {
		return fmt.Errorf("codec.Warm: %w", err)
	}
	defer im.free()
	if err = im.markCMYK(); err == nil {
		err = im.srgb(true, false)
	}
	if err == nil {
		err = im.memory()
	}
	if err != nil {
		return fmt.Errorf("codec.Warm: colours: %w", err)
	}
	return nil
}

// warmTIFF is an uncompressed grey TIFF of 16 x 16 pixels.
func warmTIFF() []byte {
	const side, pixels = 16, 8
	b := append([]byte("II*\x00"), make([]byte, 4+side*side)...)
	binary.LittleEndian.PutUint32(b[4:], uint32(len(b)))
	entries := [][3]uint32{{256, 4, side}, {257, 4, side}, {258, 3, 8}, {259, 3, 1}, {262, 3, 1}, {273, 4, pixels}, {277, 3, 1}, {278, 4, side}, {279, 4, side * side}}
	b = binary.LittleEndian.AppendUint16(b, uint16(len(entries)))
	for _, e := range entries {
		b = binary.LittleEndian.AppendUint16(b, uint16(e[0]))
		b = binary.LittleEndian.AppendUint16(b, uint16(e[1]))
		b = binary.LittleEndian.AppendUint32(b, 1)
		b = binary.LittleEndian.AppendUint32(b, e[2])
	}
	return binary.LittleEndian.AppendUint32(b, 0)
}

// Versions names the engine, the libraries behind it and the libaom that its qualities were fitted for, and says where
// a HEIC decoder is missing. A library that the process cannot see is left out.
func (c *Codec) Versions() map[string]string {
	v := map[string]string{"engine": c.engine, "bimg": bimg.Version, "libvips": bimg.VipsVersion, "go": runtime.Version(),
		"quality": "for libaom " + SetFor(aomVersion()) + ", tune " + map[bool]string{true: "iq", false: "ssim"}[tunesIQ()]}
	if c.readsHEIC() != nil {
		v["heic"] = "no decoder"
	}
	if documents, text := svg.Open().Usable(); !documents {
		v["svg"] = "not read: librsvg is not installed"
	} else if !text {
		v["svg"] = "read without text: no font of fonts-dejavu-core is installed"
	}
	maps.Copy(v, visibleLibraries())
	return v
}

func visibleLibraries() map[string]string {
	v := map[string]string{}
	for name, version := range map[string]string{"libheif": libraryVersion("heif_get_version", "libheif.so.1"), "libaom": aomVersion()} {
		if version != "" {
			v[name] = version
		}
	}
	return v
}

func aomVersion() string { return libraryVersion("aom_codec_version_str", "libaom.so.3") }
