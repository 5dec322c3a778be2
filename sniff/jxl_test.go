package sniff

import (
	"encoding/binary"
	"testing"

	"github.com/goldcrest/goldcrest/fault"
)

// jxlField is a number of so many bits, the lowest first.
type jxlField struct{ value, bits int }

func jxlBare(fields ...jxlField) []byte {
	b := append([]byte(jxlMagic), make([]byte, 16)...)
	at := 0
	for _, f := range fields {
		for i := range f.bits {
			b[2+at>>3] |= byte(f.value >> i & 1 << (at & 7))
			at++
		}
	}
	return b
}

func jxlBox(kind string, content []byte) []byte {
	return append(append(binary.BigEndian.AppendUint32(nil, uint32(8+len(content))), kind...), content...)
}

// The size is read by each way to write it, upright, and from a codestream that stands bare, in a box or in parts.
func TestJXL(t *testing.T) {
	lying := []jxlField{{0, 1}, {0, 2}, {299, 9}, {0, 3}, {1, 2}, {999, 13}, {0, 1}, {1, 1}}
	for name, tt := range map[string]struct {
		fields        []jxlField
		width, height int
	}{
		"small":       {[]jxlField{{1, 1}, {2, 5}, {0, 3}, {4, 5}, {1, 1}}, 40, 24},
		"square":      {[]jxlField{{1, 1}, {2, 5}, {1, 3}, {1, 1}}, 24, 24},
		"two to one":  {[]jxlField{{0, 1}, {0, 2}, {99, 9}, {7, 3}, {1, 1}}, 200, 100},
		"six to five": {[]jxlField{{0, 1}, {0, 2}, {99, 9}, {2, 3}, {1, 1}}, 120, 100},
		"large": {[]jxlField{{0, 1}, {3, 2}, {1 << 29, 30}, {0, 3}, {2, 2}, {69_999, 18}, {1, 1}}, 70_000,
			1<<29 + 1},
		"mirrored":     {append(lying[:8:8], jxlField{3, 3}), 1000, 300},
		"turned":       {append(lying[:8:8], jxlField{5, 3}), 300, 1000},
		"not the same": {append(lying[:6:6], jxlField{0, 2}, jxlField{7, 3}), 1000, 300},
	} {
		bare := jxlBare(tt.fields...)
		head := append(jxlBox("JXL ", []byte("\r\n\x87\n")), jxlBox("ftyp", []byte("jxl \x00\x00\x00\x00jxl "))...)
		part := append([]byte{0x80, 0, 0, 0}, bare...)
		for kind, b := range map[string][]byte{
			"bare": bare, "box": append(head[:len(head):len(head)], jxlBox("jxlc", bare)...),
			"part": append(head[:len(head):len(head)], jxlBox("jxlp", part)...),
		} {
			in, err := Inspect(b)
			if err != nil || in.Width != tt.width || in.Height != tt.height || in.Format != "jxl" ||
				in.Orientation != 1 || !in.Complete {
				t.Errorf("%s, %s: %+v, %v, want %d x %d", name, kind, in, err, tt.width, tt.height)
			}
			if in, err := Inspect(b[:len(b)-1]); kind != "bare" && (err != nil || in.Complete) {
				t.Errorf("%s, %s, cut off: %+v, %v", name, kind, in, err)
			}
		}
	}
	for name, b := range map[string][]byte{
		"no codestream": append(jxlBox("JXL ", []byte("\r\n\x87\n")), jxlBox("Exif", nil)...),
		"three bytes":   []byte(jxlMagic + "\x00"),
		"long box": append(jxlBox("JXL ", []byte("\r\n\x87\n")),
			"\x00\x00\x00\x01jxlc\xff\xff\xff\xff\xff\xff\xff\xff"...),
	} {
		if in, err := Inspect(b); fault.KindOf(err) != fault.DecodeFailed {
			t.Errorf("%s: %+v, %v", name, in, err)
		}
	}
}
