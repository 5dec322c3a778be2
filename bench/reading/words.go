package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"

	"github.com/goldcrest/goldcrest/transform"
	"github.com/goldcrest/goldcrest/transform/codec/judge"
	"github.com/goldcrest/goldcrest/variant"
)

// reader reads pictures of one document. A picture that it has read before is not read again.
type reader struct {
	origin string // where servers find the document
	builds []build
	file   string // where pictures are written
	seen   map[string]map[string]int
}

// words counts the words that tesseract reads in a picture.
func (r *reader) words(ctx context.Context, body []byte) (map[string]int, error) {
	if got, ok := r.seen[string(body)]; ok {
		return got, nil
	}
	lim := transform.Limits{Pixels: 1 << 30, ResultPixels: 1 << 30, Frames: 1}
	im, err := judge.NewRaster(body, variant.Spec{Format: variant.PNG}, lim)
	if err != nil {
		return nil, err
	}
	defer im.Free()
	png, err := im.Encode(judge.Encoding{Format: variant.PNG})
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(r.file, png, 0o600); err != nil {
		return nil, err
	}
	// 11 is for text in no order, as on screens and forms.
	cmd := exec.CommandContext(ctx, "tesseract", r.file, "-", "--psm", "11")
	cmd.Env = append(os.Environ(), "OMP_THREAD_LIMIT=1")
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("tesseract: %w", err)
	}
	got := bag(strings.Fields(string(out)))
	r.seen[string(body)] = got
	return got, nil
}

// bag counts words.
func bag(words []string) map[string]int {
	count := map[string]int{}
	for _, w := range words {
		count[w]++
	}
	return count
}

// overlap is the F1 of two bags of words: twice the number they share, divided by the sum of their sizes.
func overlap(a, b map[string]int) float64 {
	shared, total := 0, 0
	for w, n := range a {
		shared += min(n, b[w])
		total += n
	}
	for _, n := range b {
		total += n
	}
	if total == 0 {
		return 0
	}
	return 2 * float64(shared) / float64(total)
}
