package decode

import (
	"encoding/binary"
	"math"

	"github.com/goldcrest/goldcrest/transform/codec/vips"
)

// isSRGB reports whether an ICC profile is sRGB: matrix-shaped RGB with sRGB's primaries and tone curve. Such a profile
// is dropped without a conversion; this saves the conversion for most photos.
func isSRGB(p []byte) bool {
	if len(p) < 132 || string(p[16:20]) != "RGB " || string(p[20:24]) != "XYZ " {
		return false
	}
	tags := profileTags(p)
	if tags["A2B0"] != nil || tags["A2B1"] != nil { // A look-up table takes precedence over the matrix.
		return false
	}
	// The primaries of sRGB adapted to D50, rounded as in every sRGB profile.
	want := map[string][3]float64{
		"rXYZ": {0.4361, 0.2225, 0.0139}, "gXYZ": {0.3851, 0.7169, 0.0971}, "bXYZ": {0.1431, 0.0606, 0.7141},
	}
	for tag, xyz := range want {
		if !isXYZ(tags[tag], xyz) {
			return false
		}
	}
	return isSRGBCurve(tags["rTRC"]) && isSRGBCurve(tags["gTRC"]) && isSRGBCurve(tags["bTRC"])
}

// fits reports whether an ICC profile is for the picture's colour space. Another profile is ignored, as browsers do:
// with it libvips would take the first band as grey and pass on the others, or read alpha as ink.
func fits(f vips.Facts, p []byte) bool {
	if len(p) < 128 {
		return false
	}
	switch string(p[16:20]) {
	case "RGB ":
		return f.Rgb
	case "GRAY":
		return f.Grey
	case "CMYK":
		return f.Cmyk
	}
	return false
}

func profileTags(p []byte) map[string][]byte {
	tags := map[string][]byte{}
	n := binary.BigEndian.Uint32(p[128:])
	for i := range min(n, 100) {
		at := 132 + 12*int(i)
		if at+12 > len(p) {
			break
		}
		start, size := int64(binary.BigEndian.Uint32(p[at+4:])), int64(binary.BigEndian.Uint32(p[at+8:]))
		if start+size <= int64(len(p)) {
			tags[string(p[at:at+4])] = p[start : start+size]
		}
	}
	return tags
}

func isXYZ(tag []byte, want [3]float64) bool {
	if len(tag) < 20 || string(tag[:4]) != "XYZ " {
		return false
	}
	for i, w := range want {
		if math.Abs(s15Fixed16(tag[8+4*i:])-w) > 0.003 {
			return false
		}
	}
	return true
}

func s15Fixed16(b []byte) float64 { return float64(int32(binary.BigEndian.Uint32(b))) / 65536 }

// isSRGBCurve compares a tone curve with that of sRGB at a few points. A difference of half a percent is invisible.
func isSRGBCurve(tag []byte) bool {
	curve := toneCurve(tag)
	if curve == nil {
		return false
	}
	for _, x := range []float64{0.02, 0.1, 0.25, 0.5, 0.75, 0.9, 1} {
		want := x / 12.92
		if x > 0.04045 {
			want = math.Pow((x+0.055)/1.055, 2.4)
		}
		if math.Abs(curve(x)-want) > 0.005 {
			return false
		}
	}
	return true
}

// toneCurve reads a sampled or parametric curve; nil for other types.
func toneCurve(tag []byte) func(float64) float64 {
	if len(tag) < 12 {
		return nil
	}
	switch string(tag[:4]) {
	case "curv":
		n := int64(binary.BigEndian.Uint32(tag[8:]))
		if n < 16 || int64(len(tag)) < 12+2*n {
			return nil // A pure gamma differs from sRGB's curve.
		}
		return func(x float64) float64 {
			return float64(binary.BigEndian.Uint16(tag[12+2*int64(math.Round(x*float64(n-1))):])) / 65535
		}
	case "para":
		if binary.BigEndian.Uint16(tag[8:]) != 3 || len(tag) < 32 {
			return nil
		}
		g, a, b, c, d := s15Fixed16(tag[12:]), s15Fixed16(tag[16:]), s15Fixed16(tag[20:]), s15Fixed16(tag[24:]), s15Fixed16(tag[28:])
		return func(x float64) float64 {
			if x >= d {
				return math.Pow(a*x+b, g)
			}
			return c * x
		}
	}
	return nil
}
