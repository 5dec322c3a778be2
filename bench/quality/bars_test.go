package main

import (
	"image"
	"image/color"
	"image/png"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/goldcrest/goldcrest/bench/quality/larger"
	"github.com/goldcrest/goldcrest/bench/quality/pictures"
	"github.com/goldcrest/goldcrest/transform/codec"
	"github.com/goldcrest/goldcrest/transform/codec/judge"
	"github.com/goldcrest/goldcrest/variant"
)

// kept are figures that keep every bar.
func kept() (figures []figure) {
	for _, w := range ways() {
		for _, kind := range pictures.Kinds() {
			figures = append(figures, figure{
				libraries: "libvips 1, libheif 2, libaom 3", way: w.name, kind: kind, id: "a", bytes: 1024,
				score: 70, worst: 70, encode: time.Millisecond, made: 2 * time.Millisecond,
			})
		}
	}
	return figures
}

// missed are the sentences of the bars that figures do not keep.
func missed(figures []figure) (sentences []string) {
	for _, b := range barsOf(figures) {
		if !b.holds() {
			sentences = append(sentences, b.sentence)
		}
	}
	return sentences
}

func TestBarsTellWhatIsMissed(t *testing.T) {
	if got := missed(kept()); got != nil {
		t.Fatalf("missed: %q", got)
	}
	twice := func(f *figure) { f.bytes *= 2 }
	for _, c := range []struct {
		way, kind string
		spoil     func(*figure)
		want      string
	}{
		{"normal avif final", pictures.Photo, func(f *figure) { f.score = 68 }, "normal avif final, photos: worst"},
		{"normal avif hot", pictures.Photo, twice, "normal avif hot, photos: oracle's bytes"},
		{"normal avif first", pictures.Graphic, func(f *figure) { f.worst = 60 }, "normal avif first, drawings: worst"},
		{"saver jpeg first", pictures.Text, func(f *figure) { f.worst = 59 }, "saver first, print: worst tile"},
		{"normal webp final", pictures.Text, func(f *figure) { f.score = 76 }, "normal webp final, print: mean"},
		{"saver webp final", pictures.Graphic, func(f *figure) { f.made *= 9 }, "saver webp final, drawings: encodes"},
	} {
		figures := kept()
		for i := range figures {
			if f := &figures[i]; f.way == c.way && f.kind == c.kind {
				c.spoil(f)
			}
		}
		if got := missed(figures); !slices.Contains(got, c.want) {
			t.Errorf("%s of %s is spoilt, missed are %q, want %q", c.way, c.kind, got, c.want)
		}
	}
}

// A bar of what was not measured is not kept.
func TestBarsOfNothingAreMissed(t *testing.T) {
	for _, b := range barsOf([]figure{{way: "other", kind: pictures.Photo}}) {
		if !math.IsNaN(b.value) || b.holds() {
			t.Errorf("%+v", b)
		}
	}
}

// A folder without pictures proves nothing.
func TestNothingIsNotLarger(t *testing.T) {
	if all, err := larger.Measure(t.Context(), nil, []string{t.TempDir()}, 1); err == nil {
		t.Errorf("no error, %d variants", len(all))
	}
}

func TestFiguresAreReadAsKept(t *testing.T) {
	file := filepath.Join(t.TempDir(), "figures")
	want := kept()
	for _, part := range [][]figure{want[:3], want[3:]} {
		if err := keepFigures(file, part); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := readFigures(file); err != nil || !slices.Equal(got, want) {
		t.Errorf("%v, read %v, want %v", err, got, want)
	}
}

func TestCellsOfPrintHaveItsTiles(t *testing.T) {
	figures := append(kept(), figure{way: oracle8, kind: pictures.Text, bytes: 3072, score: 80, worst: 60})
	s := summarize(figures, oracle8, pictures.Text)
	if got, want := s.cell(pictures.Text), "2.0, 75.0 (5.0), 65.0, 60.0"; got != want {
		t.Errorf("cell %q, want %q", got, want)
	}
	if got, want := s.cell(pictures.Photo), "2.0, 75.0 (5.0), 71.0, 70.0"; got != want {
		t.Errorf("cell %q, want %q", got, want)
	}
}

// The oracle's encode reaches its score, and the one below does not.
func TestOracleIsTheLowest(t *testing.T) {
	if _, err := codec.New(codec.EngineVips); err != nil {
		t.Fatal(err)
	}
	im := image.NewRGBA(image.Rect(0, 0, 160, 120))
	for i := range 160 * 120 {
		x, y := i%160, i/160
		im.SetRGBA(x, y, color.RGBA{uint8(x + y%7*9), uint8(2*y + x%5*11), uint8(x * y), 255})
	}
	var b strings.Builder
	if err := png.Encode(&b, im); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "a.png")
	if err := os.WriteFile(file, []byte(b.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := pictures.Reference{Kind: pictures.Photo, File: file, Spec: variant.Spec{Format: variant.PNG}}.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	w := way{fixed: &judge.Encoding{Format: variant.JPEG}, least: 60}
	e, err := w.lowest(s, map[judge.Encoding]attempt{})
	if err != nil {
		t.Fatal(err)
	}
	scoreAt := func(q int) float64 {
		e.Q = q
		body, err := s.Encode(*e)
		if err != nil {
			t.Fatal(err)
		}
		score, _, err := s.Score(body)
		if err != nil {
			t.Fatal(err)
		}
		return score
	}
	if at, below := scoreAt(e.Q), scoreAt(e.Q-1); at < w.least || below >= w.least {
		t.Errorf("q %d scores %.1f, one less %.1f, want %.0f between", e.Q+1, at, below, w.least)
	}
}
