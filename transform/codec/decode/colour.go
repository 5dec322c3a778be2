package decode

import (
	"encoding/binary"
	"math"

	"github.com/goldcrest/goldcrest/transform/codec/container"
	"github.com/goldcrest/goldcrest/transform/codec/vips"
)

// colours describes what a picture's samples mean, if they are not sRGB and have no ICC profile.
type colours struct {
	primaries primaries
	curve     curve
}

// primaries are the chromaticities x, y of red, green, blue and white.
type primaries [8]float64

var (
	white65   = [2]float64{0.3127, 0.3290}
	bt709     = primaries{0.640, 0.330, 0.300, 0.600, 0.150, 0.060, white65[0], white65[1]}
	displayP3 = primaries{0.680, 0.320, 0.265, 0.690, 0.150, 0.060, white65[0], white65[1]}
	bt2020    = primaries{0.708, 0.292, 0.170, 0.797, 0.131, 0.046, white65[0], white65[1]}
)

// codedPrimaries are the primaries of ITU-T H.273 that differ from those of sRGB.
var codedPrimaries = map[int]primaries{
	4:  {0.67, 0.33, 0.21, 0.71, 0.14, 0.08, 0.310, 0.316},
	5:  {0.64, 0.33, 0.29, 0.60, 0.15, 0.06, white65[0], white65[1]},
	6:  {0.630, 0.340, 0.310, 0.595, 0.155, 0.070, white65[0], white65[1]},
	7:  {0.630, 0.340, 0.310, 0.595, 0.155, 0.070, white65[0], white65[1]},
	9:  bt2020,
	11: {0.680, 0.320, 0.265, 0.690, 0.150, 0.060, 0.314, 0.351},
	12: displayP3,
	22: {0.630, 0.340, 0.295, 0.605, 0.155, 0.077, white65[0], white65[1]},
}

// curve maps samples from 0 to 1 to linear light, where 1 is the white of sRGB.
type curve struct {
	light func(v float64) float64
	hdr   bool // light can exceed 1
	hlg   bool // light is scene light
}

// Brightness in candela per square metre. HDR is mapped down to the white of BT.2408, from the peak for which most of
// it is graded.
const (
	hdrWhite = 203.0
	hdrPeak  = 1000.0
	pqMost   = 10_000.0
)

// codedCurves are the curves of ITU-T H.273 that differ from that of sRGB. The curves of television (1, 6, 14, 15) are
// treated as sRGB, as browsers do: files with them were made on computers.
var codedCurves = map[int]curve{
	4:  {light: power(2.2)},
	5:  {light: power(2.8)},
	8:  {light: power(1)},
	16: {light: func(v float64) float64 { return pqLight(v) / hdrWhite }, hdr: true},
	17: {light: func(v float64) float64 { return math.Pow(v, 2.6) * 52.37 / 48 }},
	18: {light: hlgLight, hdr: true, hlg: true},
}

func power(exponent float64) func(float64) float64 {
	return func(v float64) float64 { return math.Pow(v, exponent) }
}

func srgbLight(v float64) float64 {
	if v <= 0.04045 {
		return v / 12.92
	}
	return math.Pow((v+0.055)/1.055, 2.4)
}

func srgbShade(light float64) float64 {
	if light <= 0.0031308 {
		return light * 12.92
	}
	return 1.055*math.Pow(light, 1/2.4) - 0.055
}

// The constants of the perceptual quantizer (SMPTE ST 2084).
const (
	pqM1, pqM2       = 2610.0 / 16384, 2523.0 / 4096 * 128
	pqC1, pqC2, pqC3 = 3424.0 / 4096, 2413.0 / 4096 * 32, 2392.0 / 4096 * 32
)

// pqLight is the brightness of a PQ signal; pqSignal is its inverse.
func pqLight(v float64) float64 {
	p := math.Pow(v, 1/pqM2)
	return pqMost * math.Pow(math.Max(p-pqC1, 0)/(pqC2-pqC3*p), 1/pqM1)
}

func pqSignal(brightness float64) float64 {
	p := math.Pow(brightness/pqMost, pqM1)
	return math.Pow((pqC1+pqC2*p)/(1+pqC3*p), pqM2)
}

// hlgLight is the scene light of a hybrid log-gamma signal (BT.2100), from 0 to 1.
func hlgLight(v float64) float64 {
	const a, b, c = 0.17883277, 0.28466892, 0.55991073
	if v <= 0.5 {
		return v * v / 3
	}
	return (math.Exp((v-c)/a) + b) / 12
}

// toneScale is the factor for light so that nothing is brighter than sRGB's white, by the curve of BT.2390: dark values
// stay unchanged, highlights are compressed.
func toneScale(light float64) float64 {
	if light <= 0 {
		return 1
	}
	top := pqSignal(hdrPeak)
	most := pqSignal(hdrWhite) / top
	knee := 1.5*most - 0.5
	e := pqSignal(light*hdrWhite) / top
	if e > knee {
		t := (math.Min(e, 1) - knee) / (1 - knee)
		e = (2*t*t*t-3*t*t+1)*knee + (t*t*t-2*t*t+t)*(1-knee) + (-2*t*t*t+3*t*t)*most
	}
	return math.Min(pqLight(e*top)/hdrWhite/light, 1)
}

// setColours decides what the picture's samples mean: by its profile, by other data of the file, or as sRGB.
func (s *Source) setColours(profile []byte) {
	s.UseICC = s.Facts.Profile && fits(s.Facts, profile)
	switch s.Info.Format {
	case "png":
		var byProfile bool
		s.Colours, byProfile = pngColours(s.body)
		s.UseICC = s.UseICC && byProfile
	case "avif", "heic":
		if !s.UseICC {
			s.Colours = coded(s.Info.Primaries, s.Info.Transfer)
		}
	}
	s.UseICC = s.UseICC && !isSRGB(profile)
}

// Converts reports whether the picture must be converted to sRGB.
func (s *Source) Converts() bool { return s.UseICC || s.Colours != nil }

// maxProfile is the size of the largest profile that variants may keep, in bytes.
const maxProfile = 512 << 10

// KeepsColours reports whether the profile can be kept in place of a conversion.
func (s *Source) KeepsColours() bool {
	return s.UseICC && s.Colours == nil && s.Facts.Rgb && s.Facts.Bits == 8 && len(s.Profile) <= maxProfile
}

// coded returns the colours of two code points of ITU-T H.273; nil for sRGB.
func coded(primary, transfer int) *colours {
	p, otherColours := codedPrimaries[primary]
	c, otherCurve := codedCurves[transfer]
	if !otherColours && !otherCurve {
		return nil
	}
	if !otherColours {
		p = bt709
	}
	if !otherCurve {
		c = curve{light: srgbLight}
	}
	return &colours{p, c}
}

// pngColours reads the chunks before the pixels. The first of cICP, iCCP, sRGB and gAMA that a file contains takes
// precedence over the others. c is nil for sRGB and if the profile applies.
func pngColours(file []byte) (c *colours, byProfile bool) {
	chunks := map[string][]byte{}
	container.PNGChunks(file, func(c container.PNGChunk) bool {
		if _, twice := chunks[c.Name]; !twice && c.Sound() && !c.Cut {
			chunks[c.Name] = c.Data
		}
		return c.Name != "IDAT"
	})
	if c := chunks["cICP"]; len(c) == 4 && c[2] == 0 {
		return coded(int(c[0]), int(c[1])), false
	}
	g := chunks["gAMA"]
	if chunks["iCCP"] != nil || chunks["sRGB"] != nil || len(g) != 4 {
		return nil, chunks["iCCP"] != nil
	}
	c = &colours{primaries: bt709}
	gamma := float64(binary.BigEndian.Uint32(g)) / 100_000
	if gamma < 0.01 || gamma > 10 {
		return nil, false
	}
	c.curve.light = power(1 / gamma)
	if h := chunks["cHRM"]; len(h) == 32 {
		var p primaries
		for i := range p { // The file starts with white.
			p[(i+6)%8] = float64(binary.BigEndian.Uint32(h[4*i:])) / 100_000
		}
		if _, ok := p.toXYZ(); ok {
			c.primaries = p
		}
	}
	if c.primaries.near(bt709) && math.Abs(1/gamma-2.2) < 0.01 {
		return nil, false // This is how some writers declare sRGB.
	}
	return c, false
}

// near reports whether the difference is invisible.
func (p primaries) near(q primaries) bool {
	for i := range p {
		if math.Abs(p[i]-q[i]) > 0.002 {
			return false
		}
	}
	return true
}

type matrix3 [9]float64

func (m matrix3) times(n matrix3) (out matrix3) {
	for i := range out {
		for k := range 3 {
			out[i] += m[i/3*3+k] * n[k*3+i%3]
		}
	}
	return out
}

func (m matrix3) inverse() (out matrix3, ok bool) {
	cofactor := func(i int) float64 {
		r, c := i/3, i%3
		at := func(dr, dc int) float64 { return m[(r+dr)%3*3+(c+dc)%3] }
		return at(1, 1)*at(2, 2) - at(1, 2)*at(2, 1)
	}
	det := m[0]*cofactor(0) + m[1]*cofactor(1) + m[2]*cofactor(2)
	for i := range out {
		out[i] = cofactor(i%3*3+i/3) / det
	}
	return out, math.Abs(det) > 1e-9
}

// toXYZ converts light of the primaries to XYZ, where white has brightness 1.
func (p primaries) toXYZ() (matrix3, bool) {
	var m matrix3
	for c := range 3 {
		x, y := p[2*c], p[2*c+1]
		m[c], m[3+c], m[6+c] = x, y, 1-x-y
	}
	inverse, ok := m.inverse()
	if !ok || p[7] <= 0 {
		return m, false
	}
	white := [3]float64{p[6] / p[7], 1, (1 - p[6] - p[7]) / p[7]}
	for c := range 3 {
		share := inverse[3*c]*white[0] + inverse[3*c+1]*white[1] + inverse[3*c+2]*white[2]
		ok = ok && share > 0
		m[c], m[3+c], m[6+c] = m[c]*share, m[3+c]*share, m[6+c]*share
	}
	return m, ok
}

// toSRGB converts light of the primaries to light of sRGB's. White stays white (Bradford adaptation).
func (p primaries) toSRGB() matrix3 {
	bradford := matrix3{0.8951, 0.2664, -0.1614, -0.7502, 1.7135, 0.0367, 0.0389, -0.0685, 1.0296}
	from, _ := p.toXYZ()
	to, _ := bt709.toXYZ()
	back, _ := to.inverse()
	unbradford, _ := bradford.inverse()
	var scale matrix3
	cones := func(p primaries, i int) float64 {
		return (bradford[3*i]*p[6] + bradford[3*i+1]*p[7] + bradford[3*i+2]*(1-p[6]-p[7])) / p[7]
	}
	for i := range 3 {
		scale[4*i] = cones(bt709, i) / cones(p, i)
	}
	return back.times(unbradford).times(scale).times(bradford).times(from)
}

// The sizes of the tables of a conversion.
const (
	shadeSteps = 1 << 14
	toneSteps  = 1 << 12
)

// Table returns the conversion from samples of the given number of bits and with colours c to 8-bit sRGB, or to grey
// for a grey picture.
func (c *colours) Table(bits int) *vips.Conversion {
	xyz, _ := c.primaries.toXYZ()
	t := &vips.Conversion{Hdr: c.curve.hdr, Hlg: c.curve.hlg, Weight: xyz[3:6], Peak: hdrPeak / hdrWhite}
	matrix := c.primaries.toSRGB()
	t.Matrix = matrix[:]
	for i := range toneSteps {
		root := float64(i) / (toneSteps - 1)
		t.Tone = append(t.Tone, float32(toneScale(root*root*hdrPeak/hdrWhite)))
	}
	for i := range shadeSteps {
		t.Shade = append(t.Shade, uint8(math.Round(255*srgbShade(float64(i)/(shadeSteps-1)))))
	}
	values := 1 << min(bits, 16)
	for i := range values {
		t.Light = append(t.Light, float32(c.curve.light(float64(i)/float64(values-1))))
	}
	return t
}
