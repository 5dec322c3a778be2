package codec

import (
	"testing"

	"github.com/goldcrest/goldcrest/variant"
)

// mustNew returns a codec as in a worker.
func mustNew(t testing.TB, engine string) *Codec {
	t.Helper()
	c := mustShare(t, engine)
	c.Alone()
	return c
}

// mustShare returns a codec for several goroutines.
func mustShare(t testing.TB, engine string) *Codec {
	t.Helper()
	c, err := New(engine)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// one makes a single variant.
func one(t testing.TB, c *Codec, original []byte, spec variant.Spec, lim Limits) (variant.Image, error) {
	t.Helper()
	return oneOf(t, c, variant.Original{Body: original}, spec, lim)
}

// oneOf is one of an original with marks.
func oneOf(t testing.TB, c *Codec, o variant.Original, spec variant.Spec, lim Limits) (variant.Image, error) {
	t.Helper()
	var got variant.Image
	var fail error
	emitted := false
	err := c.Transform(o, []variant.Spec{spec}, variant.StageFirst, lim, func(i int, img variant.Image, err error) {
		if i != 0 || emitted {
			t.Fatalf("emit(%d) emitted before: %v", i, emitted)
		}
		got, fail, emitted = img, err, true
	})
	if err != nil {
		return got, err
	}
	if !emitted {
		t.Fatal("neither emitted nor failed")
	}
	return got, fail
}

// must is one for a spec that must succeed.
func must(t testing.TB, c *Codec, original []byte, spec variant.Spec) variant.Image {
	t.Helper()
	img, err := one(t, c, original, spec, testLimits)
	if err != nil {
		t.Fatalf("Transform(%+v): %v", spec, err)
	}
	return img
}

var formats = []variant.Format{variant.JPEG, variant.PNG, variant.WebP, variant.AVIF, variant.GIF}
