package decode

import (
	"testing"

	"github.com/goldcrest/goldcrest/sniff"
	"github.com/goldcrest/goldcrest/transform/codec/codectest"
	"github.com/goldcrest/goldcrest/transform/codec/container"
)

func FuzzPNG(f *testing.F) {
	img := codectest.Noise(9, 7, 2)
	f.Add(codectest.PNG(f, img))
	b := codectest.PNG(f, img)
	f.Add(append(container.AppendPNGChunk(b[:33:33], "gAMA", []byte{0, 1, 0x86, 0xa0}), b[33:]...))
	f.Fuzz(func(t *testing.T, b []byte) {
		in, err := sniff.Inspect(b)
		if err != nil || in.Format != "png" || in.Pixels() > 1<<16 {
			return
		}
		_ = checkPNG(b)
		if c, byProfile := pngColours(b); c != nil && byProfile {
			t.Fatal("both a profile and other colours count")
		}
		s := Source{Original: b, Info: in}
		if err := s.mendPNG(); err != nil {
			return
		}
		if mended, err := sniff.Inspect(s.body); err != nil || !mended.Complete || !container.PNGComplete(s.body) {
			t.Fatalf("what was mended is not whole: %+v, %v", mended, err)
		}
	})
}
