package sniff

import "encoding/binary"

// inspectGIF walks the blocks up to the trailer. The size is the larger of canvas and frame extents, since decoders
// differ in which of them they allocate. If the trailer is missing after a frame, the end may be all that is missing.
func inspectGIF(b []byte) (Info, error) {
	if len(b) < 13 {
		return Info{}, broken("it ends before its size")
	}
	in := Info{Channels: 3, Bits: 8, End: len(b)}
	in.Width, in.Height = le16(b, 6), le16(b, 8)
	at := 13 + GIFColours(b[10])
	announced := false // a block has announced a frame that has not come yet
	for at < len(b) {
		in.LacksEnd = in.Frames > 0 && !announced
		switch b[at] {
		case 0x3b:
			in.End, in.Complete, in.LacksEnd = at+1, in.Frames > 0, false
			return in, nil
		case 0x21:
			announced = announced || at+1 < len(b) && b[at+1] == 0xf9
			if at+8 <= len(b) && b[at+1] == 0xf9 && b[at+3]&1 != 0 && !in.Alpha {
				in.Alpha, in.Channels = true, 4
			}
			at = GIFBlocksEnd(b, at+2)
		case 0x2c:
			if at+10 > len(b) {
				in.LacksEnd = false
				return in, nil
			}
			in.Frames++
			announced = false
			in.Width = max(in.Width, le16(b, at+1)+le16(b, at+5))
			in.Height = max(in.Height, le16(b, at+3)+le16(b, at+7))
			in.Progressive = in.Progressive || b[at+9]&0x40 != 0
			at = GIFBlocksEnd(b, at+10+GIFColours(b[at+9])+1)
		case 0x00:
			at++ // a stray terminator; common, and harmless to decoders
		default:
			return in, nil
		}
	}
	in.LacksEnd = in.Frames > 0 && !announced
	return in, nil
}

// GIFColours is the size in bytes of the colour table that the packed field of a screen or frame declares.
func GIFColours(packed byte) int {
	if packed&0x80 == 0 {
		return 0
	}
	return 3 << (packed&7 + 1)
}

// GIFBlocksEnd returns the offset after the chain of sub-blocks at at; more than len(b) if the chain is truncated.
func GIFBlocksEnd(b []byte, at int) int {
	for at < len(b) && b[at] != 0 {
		at += 1 + int(b[at])
	}
	return at + 1
}

// le16 reads a little-endian number; the caller has checked the bounds.
func le16(b []byte, at int) int { return int(binary.LittleEndian.Uint16(b[at:])) }
