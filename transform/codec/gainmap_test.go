package codec

import (
	"bytes"
	"encoding/binary"
	"image"
	"image/color"
	"os"
	"slices"
	"testing"

	"github.com/goldcrest/goldcrest/variant"
)

// twoColours is a picture in two colours.
func twoColours(width, height int, left, right color.NRGBA) *image.NRGBA {
	m := image.NewNRGBA(image.Rect(0, 0, width, height))
	for i := range width * height {
		c := left
		if i%width >= width/2 {
			c = right
		}
		m.SetNRGBA(i%width, i/width, c)
	}
	return m
}

// jpegSegment is an APPn segment.
func jpegSegment(marker byte, data ...[]byte) []byte {
	d := bytes.Join(data, nil)
	return slices.Concat(binary.BigEndian.AppendUint16([]byte{0xff, marker}, uint16(len(d)+2)), d)
}

// withGainMap makes an Ultra HDR file as phones write it: base with XMP that announces a gain map, an index of the
// pictures in the file (CIPA DC-007), and the gain map, a JPEG with its own XMP, after the end of the base picture.
func withGainMap(base, gain []byte) []byte {
	told := func(more string) []byte {
		return jpegSegment(0xe1, []byte("http://ns.adobe.com/xap/1.0/\x00"+`<x:xmpmeta xmlns:x="adobe:ns:meta/">`+
			`<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description `+
			`xmlns:hdrgm="http://ns.adobe.com/hdr-gain-map/1.0/" hdrgm:Version="1.0"`+more+`/></rdf:RDF></x:xmpmeta>`))
	}
	tell, gainTold := told(""), told(` hdrgm:GainMapMax="2.5"`)
	gain = slices.Concat(gain[:2], gainTold, gain[2:])
	be := binary.BigEndian
	index := []byte("MPF\x00MM\x00*\x00\x00\x00\x08\x00\x03")
	index = append(index, "\xb0\x00\x00\x07\x00\x00\x00\x040100"...)
	index = append(index, "\xb0\x01\x00\x04\x00\x00\x00\x01\x00\x00\x00\x02"...)
	index = append(index, "\xb0\x02\x00\x07\x00\x00\x00\x20\x00\x00\x00\x32\x00\x00\x00\x00"...)
	head := 2 + len(tell)
	size := head + 4 + len(index) + 32 + len(base) - 2
	index = be.AppendUint32(append(be.AppendUint32(be.AppendUint32(index, 0x30000), uint32(size)), 0, 0, 0, 0), 0)
	index = be.AppendUint32(be.AppendUint32(be.AppendUint32(index, 0), uint32(len(gain))), uint32(size-head-8))
	index = be.AppendUint32(index, 0)
	return slices.Concat(base[:2], tell, jpegSegment(0xe2, index), base[2:], gain)
}

// A JPEG with a gain map gives the same bytes as its base picture alone, in every format. Nothing of the gain map
// remains in a variant, or in an original that is passed through.
func TestGainMapsAreLeftOut(t *testing.T) {
	c := mustNew(t, "")
	base := jpegOf(t, twoColours(96, 64, red, blue), 95)
	hdr := withGainMap(base, jpegOf(t, twoColours(24, 16, color.NRGBA{255, 255, 255, 255}, color.NRGBA{A: 255}), 95))
	for _, spec := range []variant.Spec{
		{Format: variant.PNG}, {Format: variant.JPEG, Width: 48}, {Format: variant.WebP, Width: 48},
		{Format: variant.AVIF, Width: 40}, {Format: variant.JPEG, Accepts: variant.AcceptJPEG},
	} {
		want, got := must(t, c, base, spec), must(t, c, hdr, spec)
		if !bytes.Equal(want.Body, got.Body) || got.Width != want.Width || got.Height != want.Height {
			t.Errorf("%+v: %d bytes, with a gain map %d", spec, len(want.Body), len(got.Body))
		}
		if bytes.Contains(got.Body, []byte("MPF\x00")) || bytes.Contains(got.Body, []byte("hdrgm")) {
			t.Errorf("%+v: the variant speaks of a gain map", spec)
		}
	}
	m := decoded(t, must(t, c, hdr, variant.Spec{Format: variant.PNG}).Body)
	if m.Bounds().Dx() != 96 {
		t.Fatalf("%v", m.Bounds())
	}
	wantColour(t, m, 20, 30, red, 6)
	wantColour(t, m, 70, 30, blue, 6)
}

// The files of testdata/hdr were made by avifenc and avifgainmaputil of libavif 1.2: two greys of 203 and 10 candelas
// in PQ and HLG; the gain map (item tmap) between a picture in red and blue and that one; and the same with two greys,
// whose primary picture is the one in PQ (of 159 candelas, as that tool rounds it). The primary picture counts, HDR is
// mapped to SDR, and nothing of a gain map stays.
func TestHDRFilesGiveTheirPrimaryPicture(t *testing.T) {
	c := mustNew(t, "")
	white, dark := color.NRGBA{230, 230, 230, 255}, color.NRGBA{64, 64, 64, 255}
	for name, want := range map[string][2]color.NRGBA{
		"pq": {white, dark}, "hlg": {white, dark}, "swapped": {{216, 216, 216, 255}, dark},
		"gainmap": {{200, 40, 40, 255}, {40, 40, 200, 255}},
	} {
		body, err := os.ReadFile("testdata/hdr/" + name + ".avif")
		if err != nil {
			t.Fatal(err)
		}
		m := decoded(t, must(t, c, body, variant.Spec{Format: variant.PNG}).Body)
		wantColour(t, m, 16, 24, want[0], 9)
		wantColour(t, m, 48, 24, want[1], 9)
		for _, spec := range []variant.Spec{{Width: 32}, {Accepts: variant.AcceptAVIF}} {
			spec.Format = variant.AVIF
			if got := must(t, c, body, spec); bytes.Contains(got.Body, []byte("tmap")) {
				t.Errorf("%s %+v: the variant has a gain map", name, spec)
			}
		}
	}
}
