package sniff

import (
	"bytes"
	"encoding/binary"
	"slices"

	"github.com/goldcrest/goldcrest/fault"
)

// maxIcons bounds the entries of an icon that are looked at: real ones have a dozen.
const maxIcons = 64

// Icon is one picture of an icon file.
type Icon struct {
	Body          []byte // a PNG, or a BMP without its file header and with a mask behind its pixels
	PNG           bool
	Width, Height int
	depth         int
}

// LargestIcon finds the picture of an icon file with the most pixels, and of those the one with the most bits for each.
// Sizes are those of the pictures themselves: an entry's own are often wrong. ok is false if no picture is whole.
func LargestIcon(b []byte) (largest Icon, ok bool) {
	if len(b) < 6 {
		return Icon{}, false
	}
	for i := range min(int(binary.LittleEndian.Uint16(b[4:])), maxIcons) {
		entry := 6 + 16*i
		if entry+16 > len(b) {
			break
		}
		size, at := int64(binary.LittleEndian.Uint32(b[entry+8:])), int64(binary.LittleEndian.Uint32(b[entry+12:]))
		if at > int64(len(b)) || size > int64(len(b))-at {
			continue
		}
		one, whole := readIcon(b[at : at+size])
		more := one.Width*one.Height - largest.Width*largest.Height
		if whole && (more > 0 || more == 0 && one.depth > largest.depth) {
			largest, ok = one, true
		}
	}
	return largest, ok
}

// readIcon reads the header of one picture.
func readIcon(b []byte) (icon Icon, ok bool) {
	if !bytes.HasPrefix(b, []byte("\x89PNG\r\n\x1a\n")) {
		return readIconBMP(b)
	}
	in, err := inspectPNG(b)
	ok = err == nil && in.Complete && in.Width > 0 && in.Height > 0 && in.Width <= maxSide && in.Height <= maxSide
	return Icon{Body: b, PNG: true, Width: in.Width, Height: in.Height, depth: in.Bits * in.Channels}, ok
}

// readIconBMP reads a BMP that is not compressed and has a header of 40 bytes.
func readIconBMP(b []byte) (icon Icon, ok bool) {
	const header, most = 40, 1 << 14
	if len(b) < header || binary.LittleEndian.Uint32(b) != header || binary.LittleEndian.Uint32(b[16:]) != 0 {
		return Icon{}, false
	}
	side := func(at int) int { return int(int32(binary.LittleEndian.Uint32(b[at:]))) }
	// The height counts the mask as well.
	icon = Icon{Body: b, Width: side(4), Height: side(8) / 2, depth: int(binary.LittleEndian.Uint16(b[14:]))}
	if !slices.Contains([]int{1, 4, 8, 24, 32}, icon.depth) ||
		min(icon.Width, icon.Height) < 1 || max(icon.Width, icon.Height) > most {
		return Icon{}, false
	}
	colours := 0
	if icon.depth <= 8 {
		colours = 1 << icon.depth
		if used := int(min(binary.LittleEndian.Uint32(b[32:]), 256)); used > 0 {
			colours = used
		}
	}
	stride := (icon.Width*icon.depth + 31) / 32 * 4
	return icon, len(b) >= header+4*colours+stride*icon.Height
}

func inspectICO(b []byte) (Info, error) {
	icon, ok := LargestIcon(b)
	if !ok {
		return Info{}, fault.New(fault.DecodeFailed, "sniff.Inspect", "the icon has no complete picture", nil)
	}
	in := Info{Width: icon.Width, Height: icon.Height, Channels: 4, Alpha: true, End: len(b), Complete: true}
	in.Bits, in.Progressive = 16, true // At most: a PNG, which needs more memory than a BMP does.
	return in, nil
}
