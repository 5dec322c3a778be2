package pages_test

import (
	"bytes"
	"image"
	"testing"

	"github.com/goldcrest/goldcrest/bench/reading/pages"
)

// TestPagesHaveWords draws one page of each layout.
func TestPagesHaveWords(t *testing.T) {
	all, err := pages.Draw(1, "")
	if err != nil || len(all) != 10 {
		t.Fatalf("%d pages; %v", len(all), err)
	}
	for _, p := range all {
		if _, _, err := image.DecodeConfig(bytes.NewReader(p.Body)); err != nil {
			t.Errorf("%s: %v", p.Name, err)
		}
		if len(p.Words) < 40 {
			t.Errorf("%s has %d words, want at least 40", p.Name, len(p.Words))
		}
	}
}
