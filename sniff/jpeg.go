package sniff

import (
	"bytes"
	"slices"
)

// jpegWalk is the state of one walk over a JPEG's markers.
type jpegWalk struct {
	info       Info
	exif       bool
	components []byte // ids of the frame's components
	covered    [256]uint64
}

// inspectJPEG walks the markers up to EOI. Entropy-coded data is skipped, not decoded; bytes between segments are
// skipped, as in libjpeg.
func inspectJPEG(b []byte) (Info, error) {
	w := jpegWalk{}
	at := 2
	inScan := false
	for {
		marker, next := nextMarker(b, at)
		if marker < 0 {
			break
		}
		at = next
		if marker == 0xd9 { // EOI
			w.info.End = at
			w.info.Complete = w.info.Scans > 0
			break
		}
		if marker == 0x01 || marker == 0xd8 || (marker >= 0xd0 && marker <= 0xd7) {
			continue // Markers without a segment.
		}
		inScan = false
		size, ok := u16(b, at)
		if !ok || at+size > len(b) {
			break
		}
		if size < 2 {
			return Info{}, broken("a segment is shorter than its length field")
		}
		if err := w.segment(marker, b[at+2:at+size]); err != nil {
			return Info{}, err
		}
		at += size
		inScan = marker == 0xda
	}
	if w.info.Width == 0 {
		return Info{}, broken("it has no frame header")
	}
	if !w.info.Complete {
		w.info.End = len(b)
		w.info.LacksEnd = inScan && w.allCovered()
	}
	return w.info, nil
}

// nextMarker finds the next marker from at on and the offset after it; -1 at the end of b. It skips stuffed zeros and
// restart markers inside entropy-coded data, and every byte that is not a marker.
func nextMarker(b []byte, at int) (marker, next int) {
	for at < len(b) {
		i := bytes.IndexByte(b[at:], 0xff)
		if i < 0 {
			return -1, len(b)
		}
		at += i + 1
		for at < len(b) && b[at] == 0xff {
			at++ // Fill bytes.
		}
		if at < len(b) && b[at] != 0 && (b[at] < 0xd0 || b[at] > 0xd7) {
			return int(b[at]), at + 1
		}
	}
	return -1, len(b)
}

func (w *jpegWalk) segment(marker int, data []byte) error {
	switch {
	case marker == 0xda:
		w.scan(data)
	case marker == 0xe1 && !w.exif && bytes.HasPrefix(data, []byte("Exif")):
		w.exif = true // The first block counts, as in libvips.
		if len(data) > 6 {
			w.info.Orientation = exifOrientation(data[6:])
		}
	case marker == 0xe2 && bytes.HasPrefix(data, []byte("ICC_PROFILE\x00")):
		w.info.Profile = true
	case marker >= 0xc0 && marker <= 0xcf && marker != 0xc4 && marker != 0xc8 && marker != 0xcc:
		return w.frame(marker, data)
	}
	return nil
}

// frame reads a frame header. Only the processes that libjpeg decodes are accepted: sequential and progressive, Huffman
// or arithmetic.
func (w *jpegWalk) frame(marker int, data []byte) error {
	if w.info.Width != 0 {
		return broken("it has two frame headers")
	}
	if marker > 0xc2 && marker != 0xc9 && marker != 0xca {
		return unsupported("lossless or hierarchical JPEG")
	}
	if len(data) < 6 || len(data) < 6+3*int(data[5]) || data[5] == 0 {
		return broken("its frame header is too short")
	}
	if data[0] != 8 {
		return unsupported("JPEG with other than 8 bits a sample")
	}
	height, _ := u16(data, 1)
	width, _ := u16(data, 3)
	if width == 0 || height == 0 {
		return broken("its size is zero")
	}
	w.info.Width, w.info.Height = width, height
	w.info.Bits, w.info.Channels = int(data[0]), int(data[5])
	w.info.CMYK = data[5] == 4
	w.info.Progressive = marker == 0xc2 || marker == 0xca
	for i := range int(data[5]) {
		w.components = append(w.components, data[6+3*i])
	}
	return nil
}

// scan counts a scan and records which coefficients of which components it completes.
func (w *jpegWalk) scan(data []byte) {
	w.info.Scans++
	if len(data) < 1 || len(data) < 4+2*int(data[0]) {
		return
	}
	n := int(data[0])
	first, last, low := data[1+2*n], data[2+2*n], data[3+2*n]&0x0f
	bits := ^uint64(0)
	if w.info.Progressive {
		if low != 0 || first > last || last > 63 {
			return
		}
		bits = (^uint64(0) << first) & (^uint64(0) >> (63 - last))
	}
	for i := range n {
		w.covered[data[1+2*i]] |= bits
	}
}

func (w *jpegWalk) allCovered() bool {
	return !slices.ContainsFunc(w.components, func(id byte) bool { return w.covered[id] != ^uint64(0) })
}
