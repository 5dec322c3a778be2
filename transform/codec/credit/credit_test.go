package credit

import (
	"bytes"
	"image"
	"image/color"
	"image/jpeg"
	"image/png"
	"strings"
	"testing"

	"github.com/goldcrest/goldcrest/sniff"
	"github.com/goldcrest/goldcrest/transform/codec/container"
	"github.com/goldcrest/goldcrest/variant"
)

func picture() image.Image {
	im := image.NewNRGBA(image.Rect(0, 0, 20, 10))
	for i := range im.Pix {
		im.Pix[i] = byte(i) | 1
	}
	im.Set(0, 0, color.NRGBA{1, 2, 3, 255})
	return im
}

func file(tb testing.TB, f variant.Format) []byte {
	tb.Helper()
	var b bytes.Buffer
	var err error
	if f == variant.PNG {
		err = png.Encode(&b, picture())
	} else {
		err = jpeg.Encode(&b, picture(), nil)
	}
	if err != nil {
		tb.Fatal(err)
	}
	return b.Bytes()
}

// block is what a camera writes: a copyright in two parts, an artist, a serial number and a place.
func block() []byte {
	return []byte("Exif\x00\x00II*\x00\x08\x00\x00\x00\x04\x00" +
		"\x3b\x01\x02\x00\x04\x00\x00\x00Ann\x00" +
		"\x98\x82\x02\x00\x09\x00\x00\x00\x3e\x00\x00\x00" +
		"\x25\x88\x04\x00\x01\x00\x00\x00\x47\x00\x00\x00" +
		"\x31\xa4\x02\x00\x07\x00\x00\x00\x47\x00\x00\x00" +
		"\x00\x00\x00\x00" +
		"(c) A\x00B\x01\x00SERIAL1")
}

func TestRead(t *testing.T) {
	for _, b := range [][]byte{block(), block()[6:]} {
		if got := Read(b); got.Artist != "Ann" || got.Copyright != "(c) A; B" {
			t.Errorf("%+v", got)
		}
	}
	long := Kept{Artist: strings.Repeat("é", 2000)}
	if got := Read(long.exif()); len(got.Artist) > maxText+1 || !strings.HasPrefix(got.Artist, "éé") {
		t.Errorf("%d bytes", len(got.Artist))
	}
	for _, b := range []string{"", "Exif\x00\x00", "II*\x00\xff\xff\xff\xff", "MM\x00*\x00\x00\x00\x08\x00\x01"} {
		if got := Read([]byte(b)); got.Artist+got.Copyright != "" {
			t.Errorf("%q: %+v", b, got)
		}
	}
}

// What is written is read again, changes no pixel, and is gone when the file is stripped. Nothing else of the block is
// in the file.
func TestWrite(t *testing.T) {
	kept := Read(block())
	kept.Profile = bytes.Repeat([]byte("profile "), 10_000) // more than a segment of a JPEG holds
	for _, f := range []variant.Format{variant.JPEG, variant.PNG} {
		plain := file(t, f)
		got, err := kept.Write(f, plain)
		if err != nil {
			t.Fatal(err)
		}
		at := bytes.Index(got, []byte("MM\x00*"))
		if at < 0 || Read(got[at:]).Copyright != kept.Copyright || Read(got[at:]).Artist != "Ann" {
			t.Errorf("%s: the texts are not in the file", f)
		}
		if bytes.Contains(got, []byte("SERIAL")) {
			t.Errorf("%s: the serial number is in the file", f)
		}
		info, err := sniff.Inspect(got)
		if err != nil || !info.Profile || !info.Complete || info.End != len(got) {
			t.Errorf("%s: %+v, %v", f, info, err)
		}
		stripped, err := container.Strip(f, got)
		want, err2 := container.Strip(f, plain)
		if err != nil || err2 != nil || !bytes.Equal(stripped, want) {
			t.Errorf("%s: stripped it is not the file, %v, %v", f, err, err2)
		}
		again, _, err := image.Decode(bytes.NewReader(got))
		first, _, _ := image.Decode(bytes.NewReader(plain))
		if err != nil || again.At(3, 4) != first.At(3, 4) {
			t.Errorf("%s: other pixels, %v", f, err)
		}
	}
	plain := file(t, variant.JPEG)
	if got, err := (Kept{}).Write(variant.JPEG, plain); err != nil || !bytes.Equal(got, plain) {
		t.Errorf("nothing to keep: %v", err)
	}
	if _, err := kept.Write(variant.AVIF, plain); err == nil {
		t.Error("an AVIF was written")
	}
}

// A simple WebP becomes an extended one of the same size, with its alpha; of an extended one the flags are added.
func TestWriteWebP(t *testing.T) {
	simple := []byte("RIFF\x1c\x00\x00\x00WEBPVP8L\x10\x00\x00\x00" +
		"\x2f\x13\x40\x02\x10\x07\x10\x11\x11\x88\x88\xfe\x07\x00\x00\x00")
	kept := Kept{Artist: "Ann", Profile: []byte("odd")}
	got, err := kept.Write(variant.WebP, simple)
	if err != nil {
		t.Fatal(err)
	}
	info, err := sniff.Inspect(got)
	if err != nil || info.Width != 20 || info.Height != 10 || !info.Profile || !info.Alpha || info.End != len(got) {
		t.Errorf("%+v, %v", info, err)
	}
	again, err := (Kept{Artist: "Ann"}).Write(variant.WebP, got)
	if err != nil || again[20] != webpICC|webpAlpha|webpEXIF || bytes.Count(again, []byte("VP8X")) != 1 {
		t.Errorf("% x, %v", again[:30], err)
	}
}

func FuzzCredit(f *testing.F) {
	f.Add(block(), []byte("profile"))
	f.Add([]byte("MM\x00*\x00\x00\x00\x08\x00\x01\x82\x98\x00\x02\x00\x00\x00\x02a\x00"), []byte(nil))
	plain := file(f, variant.JPEG)
	f.Fuzz(func(t *testing.T, exif, profile []byte) {
		kept := Read(exif)
		if again := Read(kept.exif()); again.Artist != kept.Artist || again.Copyright != kept.Copyright {
			t.Errorf("%+v became %+v", kept, again)
		}
		if kept.Profile = profile; len(profile) == 0 {
			kept.Profile = nil
		}
		got, err := kept.Write(variant.JPEG, plain)
		if err != nil {
			t.Fatal(err)
		}
		if stripped, err := container.Strip(variant.JPEG, got); err != nil || !bytes.Equal(stripped, plain) {
			t.Errorf("stripped it is not the file: %v", err)
		}
	})
}
