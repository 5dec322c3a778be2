package codec

import (
	"github.com/goldcrest/goldcrest/variant"
	_ "github.com/h2non/bimg" // Its init starts libvips.
)

func bimgGroup(_ chooser, _ *source, group []*job, _ func(i int, img variant.Image, err error)) []*job {
	return group
}
