package sniff

import (
	"bytes"
	"encoding/binary"
	"math"
	"os"
	"strings"
	"testing"

	"github.com/goldcrest/goldcrest/fault"
)

func TestFormatsAndSizesOfSeeds(t *testing.T) {
	for format, b := range seeds(t) {
		in, err := Inspect(b)
		if err != nil || in.Format != format || in.Width != 7 || in.Height != 6 || !in.Complete || in.End != len(b) {
			t.Errorf("%s: %+v, %v of %d bytes", format, in, err, len(b))
		}
		// Whatever follows the picture is not looked at; TIFF knows no end.
		tail, err := Inspect(append(b[:len(b):len(b)], "\x00\x01<script>"...))
		if err != nil || !tail.Complete || format != "tiff" && tail.End != len(b) {
			t.Errorf("%s with a tail: %+v, %v", format, tail, err)
		}
	}
}

// TestTruncatedPicturesAreIncomplete ensures that no beginning of a picture counts as whole.
func TestTruncatedPicturesAreIncomplete(t *testing.T) {
	for format, b := range seeds(t) {
		for n := range len(b) {
			in, err := Inspect(b[:n])
			if err != nil && fault.KindOf(err) == fault.Internal {
				t.Errorf("%s cut at %d: %v", format, n, err)
			}
			if err == nil && in.Complete && !(format == "tiff" && n >= len(b)-4) { // The last link may be missing.
				t.Errorf("%s cut at %d of %d counts as complete", format, n, len(b))
			}
			if err == nil && in.LacksEnd && format != "jpeg" && format != "png" && format != "gif" {
				t.Errorf("%s cut at %d lacks its end alone", format, n)
			}
		}
	}
}

func TestLacksEOI(t *testing.T) {
	b := jpegSeed(t)
	tests := map[int]bool{2: true, 1: true, 10: true, len(b) - 100: false}
	for cut, want := range tests {
		in, err := Inspect(b[:len(b)-cut])
		if err == nil && in.LacksEnd != want || err != nil && want {
			t.Errorf("%d bytes cut: %+v, %v, want %v", cut, in, err, want)
		}
	}
	dir, rows := manifest("photos")
	if rows == nil {
		t.Skip("the corpus is absent")
	}
	b, err := os.ReadFile(dir + "/faces-progressive.jpg")
	if err != nil {
		t.Fatal(err)
	}
	for percent, want := range map[int]bool{20: false, 50: false, 99: true} { // A progressive picture needs its last scan.
		in, err := Inspect(b[:len(b)*percent/100])
		if err != nil || in.LacksEnd != want || in.Complete {
			t.Errorf("%d %%: %+v, %v, want %v", percent, in, err, want)
		}
	}
}

func TestRefused(t *testing.T) {
	tests := []struct {
		name, data, format string
		want               fault.Kind
	}{
		{"empty", "", "", fault.NotAnImage},
		{"zeros", strings.Repeat("\x00", 5000), "", fault.NotAnImage},
		{"html", "\xef\xbb\xbf \n<!DOCTYPE HTML><svg>", "html", fault.NotAnImage},
		{"late html", "<!-- x --><html>", "html", fault.NotAnImage},
		{"svg", "<?xml version='1.0'?><!-- c --><SVG>", "svg", fault.NotAnImage},
		{"xml", "<?xml version='1.0'?><Error/>", "xml", fault.NotAnImage},
		{"json", " {\"a\":1}", "json", fault.NotAnImage},
		{"text", "Not found", "text", fault.NotAnImage},
		{"mvg", "push graphic-context\nviewbox 0 0 1 1", "text", fault.NotAnImage},
		{"bmp as text", "BMW is a car maker, and this is a text", "text", fault.NotAnImage},
		{"pdf", "%PDF-1.7", "pdf", fault.NotAnImage},
		{"gzip", "\x1f\x8b\x08\x00", "gzip", fault.NotAnImage},
		{"zip", "PK\x03\x04", "zip", fault.NotAnImage},
		{"eps", "%!PS-Adobe", "postscript", fault.UnsupportedFormat},
		{"mp4", "\x00\x00\x00\x10ftypisom\x00\x00\x00\x00", "video", fault.NotAnImage},
		{"avi", "RIFF\x00\x00\x00\x00AVI ", "video", fault.NotAnImage},
		{"riff", "RIFF", "", fault.NotAnImage},
		{"jxl", "\xff\x0a\x00", "jxl", fault.DecodeFailed},
		{"ico magic", "\x00\x00\x01\x00\x01", "ico", fault.DecodeFailed},
		{"bigtiff", "II+\x00\x08\x00\x00\x00", "bigtiff", fault.UnsupportedFormat},
		{"jpeg magic", "\xff\xd8\xff\xe0", "jpeg", fault.DecodeFailed},
		{"png magic", "\x89PNG\r\n\x1a\n", "png", fault.DecodeFailed},
		{"gif magic", "GIF89a", "gif", fault.DecodeFailed},
		{"webp magic", "RIFF\x04\x00\x00\x00WEBP", "webp", fault.DecodeFailed},
		{"avif magic", "\x00\x00\x00\x10ftypavif\x00\x00\x00\x00", "avif", fault.DecodeFailed},
		{"tiff magic", "II*\x00", "tiff", fault.DecodeFailed},
		{"lossless jpeg", "\xff\xd8\xff\xc3\x00\x0b\x08\x00\x01\x00\x01\x01\x01\x11\x00", "jpeg", fault.UnsupportedFormat},
		{"12-bit jpeg", "\xff\xd8\xff\xc1\x00\x0b\x0c\x00\x01\x00\x01\x01\x01\x11\x00", "jpeg", fault.UnsupportedFormat},
		{"jpeg of no height", "\xff\xd8\xff\xc0\x00\x0b\x08\x00\x00\x00\x01\x01\x01\x11\x00", "jpeg", fault.DecodeFailed},
		{"gif of no size", "GIF89a\x00\x00\x00\x00\x00\x00\x00\x3b", "gif", fault.DecodeFailed},
	}
	for _, tt := range tests {
		if got := Format([]byte(tt.data)); got != tt.format {
			t.Errorf("%s: format = %q, want %q", tt.name, got, tt.format)
		}
		if _, err := Inspect([]byte(tt.data)); fault.KindOf(err) != tt.want {
			t.Errorf("%s: error = %v, want %s", tt.name, err, tt.want)
		}
	}
}

// exif is an EXIF block with one orientation entry of the given type and count.
func exif(order binary.AppendByteOrder, kind, count int, value uint16) string {
	b := []byte("II*\x00")
	if order == binary.AppendByteOrder(binary.BigEndian) {
		b = []byte("MM\x00*")
	}
	b = order.AppendUint32(b, 8)
	b = order.AppendUint16(b, 1)
	b = order.AppendUint16(b, tagOrientation)
	b = order.AppendUint16(b, uint16(kind))
	b = order.AppendUint32(b, uint32(count))
	b = order.AppendUint16(b, value)
	return string(order.AppendUint16(b, 0))
}

func TestOrientation(t *testing.T) {
	le, be := binary.LittleEndian, binary.BigEndian
	tests := []struct {
		name, block string
		want        int
	}{
		{"little endian", exif(le, 3, 1, 6), 6},
		{"big endian", exif(be, 3, 1, 8), 8},
		{"without the next link", exif(be, 3, 1, 3), 3},
		{"absurd count", exif(le, 3, 1<<31-1, 5), 5},
		{"no count", exif(le, 3, 0, 7), 7},
		{"as a long", exif(le, 4, 1, 2), 2},
		{"as text", exif(le, 2, 1, 6), 1},
		{"zero", exif(le, 3, 1, 0), 1},
		{"nine", exif(le, 3, 1, 9), 1},
		{"65535", exif(le, 3, 1, 65535), 1},
		{"cut", exif(le, 3, 1, 6)[:20], 1},
		{"directory outside", "II*\x00\xff\xff\xff\xff\x01\x00", 1},
		{"more entries than there are", strings.Replace(exif(le, 3, 1, 6), "\x01\x00", "\xff\xff", 1), 6},
		{"nonsense", "Hello, world", 1},
		{"empty", "", 1},
	}
	b := jpegSeed(t)
	for _, tt := range tests {
		body := "Exif\x00\x00" + tt.block
		app1 := "\xff\xe1" + string(be.AppendUint16(nil, uint16(2+len(body)))) + body
		later := "\xff\xe1\x00\x2a" + ("Exif\x00\x00" + exif(be, 3, 1, 4) + strings.Repeat("\x00", 40))[:40]
		in, err := Inspect(append([]byte("\xff\xd8"+app1+later), b[2:]...))
		if err != nil || in.Orientation != tt.want || !in.Complete {
			t.Errorf("jpeg, %s: %+v, %v, want orientation %d", tt.name, in, err, tt.want)
		}
		webp := riff("VP8X\x0a\x00\x00\x00\x08\x00\x00\x00\x06\x00\x00\x05\x00\x00", chunk("VP8L", "\x2f\x06\x40\x01\x10\x00"), chunk("EXIF", tt.block))
		if in, err = Inspect(webp); err != nil || in.Orientation != tt.want || !in.Complete {
			t.Errorf("webp, %s: %+v, %v, want orientation %d", tt.name, in, err, tt.want)
		}
	}
}

func TestJPEGWalk(t *testing.T) {
	b := jpegSeed(t)
	sos := bytes.Index(b, []byte("\xff\xda"))
	insert := func(at int, text string) []byte {
		return append(append(bytes.Clone(b[:at]), text...), b[at:]...)
	}
	tests := []struct {
		name string
		b    []byte
		ok   func(Info) bool
	}{
		{"fill bytes", insert(sos, "\xff\xff\xff"), func(i Info) bool { return i.Complete && i.Scans == 1 }},
		{"garbage between segments", insert(sos, "garbage\xff\x00"), func(i Info) bool { return i.Complete && i.Scans == 1 }},
		{"restart and stuffing in the scan", insert(len(b)-2, "\xff\xd0\xff\x00\xff\xd7"), func(i Info) bool { return i.Complete && i.Scans == 1 }},
		{"profile", insert(2, "\xff\xe2\x00\x10ICC_PROFILE\x00\x01\x01"), func(i Info) bool { return i.Profile }},
		{"segment beyond the end", insert(len(b)-2, "\xff\xe2\xff\xff"), func(i Info) bool { return !i.Complete && !i.LacksEnd }},
		{"picture in the EXIF", insert(2, "\xff\xe1\x00\x08\xff\xd8\xff\xd9\xff\xd9"), func(i Info) bool { return i.Complete && i.End == len(b)+10 }},
	}
	for _, tt := range tests {
		in, err := Inspect(tt.b)
		if err != nil || !tt.ok(in) {
			t.Errorf("%s: %+v, %v", tt.name, in, err)
		}
	}
	if _, err := Inspect(insert(sos, "\xff\xc0\x00\x0b\x08\x00\x01\x00\x01\x01\x01\x11\x00")); fault.KindOf(err) != fault.DecodeFailed {
		t.Errorf("two frames: %v", err)
	}
}

func TestDecodedBytes(t *testing.T) {
	tests := []struct {
		name   string
		in     Info
		frames int
		want   int64
	}{
		{"baseline", Info{Format: "jpeg", Width: 100, Height: 10, Channels: 3, Bits: 8, Frames: 1, Scans: 1}, 1, 3000},
		{"progressive", Info{Format: "jpeg", Width: 100, Height: 10, Channels: 3, Bits: 8, Frames: 1, Progressive: true}, 1, 9000},
		{"several scans", Info{Format: "jpeg", Width: 100, Height: 10, Channels: 3, Bits: 8, Frames: 1, Scans: 3}, 1, 9000},
		{"png 16", Info{Format: "png", Width: 100, Height: 10, Channels: 4, Bits: 16, Frames: 1}, 1, 8000},
		{"png adam7", Info{Format: "png", Width: 100, Height: 10, Channels: 4, Bits: 16, Frames: 1, Progressive: true}, 1, 16000},
		{"png of one bit", Info{Format: "png", Width: 100, Height: 10, Channels: 1, Bits: 1, Frames: 9}, 9, 1000},
		{"gif", Info{Format: "gif", Width: 100, Height: 10, Frames: 9}, 2, 17000},
		{"still of a gif", Info{Format: "gif", Width: 100, Height: 10, Frames: 9}, 1, 8000},
		{"without its end", Info{Format: "gif", Width: 100, Height: 10, Frames: 9, LacksEnd: true, End: 70}, 1, 8070},
		{"webp, more frames asked than there are", Info{Format: "webp", Width: 100, Height: 10, Frames: 2}, 9, 12000},
		{"avif of ten bits", Info{Format: "avif", Width: 100, Height: 10, Channels: 3, Bits: 10, Frames: 1}, 1, 12000},
		{"tiff", Info{Format: "tiff", Width: 100, Height: 10, Channels: 1, Bits: 1, Frames: 1}, 1, 2000},
		{"no frames", Info{Format: "gif", Width: 100, Height: 10}, 0, 8000},
		{"beyond int64", Info{Format: "avif", Width: maxSide, Height: maxSide, Channels: 3, Bits: 8, Frames: 1}, 1, math.MaxInt64},
	}
	for _, tt := range tests {
		if got := tt.in.DecodedBytes(tt.frames); got != tt.want {
			t.Errorf("%s: %d, want %d", tt.name, got, tt.want)
		}
	}
}

// A BMP whose pixels are said to begin within its header is not whole, and what follows a header of 16 bytes is not
// part of it.
func TestBMPHeaders(t *testing.T) {
	bmp := func(header, offset, stored uint32, compression byte, length int) []byte {
		b := make([]byte, length)
		copy(b, "BM")
		binary.LittleEndian.PutUint32(b[10:], offset)
		binary.LittleEndian.PutUint32(b[14:], header)
		binary.LittleEndian.PutUint32(b[18:], 2)
		binary.LittleEndian.PutUint32(b[22:], 1)
		b[26], b[28], b[30] = 1, 24, compression
		binary.LittleEndian.PutUint32(b[34:], stored)
		return b
	}
	for _, tt := range []struct {
		what     string
		b        []byte
		complete bool
		end      int
	}{
		{"pixels behind the header", bmp(40, 54, 4, 1, 70), true, 58},
		{"pixels within the header", bmp(40, 30, 6, 1, 70), false, 36},
		{"a header of 16 bytes", bmp(16, 30, 99, 1, 40), true, 38},
	} {
		in, err := Inspect(tt.b)
		if err != nil || in.Complete != tt.complete || in.End != tt.end {
			t.Errorf("%s: got %+v %v, want complete %v, end %d", tt.what, in, err, tt.complete, tt.end)
		}
	}
}
