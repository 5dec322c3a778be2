package render

import (
	"testing"

	"github.com/goldcrest/goldcrest/transform/codec/codectest"
	"github.com/goldcrest/goldcrest/transform/codec/geometry"
	"github.com/goldcrest/goldcrest/transform/codec/vips"
	"github.com/goldcrest/goldcrest/variant"
)

// The cost of a placeholder, besides the copy of the pixels that is made anyway.
func BenchmarkPlaceholder(b *testing.B) {
	if err := vips.Boot(); err != nil {
		b.Fatal(err)
	}
	im, err := vips.FromPixels(codectest.Scene(800, 600).Pix, 800, 600, 4)
	if err != nil {
		b.Fatal(err)
	}
	defer im.Free()
	for name, watched := range map[string]bool{"copied": false, "summed up": true} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				p := Picture{Im: im.Clone(), Size: geometry.Size{W: 800, H: 600}}
				if watched {
					if err := p.watch(); err != nil {
						b.Fatal(err)
					}
				}
				if err := p.Im.Memory(); err != nil {
					b.Fatal(err)
				}
				if watched && p.Placeholder(variant.WebP, variant.Color{}) == "" {
					b.Fatal("no placeholder")
				}
				p.Free()
			}
		})
	}
}
