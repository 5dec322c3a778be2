package demo

import (
	"testing"

	"github.com/goldcrest/goldcrest/transform/codec"
	"github.com/goldcrest/goldcrest/variant"
)

// In the demo's table no generated picture is larger than its original.
func TestDrawnPicturesNeverGrow(t *testing.T) {
	c, err := codec.New("")
	if err != nil {
		t.Fatal(err)
	}
	pictures, err := drawnPictures()
	if err != nil {
		t.Fatal(err)
	}
	lim := codec.Limits{Pixels: 50e6, ResultPixels: 16e6, AVIFPixels: 2e6, Frames: 1}
	for _, p := range pictures {
		for _, client := range clients() {
			a := variant.ParseAccept(client.accept, variant.Negotiation{Formats: []string{"avif", "webp", "jpeg"}, Unknown: "jpeg"})
			spec := variant.Spec{Width: 800}.Resolve(a)
			err := c.Transform(variant.Original{Body: p.body}, []variant.Spec{spec}, variant.StageFirst, lim, func(_ int, img variant.Image, err error) {
				if err != nil || len(img.Body) > len(p.body) {
					t.Errorf("%s for %s: %d bytes of %d (%s), %v", p.name, client.name, len(img.Body), len(p.body), img.Note, err)
				}
			})
			if err != nil {
				t.Fatal(err)
			}
		}
	}
}
