package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/goldcrest/goldcrest/bench/quality/pictures"
	"github.com/goldcrest/goldcrest/bench/quality/stats"
	"github.com/goldcrest/goldcrest/transform/codec"
	"github.com/goldcrest/goldcrest/transform/codec/judge"
	"github.com/goldcrest/goldcrest/variant"
)

// readings are what tesseract reads in a document: the words of the lossless picture, and the F1 of each way.
type readings struct {
	words int
	f1    []float64
}

// ocr prints how many of the words that tesseract reads in a lossless document it still reads in each way: the mean F1.
func ocr(ctx context.Context, o options) error {
	if _, err := exec.LookPath("tesseract"); err != nil {
		return fmt.Errorf("tesseract is needed (Debian: tesseract-ocr): %w", err)
	}
	dir, err := os.MkdirTemp("", "goldcrest-ocr-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	c, found, err := o.Find()
	if err != nil {
		return err
	}
	in := o.classes()
	wanted := func(r pictures.Reference) bool { return r.Kind == pictures.Text && o.Judges(r.Source) }
	all, err := pictures.Each(ctx, o.Jobs, found, wanted, func(r pictures.Reference) ([]readings, error) {
		read, err := readAgain(ctx, c, r, in, dir)
		if err != nil || read.words < 20 { // A drawing, or a script that tesseract does not know.
			return nil, err
		}
		fmt.Printf("%-44s %5d words %.3f\n", r.ID, read.words, read.f1)
		return []readings{read}, nil
	})
	if err != nil {
		return err
	}
	if len(all) == 0 {
		return fmt.Errorf("no document with words in %s", strings.Join(o.Dirs, ", "))
	}
	fmt.Printf("%d documents, libraries %v\n", len(all), c.Versions())
	for i, w := range in {
		var f1 []float64
		for _, read := range all {
			f1 = append(f1, read.f1[i])
		}
		fmt.Printf("%-20s mean %.3f worst %.3f\n", w.name, stats.Mean(f1), slices.Min(f1))
	}
	return nil
}

// readAgain counts the words of a lossless document, and compares those read in each way.
func readAgain(ctx context.Context, c *codec.Codec, r pictures.Reference, in []way, dir string) (read readings, err error) {
	s, err := r.Open()
	if err != nil {
		return read, err
	}
	defer s.Close()
	file := filepath.Join(dir, r.ID+".png")
	want, err := words(ctx, file, s.Lossless)
	if err != nil {
		return read, err
	}
	for _, n := range want {
		read.words += n
	}
	for _, w := range in {
		made, err := s.Make(c, w.spec, w.stage)
		if err != nil {
			return read, err
		}
		again, err := judge.NewRaster(made.Body, variant.Spec{Format: variant.PNG}, pictures.Unlimited)
		if err != nil {
			return read, err
		}
		body, err := again.Encode(judge.Encoding{Format: variant.PNG})
		again.Free()
		if err != nil {
			return read, err
		}
		got, err := words(ctx, file, body)
		if err != nil {
			return read, err
		}
		read.f1 = append(read.f1, overlap(want, got))
	}
	return read, nil
}

// words counts the words that tesseract reads in a PNG, which is written to file.
func words(ctx context.Context, file string, body []byte) (map[string]int, error) {
	if err := os.WriteFile(file, body, 0o600); err != nil {
		return nil, err
	}
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
