package sniff

import "encoding/binary"

// inspectWebP walks the RIFF chunks up to the end of the RIFF size or of the file.
func inspectWebP(b []byte) (Info, error) {
	if len(b) < 20 {
		return Info{}, broken("it ends before its first chunk")
	}
	in := Info{Channels: 3, Bits: 8}
	size := int(binary.LittleEndian.Uint32(b[4:])) + 8
	in.Complete = size <= len(b)
	in.End = min(size, len(b))
	b = b[:in.End]
	still := false
	for at := 12; at+8 <= len(b); {
		length := int(binary.LittleEndian.Uint32(b[at+4:]))
		body := b[at+8 : at+8+min(length, len(b)-at-8)]
		if len(body) < length {
			in.Complete = false
		}
		if picture, err := in.webpChunk(string(b[at:at+4]), body); err != nil {
			return Info{}, err
		} else if picture {
			still = true
		}
		at += 8 + length + length&1
	}
	if in.Width == 0 {
		return Info{}, broken("it has no frame header")
	}
	in.Complete = in.Complete && (still || in.Frames > 0)
	if in.Alpha {
		in.Channels = 4
	}
	return in, nil
}

// webpChunk records one chunk; picture reports that it contains a still picture's data.
func (i *Info) webpChunk(name string, body []byte) (picture bool, err error) {
	switch name {
	case "VP8X":
		if len(body) < 10 {
			return false, broken("its extended header is too short")
		}
		i.grow(le24(body[4:])+1, le24(body[7:])+1)
		i.Alpha = i.Alpha || body[0]&0x10 != 0
	case "ANMF":
		if len(body) < 16 {
			return false, nil // The file ends inside: incomplete.
		}
		i.Frames++
		i.grow(2*le24(body)+le24(body[6:])+1, 2*le24(body[3:])+le24(body[9:])+1)
	case "VP8 ":
		if len(body) < 10 || body[0]&1 != 0 || string(body[3:6]) != "\x9d\x01\x2a" {
			return false, broken("its frame is not a key frame")
		}
		i.grow(le16(body, 6)&0x3fff, le16(body, 8)&0x3fff)
		return true, nil
	case "VP8L":
		if len(body) < 5 || body[0] != 0x2f {
			return false, broken("its lossless header is wrong")
		}
		bits := binary.LittleEndian.Uint32(body[1:])
		i.grow(int(bits&0x3fff)+1, int(bits>>14&0x3fff)+1)
		i.Alpha = i.Alpha || bits>>28&1 != 0
		return true, nil
	case "ALPH":
		i.Alpha = true
	case "ICCP":
		i.Profile = true
	case "EXIF":
		if len(body) > 6 && string(body[:6]) == "Exif\x00\x00" {
			body = body[6:]
		}
		i.Orientation = exifOrientation(body)
	}
	return false, nil
}

// grow widens the size to hold a frame of this extent.
func (i *Info) grow(width, height int) {
	i.Width, i.Height = max(i.Width, width), max(i.Height, height)
}

func le24(b []byte) int { return int(b[0]) | int(b[1])<<8 | int(b[2])<<16 }
