package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/goldcrest/goldcrest/transform/codec"
	"github.com/goldcrest/goldcrest/transform/codec/judge"
	"github.com/goldcrest/goldcrest/variant"
)

// ocr prints how many of the words that tesseract reads in a lossless document it still reads in each class: the mean
// F1.
func ocr(ctx context.Context, o options) error {
	if _, err := exec.LookPath("tesseract"); err != nil {
		return fmt.Errorf("tesseract is needed (Debian: tesseract-ocr): %w", err)
	}
	dir, err := os.MkdirTemp("", "goldcrest-ocr-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	c, found, err := openAll(o)
	if err != nil {
		return err
	}
	classes := []variant.Class{variant.ClassNormal, variant.ClassSaver}
	f1 := map[variant.Class][]float64{}
	for _, p := range found {
		refs, err := references(p)
		if err != nil {
			return err
		}
		if p.kind != kindText || !o.all && pick(refs[0].source, o.holdOut) != 0 {
			continue
		}
		im, err := refs[0].render()
		if err != nil {
			return err
		}
		words, scores, err := readAgain(ctx, c, im, dir, classes)
		im.Free()
		if err != nil {
			return fmt.Errorf("%s: %w", refs[0].id, err)
		}
		if words < 20 { // A drawing, or a script that tesseract does not know.
			continue
		}
		fmt.Printf("%-44s %5d words", refs[0].id, words)
		for i, class := range classes {
			f1[class] = append(f1[class], scores[i])
			fmt.Printf("  %.3f", scores[i])
		}
		fmt.Println()
	}
	if len(f1[variant.ClassNormal]) == 0 {
		return fmt.Errorf("no document with words in %s", strings.Join(o.dirs, ", "))
	}
	normal, saver := mean(f1[variant.ClassNormal]), mean(f1[variant.ClassSaver])
	fmt.Printf("%d documents: normal %.3f, saver %.3f, ratio %.3f\n", len(f1[variant.ClassNormal]), normal, saver, saver/normal)
	return nil
}

// readAgain counts the words of the lossless picture, and compares those read in each class for a modern client.
func readAgain(ctx context.Context, c *codec.Codec, im *judge.Raster, dir string, classes []variant.Class) (int, []float64, error) {
	file := filepath.Join(dir, "page.png")
	if err := writeRaster(file, im); err != nil {
		return 0, nil, err
	}
	want, err := words(ctx, file)
	if err != nil {
		return 0, nil, err
	}
	original, err := im.Encode(judge.Encoding{Format: variant.PNG})
	if err != nil {
		return 0, nil, err
	}
	var scores []float64
	for _, class := range classes {
		made, err := transformOne(c, original, way{spec: variant.Spec{Format: variant.AVIF, Class: class, Accepts: modern}})
		if err != nil {
			return 0, nil, err
		}
		again, err := judge.NewRaster(made.Body, variant.Spec{Format: variant.PNG}, unlimited)
		if err != nil {
			return 0, nil, err
		}
		err = writeRaster(file, again)
		again.Free()
		if err != nil {
			return 0, nil, err
		}
		got, err := words(ctx, file)
		if err != nil {
			return 0, nil, err
		}
		scores = append(scores, overlap(want, got))
	}
	total := 0
	for _, n := range want {
		total += n
	}
	return total, scores, nil
}

// writeRaster writes a picture as PNG.
func writeRaster(file string, im *judge.Raster) error {
	body, err := im.Encode(judge.Encoding{Format: variant.PNG})
	if err != nil {
		return err
	}
	return os.WriteFile(file, body, 0o600)
}

// words counts the words that tesseract reads.
func words(ctx context.Context, file string) (map[string]int, error) {
	out, err := exec.CommandContext(ctx, "tesseract", file, "-", "--psm", "6").Output()
	if err != nil {
		return nil, fmt.Errorf("tesseract: %w", err)
	}
	count := map[string]int{}
	for _, w := range strings.Fields(string(out)) {
		count[w]++
	}
	return count, nil
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
