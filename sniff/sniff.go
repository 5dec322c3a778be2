// Package sniff reads image headers without decoding: format, size, frames, completeness. It is pure.
package sniff

import (
	"encoding/binary"
	"math"

	"github.com/goldcrest/goldcrest/fault"
)

// maxFrames is where counting stops, far above any useful limit.
const maxFrames = 100_000

// maxSide is the largest side in a header: no decoder accepts more, and the product of two sides fits an int64.
const maxSide = math.MaxInt32

// Info is the content of an original's header: what the file declares, not what a decoder found.
type Info struct {
	Format        string // "jpeg", "png", "webp", "gif", "avif", "heic", "tiff", "bmp", "ico", "svg", "pdf" or "jxl"
	Width, Height int    // as stored, before Orientation; for animations the canvas or the larger frame extent
	Orientation   int    // 1..8 as in EXIF; 1 where absent, invalid, or applied by every decoder (AVIF, HEIC)
	Frames        int    // at least 1; counting stops at 100,000
	Channels      int    // stored channels with alpha; a palette counts as the channels of its colours
	Bits          int    // bits per channel as stored
	Alpha         bool   // the picture may have transparent pixels
	Profile       bool   // an ICC profile is embedded
	Primaries     int    // AVIF, HEIC: the code point of ITU-T H.273 for the colour primaries; 0 = unknown
	Transfer      int    // the same for the transfer function
	Premultiplied bool   // AVIF, HEIC: colours are premultiplied by alpha
	Progressive   bool   // progressive JPEG, interlaced PNG or GIF
	CMYK          bool   // four inks; inverted or not
	Scans         int    // JPEG: number of SOS markers
	End           int    // offset after the last byte (JPEG EOI, PNG IEND, RIFF size, ...); the rest is not the picture
	Complete      bool   // false: the file ends before the picture
	// LacksEnd qualifies an incomplete picture: possibly only its end marker is missing, which only a decoder can tell.
	// The JPEG ends in the data of its last scan, the PNG after or just before the end of an IDAT, the GIF in or after
	// its last frame.
	LacksEnd bool
}

// Upright is the size after Orientation.
func (i Info) Upright() (width, height int) {
	if i.Orientation > 4 {
		return i.Height, i.Width
	}
	return i.Width, i.Height
}

// Inspect reads the header of b and walks its container to the end. Work is linear in len(b) and no memory is allocated
// by declared sizes. Faults: not_an_image, unsupported_format, decode_failed (the header is broken).
func Inspect(b []byte) (Info, error) {
	format := Format(b)
	inspect := inspectors[format]
	if inspect == nil {
		return Info{}, refuse(format, len(b))
	}
	in, err := inspect(b)
	if err != nil {
		return Info{}, err
	}
	if in.Width <= 0 || in.Height <= 0 || in.Width > maxSide || in.Height > maxSide {
		return Info{}, broken("its size is impossible")
	}
	in.Format = format
	in.Frames = min(max(in.Frames, 1), maxFrames)
	if in.Orientation < 1 || in.Orientation > 8 {
		in.Orientation = 1
	}
	in.End = min(in.End, len(b))
	return in, nil
}

var inspectors = map[string]func([]byte) (Info, error){
	"jpeg": inspectJPEG,
	"png":  inspectPNG,
	"gif":  inspectGIF,
	"webp": inspectWebP,
	"avif": inspectHEIF,
	"heic": inspectHEIF,
	"tiff": inspectTIFF,
	"bmp":  inspectBMP,
	"ico":  inspectICO,
	"pdf":  inspectPDF,
	"svg":  inspectSVG,
	"jxl":  inspectJXL,
}

// Pixels is width times height of one frame.
func (i Info) Pixels() int64 { return int64(i.Width) * int64(i.Height) }

// DecodedBytes is an upper estimate of the memory for decoding the first frames frames without shrink-on-load. It
// includes the decoder's own buffers and one complete decoded picture (which a rotation or a crop may need), but not
// encoders.
func (i Info) DecodedBytes(frames int) int64 {
	bytes := i.decodedBytes(frames)
	if i.LacksEnd {
		bytes += min(int64(i.End), math.MaxInt64-bytes) // A repaired copy of the file.
	}
	return bytes
}

func (i Info) decodedBytes(frames int) int64 {
	pixels, n := i.Pixels(), int64(min(max(frames, 1), max(i.Frames, 1)))
	channels, sample := int64(max(i.Channels, 1)), sampleBytes(i.Bits)
	switch i.Format {
	case "jpeg":
		perPixel := channels
		if i.Progressive || i.Scans > 1 {
			// Several scans: libjpeg keeps all coefficients, 2 bytes each, of every component (at most one per pixel
			// and channel).
			perPixel += 2 * channels
		}
		return saturate(pixels, perPixel)
	case "png", "ico":
		perPixel := channels * sample
		if i.Progressive {
			perPixel *= 2 // Adam7 needs the complete picture in the decoder, besides the rows that were passed on.
		}
		return saturate(pixels, perPixel)
	case "gif":
		// An RGBA canvas for each frame kept, and the indexes of a frame or an opaque copy. For animations also a
		// canvas to restore, and a still that may be made from it.
		if n == 1 {
			return saturate(pixels, 8)
		}
		return saturate(pixels, 4*(n+2)+1)
	case "webp":
		// An RGBA canvas per frame kept, and one of the decoder's own (the previous canvas, or lossless WebP's pixel
		// buffer).
		return saturate(pixels, 4*(n+1))
	case "avif", "heic", "jxl":
		// The decoder's planes (4:4:4 at worst) and libheif's interleaved copy exist at the same time.
		return saturate(pixels, 2*max(channels, 3)*sample)
	case "tiff":
		// One strip may contain the whole picture, so it can exist both as a strip and as pixels; frames are read as
		// one tall picture.
		return saturate(pixels, channels*sample*(n+1))
	case "svg", "pdf":
		return svgMemory
	}
	return saturate(pixels, 8) // BMP: 4 bytes a pixel, and an opaque copy.
}

// sampleBytes is the memory of one decoded sample: libvips has no type below a byte.
func sampleBytes(bits int) int64 {
	switch {
	case bits <= 8:
		return 1
	case bits <= 16:
		return 2
	case bits <= 32:
		return 4
	}
	return 8
}

func saturate(pixels, perPixel int64) int64 {
	if perPixel > 0 && pixels > math.MaxInt64/perPixel {
		return math.MaxInt64
	}
	return pixels * perPixel
}

func broken(why string) error {
	return fault.New(fault.DecodeFailed, "sniff.Inspect", "the picture's header is broken: "+why, nil)
}

func unsupported(what string) error {
	return fault.New(fault.UnsupportedFormat, "sniff.Inspect", what+" is not supported", nil)
}

// u16, u32 and u64 read big-endian numbers at offset i; ok is false past the end of b.
func u16(b []byte, i int) (v int, ok bool) {
	if i < 0 || i > len(b)-2 {
		return 0, false
	}
	return int(binary.BigEndian.Uint16(b[i:])), true
}

func u32(b []byte, i int) (v int, ok bool) {
	if i < 0 || i > len(b)-4 {
		return 0, false
	}
	return int(binary.BigEndian.Uint32(b[i:])), true
}

func u64(b []byte, i int) (v uint64, ok bool) {
	if i < 0 || i > len(b)-8 {
		return 0, false
	}
	return binary.BigEndian.Uint64(b[i:]), true
}
