package dominant

import (
	"bytes"
	"testing"
)

func TestColour(t *testing.T) {
	join := func(parts ...[]byte) []byte { return bytes.Join(parts, nil) }
	pixels := func(n int, px ...byte) []byte { return bytes.Repeat(px, n) }
	for name, tc := range map[string]struct {
		samples []byte
		bands   int
		want    string
	}{
		"grey":            {pixels(3, 200), 1, "#c8c8c8"},
		"the larger part": {join(pixels(5, 10, 20, 30), pixels(6, 250, 0, 1)), 3, "#fa0001"},
		"not the mean":    {join(pixels(50, 255, 0, 0), pixels(49, 0, 0, 255)), 3, "#ff0000"},
		"across a level": {
			join(pixels(3, 127, 8, 8), pixels(3, 129, 8, 8), pixels(5, 0, 255, 0)), 3, "#800808"},
		"what is clear does not count": {join(pixels(9, 0, 0, 0, 0), pixels(1, 9, 8, 7, 255)), 4, "#090807"},
		"by alpha":                     {join(pixels(3, 0, 0, 0, 50), pixels(1, 255, 255, 255, 255)), 4, "#ffffff"},
		"grey with alpha":              {join(pixels(3, 0, 0), pixels(1, 77, 3)), 2, "#4d4d4d"},
		"nothing to see":               {pixels(4, 1, 2, 3, 0), 4, ""},
		"no pixels":                    {nil, 3, ""},
		"white":                        {pixels(1, 255, 255, 255), 3, "#ffffff"},
	} {
		if got := Colour(tc.samples, tc.bands); got != tc.want {
			t.Errorf("%s: %s, want %s", name, got, tc.want)
		}
	}
}
