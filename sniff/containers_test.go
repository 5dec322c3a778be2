package sniff

import (
	"bytes"
	"encoding/binary"
	"strings"
	"testing"
)

// pngWith is the PNG seed with a chunk after its header.
func pngWith(t *testing.T, name, body string) []byte {
	t.Helper()
	b := pngSeed(t)
	size := binary.BigEndian.AppendUint32(nil, uint32(len(body)))
	chunk := string(size) + name + body + "\x00\x00\x00\x00"
	return append(append(bytes.Clone(b[:33]), chunk...), b[33:]...)
}

func TestPNG(t *testing.T) {
	tests := []struct {
		name string
		b    []byte
		ok   func(Info) bool
	}{
		{"profile", pngWith(t, "iCCP", "x"), func(i Info) bool { return i.Profile && i.Complete }},
		{"animation", pngWith(t, "acTL", "\x00\x00\x00\x05\x00\x00\x00\x00"), func(i Info) bool { return i.Frames == 5 }},
		{"absurd animation", pngWith(t, "acTL", "\xff\xff\xff\xff"), func(i Info) bool { return i.Frames == maxFrames }},
		{"orientation", pngWith(t, "eXIf", exif(binary.BigEndian, 3, 1, 6)), func(i Info) bool { return i.Orientation == 6 }},
		{"end before the data", pngWith(t, "IEND", ""), func(i Info) bool { return !i.Complete }},
	}
	for _, tt := range tests {
		in, err := Inspect(tt.b)
		if err != nil || !tt.ok(in) {
			t.Errorf("%s: %+v, %v", tt.name, in, err)
		}
	}
	huge := pngWith(t, "zTXt", "x")
	copy(huge[33:], "\xff\xff\xff\xff")
	if in, err := Inspect(huge); err != nil || in.Complete {
		t.Errorf("a chunk of 4 GB: %+v, %v", in, err)
	}
	colours := []struct {
		depth, kind byte
		extra       string
		want        Info
	}{
		{16, 0, "", Info{Channels: 1, Bits: 16}},
		{16, 0, "tRNS", Info{Channels: 2, Bits: 16, Alpha: true}},
		{2, 3, "", Info{Channels: 3, Bits: 8}},
		{2, 3, "tRNS", Info{Channels: 4, Bits: 8, Alpha: true}},
		{8, 4, "", Info{Channels: 2, Bits: 8, Alpha: true}},
		{8, 6, "tRNS", Info{Channels: 4, Bits: 8, Alpha: true}},
	}
	for _, tt := range colours {
		b := pngWith(t, "spare", "")
		if tt.extra != "" {
			b = pngWith(t, tt.extra, "")
		}
		b[24], b[25] = tt.depth, tt.kind
		in, err := Inspect(b)
		if err != nil || in.Channels != tt.want.Channels || in.Bits != tt.want.Bits || in.Alpha != tt.want.Alpha {
			t.Errorf("%+v: %+v, %v", tt, in, err)
		}
	}
}

// TestPNGLacksItsEnd cuts the last data chunk by no more than may be missing behind the pixels, and by more.
func TestPNGLacksItsEnd(t *testing.T) {
	b := pngSeed(t)
	twice := append(bytes.Clone(b[:len(b)-12]), "\x00\x00\x01\x00IDAT"...)
	for _, tt := range []struct {
		what string
		b    []byte
		want bool
	}{
		{"nothing", b, false},
		{"IEND", b[:len(b)-12], true},
		{"half of IEND", b[:len(b)-6], true},
		{"the end of IDAT", b[:len(b)-12-pngTail], true},
		{"more of IDAT", b[:len(b)-12-pngTail-1], false},
		{"most of another IDAT", twice, false},
		{"the end of another IDAT", append(twice, make([]byte, 256+4-pngTail)...), true},
	} {
		if in, err := Inspect(tt.b); err != nil || in.LacksEnd != tt.want || in.LacksEnd && in.Complete {
			t.Errorf("%s missing: %+v, %v, want %v", tt.what, in, err, tt.want)
		}
	}
}

func TestGIF(t *testing.T) {
	frame := func(x, y, w, h byte) string {
		return string([]byte{0x2c, x, 0, y, 0, w, 0, h, 0, 0, 2, 1, 0x44, 0})
	}
	head := "GIF89a\x05\x00\x04\x00\x00\x00\x00"
	tests := []struct {
		name, b string
		want    Info
	}{
		{"canvas", head + frame(0, 0, 1, 1) + ";", Info{Width: 5, Height: 4, Frames: 1, Complete: true}},
		{"larger frame", head + frame(3, 9, 10, 10) + frame(0, 0, 1, 1) + ";", Info{Width: 13, Height: 19, Frames: 2, Complete: true}},
		{"stray zero", head + frame(0, 0, 1, 1) + "\x00;", Info{Width: 5, Height: 4, Frames: 1, Complete: true}},
		{"no frame", head + ";", Info{Width: 5, Height: 4, Frames: 1}},
		{"comment", head + "!\xfe\x02;;\x00" + frame(0, 0, 1, 1) + ";", Info{Width: 5, Height: 4, Frames: 1, Complete: true}},
		{"garbage", head + frame(0, 0, 1, 1) + "garbage;", Info{Width: 5, Height: 4, Frames: 1, LacksEnd: true}},
		{"no trailer", head + frame(0, 0, 1, 1), Info{Width: 5, Height: 4, Frames: 1, LacksEnd: true}},
		{"no trailer behind a comment", head + frame(0, 0, 1, 1) + "!\xfe\x02;;\x00", Info{Width: 5, Height: 4, Frames: 1, LacksEnd: true}},
		{"cut in the data", (head + frame(0, 0, 1, 1))[:25], Info{Width: 5, Height: 4, Frames: 1, LacksEnd: true}},
		{"cut in the head of a frame", head + frame(0, 0, 1, 1) + frame(0, 0, 1, 1)[:9], Info{Width: 5, Height: 4, Frames: 1}},
		{"cut behind what announces a frame", head + frame(0, 0, 1, 1) + "!\xf9\x04\x00\x00\x00\x00\x00", Info{Width: 5, Height: 4, Frames: 1}},
		{"a frame that was announced", head + "!\xf9\x04\x00\x00\x00\x00\x00" + frame(0, 0, 1, 1), Info{Width: 5, Height: 4, Frames: 1, LacksEnd: true}},
	}
	for _, tt := range tests {
		in, err := Inspect([]byte(tt.b))
		if err != nil || in.Width != tt.want.Width || in.Height != tt.want.Height || in.Frames != tt.want.Frames || in.Complete != tt.want.Complete ||
			in.LacksEnd != tt.want.LacksEnd {
			t.Errorf("%s: %+v, %v", tt.name, in, err)
		}
	}
}

func TestWebP(t *testing.T) {
	extended := "VP8X\x0a\x00\x00\x00\x32\x00\x00\x00\x09\x00\x00\x07\x00\x00"
	frame := chunk("ANMF", strings.Repeat("\x00", 6)+"\x1f\x00\x00\x03\x00\x00"+strings.Repeat("\x00", 4))
	lossy := chunk("VP8 ", "\x00\x00\x00\x9d\x01\x2a\x0a\x40\x08\x40")
	tests := []struct {
		name string
		b    []byte
		ok   func(Info) bool
	}{
		{"lossy, scale bits ignored", riff(lossy), func(i Info) bool { return i.Width == 10 && i.Height == 8 && i.Complete && !i.Alpha }},
		{"animation", riff(extended, frame, frame), func(i Info) bool { return i.Frames == 2 && i.Width == 32 && i.Height == 8 && i.Complete && i.Alpha }},
		{"profile", riff(extended, chunk("ICCP", "abc"), lossy), func(i Info) bool { return i.Profile && i.Complete }},
		{"separate alpha", riff(chunk("ALPH", "a"), lossy), func(i Info) bool { return i.Alpha && i.Channels == 4 }},
		{"header alone", riff(extended), func(i Info) bool { return !i.Complete }},
		{"chunk longer than the file says", append(riff(lossy)[:len(riff(lossy))-2], "\x08\x40more"...), func(i Info) bool { return i.Complete }},
	}
	for _, tt := range tests {
		in, err := Inspect(tt.b)
		if err != nil || !tt.ok(in) {
			t.Errorf("%s: %+v, %v", tt.name, in, err)
		}
	}
	lying := riff(lossy, chunk("XMP ", "12345678"))
	binary.LittleEndian.PutUint32(lying[4:], uint32(len(lying)-8-4)) // The last chunk reaches past the end that is declared.
	if in, err := Inspect(lying); err != nil || in.Complete {
		t.Errorf("lying size: %+v, %v", in, err)
	}
}

func TestHEIF(t *testing.T) {
	alpha := box("auxC", "\x00\x00\x00\x00urn:mpeg:mpegB:cicp:systems:auxiliary:alpha\x00")
	tests := []struct {
		name string
		b    []byte
		ok   func(Info) bool
	}{
		{"turned", avif("avif", ispe(30, 20), box("irot", "\x01")), func(i Info) bool { return i.Width == 20 && i.Height == 30 && i.Orientation == 1 }},
		{"upside down", avif("avif", ispe(30, 20), box("irot", "\x02")), func(i Info) bool { return i.Width == 30 && i.Height == 20 }},
		{"primary before larger", avif("heic", ispe(30, 20), ispe(300, 200)), func(i Info) bool { return i.Width == 30 && i.Format == "heic" }},
		{"ten bits", avif("avif", ispe(3, 2), box("pixi", "\x00\x00\x00\x00\x03\x0a\x0a\x0a")), func(i Info) bool { return i.Bits == 10 }},
		{"profile", avif("avif", ispe(3, 2), box("colr", "prof...")), func(i Info) bool { return i.Profile }},
		{"colour numbers only", avif("avif", ispe(3, 2), box("colr", "nclx\x00\x0c\x00\x10\x00\x06\x80")), func(i Info) bool { return !i.Profile && i.Primaries == 12 && i.Transfer == 16 }},
		{"colour numbers cut", avif("avif", ispe(3, 2), box("colr", "nclx...")), func(i Info) bool { return !i.Profile && i.Primaries == 0 }},
		{"alpha", avif("avif", ispe(3, 2), alpha), func(i Info) bool { return i.Alpha && i.Channels == 4 }},
		{"general brand first", avif("mif1", ispe(3, 2)), func(i Info) bool { return i.Format == "heic" && i.Complete }},
		{"largest without links", bytes.Replace(avif("avif", ispe(3, 2), ispe(8, 9)), []byte("ipma"), []byte("free"), 1), func(i Info) bool { return i.Width == 8 && i.Height == 9 }},
		{"no data", bytes.Replace(avif("avif", ispe(3, 2)), []byte("mdat"), []byte("free"), 1), func(i Info) bool { return !i.Complete }},
		{"data to the end of the file", bytes.Replace(avif("avif", ispe(3, 2)), []byte("\x0cmdat"), []byte("\x00mdat"), 1), func(i Info) bool { return i.Complete }},
	}
	for _, tt := range tests {
		in, err := Inspect(tt.b)
		if err != nil || !tt.ok(in) {
			t.Errorf("%s: %+v, %v", tt.name, in, err)
		}
	}
}

func TestTIFF(t *testing.T) {
	for _, order := range []binary.AppendByteOrder{binary.LittleEndian, binary.BigEndian} {
		b := tiff(order)
		in, err := Inspect(b)
		if err != nil || in.Width != 7 || in.Height != 6 || in.Bits != 8 || in.Channels != 1 || in.Orientation != 3 || in.Frames != 1 || !in.Complete {
			t.Errorf("%v: %+v, %v", order, in, err)
		}
		ring := append(b[:len(b)-4:len(b)-4], b[4:8]...) // The only directory leads to itself.
		if in, err = Inspect(ring); err != nil || in.Frames != 1 {
			t.Errorf("%v, ring: %+v, %v", order, in, err)
		}
		lost := bytes.Clone(b)
		copy(lost[50+2+12*4+8:], "\xea\xea") // The strip's offset, the same in both orders.
		if in, err = Inspect(lost); err != nil || in.Complete {
			t.Errorf("%v, strip outside: %+v, %v", order, in, err)
		}
	}
}
