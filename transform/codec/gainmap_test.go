package codec

import (
	"bytes"
	"encoding/binary"
	"image"
	"image/color"
	"os"
	"slices"
	"testing"

	"github.com/goldcrest/goldcrest/sniff"
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

// heicWithGainMap makes the second picture of two.heic the gain map of the first: by a derived item tmap (ISO 21496-1),
// or as an auxiliary picture, as phones wrote it before.
func heicWithGainMap(b []byte, derived bool) []byte {
	be := binary.BigEndian
	entry := func(kind string, id, flags byte) []byte {
		return isoBox("infe", []byte{2, 0, 0, flags, 0, id, 0, 0}, []byte(kind), []byte{0})
	}
	refs := isoBox("auxl", []byte{0, 2, 0, 1, 0, 1})
	property := isoBox("auxC", []byte("\x00\x00\x00\x00urn:com:apple:photo:2020:aux:hdrgainmap\x00"))
	items, extent, more := []byte{}, []byte{}, []byte{}
	if derived {
		refs = isoBox("dimg", []byte{0, 3, 0, 2, 0, 1, 0, 2})
		property = isoBox("colr", []byte("nclx\x00\x09\x00\x10\x00\x09\x80"))
		items = entry("tmap", 3, 0)
		one := []byte{0, 0, 0, 1, 0, 0, 0, 1}
		terms := slices.Concat([]byte{0, 0, 0, 0, 0, 0x40, 0, 0, 0, 0, 0, 0, 0, 1}, bytes.Repeat(one, 6))
		extent = []byte{0, 3, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, byte(len(terms))}
		group := isoBox("altr", []byte{0, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0, 1})
		more = slices.Concat(isoBox("idat", terms), isoBox("grpl", group))
	}
	n := byte(2 + len(extent)/20)
	meta := func(moved int) func(name string, body []byte) []byte {
		return func(name string, body []byte) []byte {
			body = bytes.Clone(body)
			switch name {
			case "iloc": // It becomes version 1. Bases, offsets and lengths have 4 bytes; each item has one extent.
				places := []byte{1, 0, 0, 0, 0x44, 0x40, 0, n}
				for at := 8; at < len(body); at += 18 {
					be.PutUint32(body[at+4:], be.Uint32(body[at+4:])+uint32(moved))
					places = slices.Concat(places, body[at:at+2], []byte{0, 0}, body[at+2:at+18])
				}
				return append(places, extent...)
			case "iinf":
				return slices.Concat([]byte{0, 0, 0, 0, 0, n}, entry("hvc1", 1, 0), entry("hvc1", 2, 1), items)
			case "iprp":
				return editBoxes(body, func(name string, body []byte) []byte {
					if name == "ipco" {
						return append(bytes.Clone(body), property...)
					}
					body = slices.Concat([]byte{0, 0, 0, 0, 0, 0, 0, n}, []byte{0, 1, 3, 0x81, 2, 0x83})
					if derived {
						return append(body, 0, 2, 3, 0x84, 5, 0x86, 0, 3, 2, 5, 0x87)
					}
					return append(body, 0, 2, 4, 0x84, 5, 0x86, 0x87)
				})
			}
			return body
		}
	}
	edited := func(moved int) []byte {
		return editBoxes(b, func(name string, body []byte) []byte {
			switch name {
			case "ftyp":
				return slices.Concat(body, []byte("tmap"))
			case "meta":
				iref := isoBox("iref", make([]byte, 4), refs)
				return slices.Concat(body[:4], editBoxes(body[4:], meta(moved)), iref, more)
			}
			return body
		})
	}
	return edited(len(edited(0)) - len(b))
}

// The primary picture of a HEIC counts, whichever way it has a gain map. testdata/hdr/two.heic was made of the pictures
// twoColours(64, 64, red, blue) and one in white above black: heif-enc -q 80 one.png other.png -o two.heic.
func TestHEICsWithGainMapsGiveTheirPrimaryPicture(t *testing.T) {
	c := mustNew(t, "")
	two, err := os.ReadFile("testdata/hdr/two.heic")
	if err != nil {
		t.Fatal(err)
	}
	for name, body := range map[string][]byte{
		"neither": two, "tmap": heicWithGainMap(two, true), "auxiliary": heicWithGainMap(two, false),
	} {
		info, err := sniff.Inspect(body)
		if err != nil || info.Format != "heic" || info.Width != 64 || info.Height != 64 || !info.Complete {
			t.Errorf("%s: %+v, %v", name, info, err)
		}
		img := must(t, c, body, variant.Spec{Format: variant.PNG})
		if m := decoded(t, img.Body); m.Bounds() != image.Rect(0, 0, 64, 64) {
			t.Errorf("%s: %v", name, m.Bounds())
		} else {
			wantColour(t, m, 8, 8, color.NRGBA{200, 40, 40, 255}, 9)
			wantColour(t, m, 56, 56, color.NRGBA{40, 40, 200, 255}, 9)
		}
		for _, spec := range []variant.Spec{{Width: 32, Format: variant.AVIF}, {Format: variant.JPEG}} {
			got := must(t, c, body, spec).Body
			if bytes.Contains(got, []byte("tmap")) || bytes.Contains(got, []byte("gainmap")) {
				t.Errorf("%s %+v: the variant has a gain map", name, spec)
			}
		}
	}
}
