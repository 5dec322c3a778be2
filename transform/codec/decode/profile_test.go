package decode

import (
	"encoding/binary"
	"math"
	"runtime"
	"testing"

	"github.com/goldcrest/goldcrest/sniff"
	"github.com/goldcrest/goldcrest/transform/codec/codectest"
	"github.com/goldcrest/goldcrest/transform/codec/vips"
)

// testProfile builds a matrix profile with the tone curve curve; gx is the X of the green primary.
func testProfile(gx float64, curve func(float64) float64) []byte {
	fixed := func(b []byte, v float64) []byte { return binary.BigEndian.AppendUint32(b, uint32(int32(v*65536))) }
	xyz := func(x, y, z float64) []byte { return fixed(fixed(fixed([]byte("XYZ \x00\x00\x00\x00"), x), y), z) }
	trc := binary.BigEndian.AppendUint32([]byte("curv\x00\x00\x00\x00"), 1024)
	for i := range 1024 {
		trc = binary.BigEndian.AppendUint16(trc, uint16(curve(float64(i)/1023)*65535))
	}
	tags := []struct {
		name string
		data []byte
	}{{"rXYZ", xyz(.4361, .2225, .0139)}, {"gXYZ", xyz(gx, .7169, .0971)}, {"bXYZ", xyz(.1431, .0606, .7141)}, {"rTRC", trc}, {"gTRC", trc}, {"bTRC", trc}}
	p := make([]byte, 128)
	copy(p[16:], "RGB XYZ ")
	p = binary.BigEndian.AppendUint32(p, uint32(len(tags)))
	at := len(p) + 12*len(tags)
	var data []byte
	for _, tag := range tags {
		p = append(p, tag.name...)
		p = binary.BigEndian.AppendUint32(p, uint32(at+len(data)))
		p = binary.BigEndian.AppendUint32(p, uint32(len(tag.data)))
		data = append(data, tag.data...)
	}
	return append(p, data...)
}

func TestIsSRGB(t *testing.T) {
	gamma := func(x float64) float64 { return math.Pow(x, 1.8) }
	for name, tt := range map[string]struct {
		profile []byte
		want    bool
	}{
		"srgb":          {testProfile(.3851, codectest.SRGBCurve), true},
		"other green":   {testProfile(.2919, codectest.SRGBCurve), false},
		"other curve":   {testProfile(.3851, gamma), false},
		"empty":         {nil, false},
		"cut off":       {testProfile(.3851, codectest.SRGBCurve)[:400], false},
		"hostile count": {append(testProfile(.3851, codectest.SRGBCurve)[:128], 0xff, 0xff, 0xff, 0xff), false},
	} {
		if got := isSRGB(tt.profile); got != tt.want {
			t.Errorf("%s: %v, want %v", name, got, tt.want)
		}
	}
}

func TestIsSRGBOnCorpus(t *testing.T) {
	if err := vips.Boot(); err != nil {
		t.Fatal(err)
	}
	for file, want := range map[string]bool{
		"dog-12mp-exif6-icc-xmp.jpg": true, "faces-progressive.jpg": true, "nightsky-24mp.jpg": true,
		"portrait-adobergb.jpg": false, "prophoto.jpg": false, "p3-ring.png": false, "cmyk-icc.jpg": false, "screenshot-notebook-icc.png": false,
	} {
		b := codectest.ReadCorpus(t, "photos", file)
		in, err := sniff.Inspect(b)
		if err != nil {
			t.Fatal(err)
		}
		var pin runtime.Pinner
		im, err := vips.Load(&pin, b, vips.Loading{Format: in.Format, Strict: vips.Whole})
		if err != nil {
			t.Fatal(err)
		}
		p := im.Profile()
		if got := isSRGB(p); got != want || len(p) == 0 {
			t.Errorf("%s: %v of a profile of %d bytes, want %v", file, got, len(p), want)
		}
		im.Free()
		pin.Unpin()
	}
}

func FuzzIsSRGB(f *testing.F) {
	f.Add(testProfile(.3851, codectest.SRGBCurve))
	f.Fuzz(func(t *testing.T, p []byte) { isSRGB(p) })
}
