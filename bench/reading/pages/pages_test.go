package pages_test

import (
	"bytes"
	"image"
	"testing"

	"github.com/goldcrest/goldcrest/bench/reading/pages"
)

// TestPagesAreTheSameAgain draws one page of each layout twice, and finds words on each.
func TestPagesAreTheSameAgain(t *testing.T) {
	first, err := pages.Draw(1, "")
	if err != nil {
		t.Fatal(err)
	}
	again, err := pages.Draw(1, "")
	if err != nil {
		t.Fatal(err)
	}
	for i, p := range first {
		if !bytes.Equal(p.Body, again[i].Body) {
			t.Errorf("%s differs when it is drawn again", p.Name)
		}
		if _, _, err := image.DecodeConfig(bytes.NewReader(p.Body)); err != nil {
			t.Errorf("%s: %v", p.Name, err)
		}
		if len(p.Words) < 40 {
			t.Errorf("%s has %d words, want at least 40", p.Name, len(p.Words))
		}
	}
}
