package credit

import (
	"bytes"
	"compress/zlib"
	"encoding/binary"
	"fmt"

	"github.com/goldcrest/goldcrest/sniff"
	"github.com/goldcrest/goldcrest/transform/codec/container"
	"github.com/goldcrest/goldcrest/variant"
)

// Write adds what is kept to a JPEG, PNG or WebP without metadata. A profile is written into pictures in colour only.
func (k Kept) Write(f variant.Format, body []byte) ([]byte, error) {
	exif := k.exif()
	if k.Profile == nil && exif == nil {
		return body, nil
	}
	info, err := sniff.Inspect(body)
	if err != nil {
		return nil, fmt.Errorf("credit.Write: %w", err)
	}
	profile := k.Profile
	if info.Channels < 3 {
		profile = nil
	}
	var out []byte
	switch f {
	case variant.JPEG:
		out = writeJPEG(body, exif, profile)
	case variant.PNG:
		out = writePNG(body, exif, profile)
	case variant.WebP:
		out = writeWebP(body, exif, profile, info)
	}
	if out == nil {
		return nil, fmt.Errorf("credit.Write: %s: %w", f, container.ErrMalformed)
	}
	return out, nil
}

// maxSegment is the largest content of a JPEG segment, and maxICC that of a segment with a part of a profile.
const (
	maxSegment = 0xffff - 2
	maxICC     = maxSegment - len(iccName) - 2
	iccName    = "ICC_PROFILE\x00"
)

// writeJPEG puts the segments behind JFIF's.
func writeJPEG(b, exif, profile []byte) []byte {
	at := 2
	if len(b) > 6 && b[2] == 0xff && b[3] == 0xe0 {
		at += 2 + int(binary.BigEndian.Uint16(b[4:]))
	}
	if at > len(b) {
		return nil
	}
	out := bytes.Clone(b[:at])
	segment := func(marker byte, parts ...[]byte) {
		content := bytes.Join(parts, nil)
		out = binary.BigEndian.AppendUint16(append(out, 0xff, marker), uint16(len(content)+2))
		out = append(out, content...)
	}
	if exif != nil {
		segment(0xe1, []byte("Exif\x00\x00"), exif)
	}
	n := (len(profile) + maxICC - 1) / maxICC
	for i := range n {
		part := profile[i*maxICC : min((i+1)*maxICC, len(profile))]
		segment(0xe2, []byte(iccName), []byte{byte(i + 1), byte(n)}, part)
	}
	return append(out, b[at:]...)
}

// headPNG is the length of a PNG up to the end of its header chunk.
const headPNG = 8 + 12 + 13

// writePNG puts the chunks behind the header.
func writePNG(b, exif, profile []byte) []byte {
	if len(b) < headPNG {
		return nil
	}
	out := bytes.Clone(b[:headPNG])
	if profile != nil {
		packed := bytes.NewBufferString("icc\x00\x00")
		w := zlib.NewWriter(packed)
		_, err := w.Write(profile)
		if err != nil || w.Close() != nil {
			return nil
		}
		out = container.AppendPNGChunk(out, "iCCP", packed.Bytes())
	}
	if exif != nil {
		out = container.AppendPNGChunk(out, "eXIf", exif)
	}
	return append(out, b[headPNG:]...)
}

// The flags of the header of an extended WebP.
const (
	webpICC   = 0x20
	webpAlpha = 0x10
	webpEXIF  = 0x08
)

// writeWebP puts the profile behind the header, which a simple file gets, and the texts at the end.
func writeWebP(b, exif, profile []byte, info sniff.Info) []byte {
	const riff = 12
	if len(b) < riff+18 {
		return nil
	}
	var header [10]byte
	rest := b[riff:min(info.End, len(b))]
	if string(rest[:4]) == "VP8X" {
		copy(header[:], rest[8:18])
		rest = rest[18:]
	} else {
		if info.Alpha {
			header[0] = webpAlpha
		}
		container.PutUint24(header[4:], info.Width-1)
		container.PutUint24(header[7:], info.Height-1)
	}
	if profile != nil {
		header[0] |= webpICC
	}
	if exif != nil {
		header[0] |= webpEXIF
	}
	out := container.AppendRIFF(bytes.Clone(b[:riff]), "VP8X", header[:])
	if profile != nil {
		out = container.AppendRIFF(out, "ICCP", profile)
	}
	out = append(out, rest...)
	if exif != nil {
		out = container.AppendRIFF(out, "EXIF", exif)
	}
	binary.LittleEndian.PutUint32(out[4:], uint32(len(out)-8))
	return out
}
