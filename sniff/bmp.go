package sniff

import "encoding/binary"

// isBMP checks more than the two letters, with which many texts begin: the header size must be a known one.
func isBMP(b []byte) bool {
	if len(b) < 26 || b[0] != 'B' || b[1] != 'M' {
		return false
	}
	switch binary.LittleEndian.Uint32(b[14:]) {
	case 12, 16, 40, 52, 56, 64, 108, 124:
		return true
	}
	return false
}

func inspectBMP(b []byte) (Info, error) {
	in := Info{Channels: 3, Bits: 8}
	offset, header := int64(binary.LittleEndian.Uint32(b[10:])), binary.LittleEndian.Uint32(b[14:])
	head := 14 + int64(header) // bytes before the palette and the pixels
	if int64(len(b)) < min(head, 38) {
		return Info{}, broken("it ends before its size")
	}
	var depth, compression, stored int64
	if header == 12 {
		in.Width, in.Height, depth = le16(b, 18), le16(b, 20), int64(le16(b, 24))
	} else {
		in.Width = int(int32(binary.LittleEndian.Uint32(b[18:])))
		in.Height = int(int32(binary.LittleEndian.Uint32(b[22:])))
		depth = int64(le16(b, 28))
	}
	if header > 16 {
		compression, stored = int64(binary.LittleEndian.Uint32(b[30:])), int64(binary.LittleEndian.Uint32(b[34:]))
	}
	if in.Height < 0 {
		in.Height = -in.Height // Rows from top to bottom.
	}
	switch depth {
	case 1, 4, 8, 24:
	case 16, 32:
		if alpha(b, header, compression) {
			in.Channels, in.Alpha = 4, true
		}
	default:
		return Info{}, broken("its bit depth is unknown")
	}
	if in.Width <= 0 || in.Height > maxSide {
		return Info{}, broken("its size is impossible")
	}
	if compression == 0 || compression == 3 || compression == 6 {
		stored = (int64(in.Width)*depth + 31) / 32 * 4 * int64(in.Height)
	}
	if offset == 0 { // The pixels follow at once.
		offset = head + afterHeader(b, header, depth, compression)
	}
	end := offset + stored
	if stored == 0 { // Some writers leave the size of compressed pixels out.
		end = int64(len(b))
	}
	in.Complete = offset >= head && end <= int64(len(b)) && end > offset
	in.End = int(min(end, int64(len(b))))
	return in, nil
}

// alpha reports whether the header has an alpha mask. Only headers of 56 bytes and more have one, except that of OS/2.
func alpha(b []byte, header uint32, compression int64) bool {
	has := compression == 6 || header >= 56 && header != 64
	return has && len(b) >= 70 && binary.LittleEndian.Uint32(b[66:]) != 0
}

// afterHeader is the size of the masks after a header of 40 bytes, and of the palette.
func afterHeader(b []byte, header uint32, depth, compression int64) int64 {
	n := int64(0)
	if header == 40 {
		n = map[int64]int64{3: 12, 6: 16}[compression]
	}
	if depth > 8 {
		return n
	}
	colours, entry := int64(1)<<depth, int64(4)
	if header == 12 {
		entry = 3
	}
	if header >= 40 && len(b) >= 50 {
		if used := int64(binary.LittleEndian.Uint32(b[46:])); used > 0 {
			colours = min(used, 256)
		}
	}
	return n + colours*entry
}
