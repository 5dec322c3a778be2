package sniff

// pngTail is how many bytes a PNG's last data chunk may lack while all pixels are present: its checksum, that of zlib,
// and the end of the compressed data.
const pngTail = 16

// inspectPNG walks the chunks up to IEND. The decoder verifies checksums.
func inspectPNG(b []byte) (Info, error) {
	const header = 8
	if size, ok := u32(b, header); !ok || size != 13 || len(b) < header+8+13 || string(b[header+4:header+8]) != "IHDR" {
		return Info{}, broken("it does not begin with a size")
	}
	in, err := pngHeader(b[header+8 : header+8+13])
	if err != nil {
		return Info{}, err
	}
	in.End = len(b)
	data := false
	for at := header; ; {
		size, ok := u32(b, at)
		if !ok || size > len(b)-at-12 {
			if at+8 <= len(b) && string(b[at+4:at+8]) == "IDAT" {
				data = size-(len(b)-at-12) <= pngTail
			}
			in.LacksEnd = data
			return in, nil
		}
		body := b[at+8 : at+8+size]
		switch string(b[at+4 : at+8]) {
		case "IDAT":
			data = true
		case "iCCP":
			in.Profile = true
		case "tRNS":
			if !in.Alpha {
				in.Alpha = true
				in.Channels++
			}
		case "acTL":
			in.Frames, _ = u32(body, 0)
		case "eXIf":
			in.Orientation = exifOrientation(body)
		case "IEND":
			in.End, in.Complete = at+12+size, data
			return in, nil
		}
		at += 12 + size
	}
}

func pngHeader(h []byte) (Info, error) {
	width, _ := u32(h, 0)
	height, _ := u32(h, 4)
	in := Info{Width: width, Height: height, Bits: int(h[8]), Progressive: h[12] != 0}
	switch h[9] {
	case 0:
		in.Channels = 1
	case 2:
		in.Channels = 3
	case 3:
		in.Channels, in.Bits = 3, 8
	case 4:
		in.Channels, in.Alpha = 2, true
	case 6:
		in.Channels, in.Alpha = 4, true
	default:
		return Info{}, broken("its colour type is unknown")
	}
	switch in.Bits {
	case 1, 2, 4, 8, 16:
		return in, nil
	}
	return Info{}, broken("its bit depth is unknown")
}
