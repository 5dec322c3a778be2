// Package container reads and writes the structure of picture files without decoding them. It removes everything that
// is not needed to show the pixels, and changes no pixel.
package container

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/goldcrest/goldcrest/sniff"
	"github.com/goldcrest/goldcrest/variant"
)

// ErrMalformed says that a file's structure violates its format.
var ErrMalformed = errors.New("the container is not well-formed")

// Rewrite rewrites a foreign PNG, WebP or GIF so that only what decoders need is left, and each byte of it has one
// place. The pixels do not change. A file with anything unusual is refused. For the output of our own encoders, Strip
// is enough.
//
// Compressed pixels can still contain any message: a picture may show a page of text. But no byte of the result is
// copied from a place that decoders do not read.
func Rewrite(f variant.Format, b []byte) ([]byte, error) {
	var out []byte
	var err error
	switch f {
	case variant.PNG:
		out, err = rewritePNG(b)
	case variant.WebP:
		out, err = rewriteWebP(b)
	case variant.GIF:
		out, err = rewriteGIF(b)
	default:
		err = ErrMalformed
	}
	if err != nil {
		return nil, fmt.Errorf("rewrite %s: %w", f, err)
	}
	return out, nil
}

// Strip removes what is not needed to show a file's pixels: camera data, location, texts, thumbnails, profiles. No
// pixel changes. AVIF and JPEG XL are returned unchanged: our encoders get no metadata to write. Any other format is an
// error.
func Strip(f variant.Format, b []byte) ([]byte, error) {
	var out []byte
	var err error
	switch f {
	case variant.JPEG:
		out, err = stripJPEG(b)
	case variant.PNG:
		out, err = stripPNG(b)
	case variant.WebP:
		out, err = stripWebP(b)
	case variant.GIF:
		out, err = stripGIF(b)
	case variant.AVIF, variant.JXL:
		out = b
	default:
		err = ErrMalformed
	}
	if err != nil {
		return nil, fmt.Errorf("strip %s: %w", f, err)
	}
	return out, nil
}

// stripJPEG keeps the segments that decoding needs. Of the APPn segments these are JFIF (without its thumbnail) and
// Adobe, which decide how the components are read.
func stripJPEG(b []byte) ([]byte, error) {
	if len(b) < 4 || b[0] != 0xff || b[1] != 0xd8 {
		return nil, ErrMalformed
	}
	out := append(make([]byte, 0, len(b)), 0xff, 0xd8)
	for at := 2; ; {
		if at+2 > len(b) || b[at] != 0xff {
			return nil, ErrMalformed
		}
		marker := b[at+1]
		switch {
		case marker == 0xff: // A fill byte.
			at++
			continue
		case marker == 0xd9:
			return append(out, 0xff, 0xd9), nil
		case marker == 0x01 || marker >= 0xd0 && marker <= 0xd7:
			at += 2
			continue
		}
		if at+4 > len(b) {
			return nil, ErrMalformed
		}
		end := at + 2 + int(binary.BigEndian.Uint16(b[at+2:]))
		if end < at+4 || end > len(b) {
			return nil, ErrMalformed
		}
		body := b[at+4 : end]
		switch {
		case marker == 0xe0 && bytes.HasPrefix(body, []byte("JFIF\x00")):
			out = append(out, "\xff\xe0\x00\x10JFIF\x00\x01\x01\x00\x00\x01\x00\x01\x00\x00"...)
		case marker == 0xee && bytes.HasPrefix(body, []byte("Adobe")), marker < 0xe0 || marker > 0xef && marker != 0xfe:
			out = append(out, b[at:end]...)
		}
		at = end
		if marker == 0xda {
			scan := entropyEnd(b, at)
			out = append(out, b[at:scan]...)
			at = scan
		}
	}
}

// entropyEnd is the end of the entropy-coded data that begins at at: the next marker that is neither a stuffed zero nor
// a restart.
func entropyEnd(b []byte, at int) int {
	for at < len(b) {
		i := bytes.IndexByte(b[at:], 0xff)
		if i < 0 || at+i+1 >= len(b) {
			return len(b)
		}
		at += i
		if m := b[at+1]; m != 0 && (m < 0xd0 || m > 0xd7) && m != 0xff {
			return at
		}
		at++
		if b[at] != 0xff {
			at++
		}
	}
	return len(b)
}

// stripPNG keeps the critical chunks, and tRNS, which belongs to the pixels.
func stripPNG(b []byte) ([]byte, error) {
	if !bytes.HasPrefix(b, []byte(PNGSignature)) {
		return nil, ErrMalformed
	}
	out, ended := append(make([]byte, 0, len(b)), PNGSignature...), false
	PNGChunks(b, func(c PNGChunk) bool {
		ended = c.Name == "IEND" && !c.Cut
		if ended || slices.Contains(pngPixelChunks, c.Name) {
			out = append(out, c.Raw...)
		}
		return true
	})
	if !ended {
		return nil, ErrMalformed
	}
	return out, nil
}

// stripWebP keeps the picture's own chunks and clears the flags of removed ones. A file that is then a single simple
// picture needs no extended header.
func stripWebP(b []byte) ([]byte, error) {
	out := append(make([]byte, 0, len(b)), "RIFF\x00\x00\x00\x00WEBP"...)
	extended, chunks := 0, 0 // the end of VP8X in out, and the number of other chunks
	err := webpChunks(b, func(name string, body []byte) error {
		switch name {
		case "VP8X":
			if len(body) < 10 {
				return ErrMalformed
			}
			first := len(out) == 12
			body = bytes.Clone(body)
			body[0] &^= 0x20 | 0x08 | 0x04 // ICC, EXIF, XMP
			if out = AppendRIFF(out, name, body); first && body[0] == 0 {
				extended = len(out)
			}
		case "VP8 ", "VP8L", "ALPH", "ANIM", "ANMF":
			out = AppendRIFF(out, name, body)
			chunks++
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	if extended > 0 && chunks == 1 {
		out = append(out[:12], out[extended:]...)
	}
	binary.LittleEndian.PutUint32(out[4:], uint32(len(out)-8))
	return out, nil
}

// stripGIF drops comments, plain text, and application data except the loop count.
func stripGIF(b []byte) ([]byte, error) {
	if len(b) < 13 || string(b[:3]) != "GIF" {
		return nil, ErrMalformed
	}
	at := 13 + sniff.GIFColours(b[10])
	if at > len(b) {
		return nil, ErrMalformed
	}
	out := append(make([]byte, 0, len(b)), b[:at]...)
	for at < len(b) {
		start := at
		keep := true
		switch b[at] {
		case 0x3b:
			return append(out, 0x3b), nil
		case 0x21:
			if at+3 > len(b) {
				return nil, ErrMalformed
			}
			label := b[at+1]
			body := b[at+3:]
			keep = label == 0xf9 || label == 0xff && (bytes.HasPrefix(body, []byte("NETSCAPE2.0")) || bytes.HasPrefix(body, []byte("ANIMEXTS1.0")))
			at += 2
		case 0x2c:
			if at+11 > len(b) {
				return nil, ErrMalformed
			}
			at += 10 + sniff.GIFColours(b[at+9]) + 1
		default:
			return nil, ErrMalformed
		}
		if at = sniff.GIFBlocksEnd(b, at); at > len(b) {
			return nil, ErrMalformed
		}
		if keep {
			out = append(out, b[start:at]...)
		}
	}
	return nil, ErrMalformed
}
