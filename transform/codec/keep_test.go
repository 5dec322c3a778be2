package codec

import (
	"bytes"
	"encoding/binary"
	"image"
	"image/color"
	"testing"

	"github.com/goldcrest/goldcrest/sniff"
	"github.com/goldcrest/goldcrest/transform/codec/codectest"
	"github.com/goldcrest/goldcrest/transform/codec/credit"
	"github.com/goldcrest/goldcrest/variant"
)

// camera is an EXIF block with a copyright and a serial number.
const camera = "Exif\x00\x00MM\x00*\x00\x00\x00\x08\x00\x02" +
	"\x82\x98\x00\x02\x00\x00\x00\x08\x00\x00\x00\x26" + "\xa4\x31\x00\x02\x00\x00\x00\x07\x00\x00\x00\x2e" +
	"\x00\x00\x00\x00" + "(c) Ann\x00" + "SERIAL\x00\x00"

// reddish is a flat picture whose red is 200 in Display P3, and more in sRGB.
func reddish() *image.NRGBA {
	im := image.NewNRGBA(image.Rect(0, 0, 60, 40))
	codectest.Fill(im, im.Rect, color.NRGBA{200, 60, 60, 255})
	return im
}

func jpegWithEXIF(b []byte) []byte {
	out := binary.BigEndian.AppendUint16([]byte("\xff\xd8\xff\xe1"), uint16(len(camera)+2))
	return append(append(out, camera...), b[2:]...)
}

// Copyright and profile are kept where the URL asks for it, in each format, and nothing else is.
func TestKeep(t *testing.T) {
	c := mustNew(t, "")
	profile := displayP3ICC()
	original := jpegWithEXIF(jpegWithICC(jpegOf(t, reddish(), 95), profile))
	for _, f := range []variant.Format{variant.JPEG, variant.PNG, variant.WebP} {
		for _, keep := range []variant.Keep{
			{}, {KeepCopyright: true}, {KeepProfile: true}, {KeepCopyright: true, KeepProfile: true},
		} {
			img := must(t, c, original, variant.Spec{Width: 30, Format: f, Keep: keep})
			info, err := sniff.Inspect(img.Body)
			if err != nil || info.Profile != keep.KeepProfile {
				t.Errorf("%s %+v: %+v, %v", f, keep, info, err)
			}
			got := ""
			if at := bytes.Index(img.Body, []byte("MM\x00*")); at >= 0 {
				got = credit.Read(img.Body[at:]).Copyright
			}
			want := map[bool]string{true: "(c) Ann"}[keep.KeepCopyright]
			if got != want || bytes.Contains(img.Body, []byte("SERIAL")) {
				t.Errorf("%s %+v: copyright %q", f, keep, got)
			}
			if r, _, _, _ := decoded(t, img.Body).At(15, 10).RGBA(); keep.KeepProfile == (r>>8 > 206) {
				t.Errorf("%s %+v: red is %d", f, keep, r>>8)
			}
		}
	}
}

// A final variant with its profile is compared with pixels that are not converted either. It reaches the
// target at about the q of the same picture in sRGB.
func TestKeptProfileDoesNotChangeTheScore(t *testing.T) {
	c := mustNew(t, "")
	plain := jpegOf(t, codectest.Scene(800, 600), 95)
	original := jpegWithICC(plain, displayP3ICC())
	for _, f := range []variant.Format{variant.JPEG, variant.WebP} {
		spec := variant.Spec{Width: 400, Format: f}
		want := staged(t, c, plain, spec, variant.StageFinal)
		spec.KeepProfile = true
		got := staged(t, c, original, spec, variant.StageFinal)
		if off := got.Quality - want.Quality; got.Choice.Score == 0 || off < -8 || off > 8 {
			t.Errorf("%s: q %d with a profile, %d in sRGB; %s", f, got.Quality, want.Quality, got.Choice.Tried)
		}
	}
}

// Variants with and without a profile of one call do not share pixels.
func TestKeepInOneCall(t *testing.T) {
	c := mustNew(t, "")
	original := jpegWithICC(jpegOf(t, reddish(), 95), displayP3ICC())
	specs := []variant.Spec{
		{Width: 50, Format: variant.PNG}, {Width: 30, Format: variant.PNG, Keep: variant.Keep{KeepProfile: true}},
	}
	source := variant.Original{Body: original}
	err := c.Transform(source, specs, variant.StageFinal, testLimits, func(i int, img variant.Image, err error) {
		if err != nil {
			t.Fatal(err)
		}
		alone := must(t, c, original, specs[i])
		if worst, _ := unlike(decoded(t, img.Body), decoded(t, alone.Body), 10); worst > 2 {
			t.Errorf("variant %d differs by %.1f from the same made alone", i, worst)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
}
