package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/draw"
	"image/png"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/image/font"
	"golang.org/x/image/font/basicfont"
	"golang.org/x/image/math/fixed"

	"github.com/goldcrest/goldcrest/bench/quality/pictures"
	"github.com/goldcrest/goldcrest/transform/codec/judge"
	"github.com/goldcrest/goldcrest/variant"
)

// A contact sheet shows parts of pictures pixel by pixel: on the left the original, on the right the variant.
const (
	cellWidth, cellHeight = 420, 300
	cellTitle             = 16
	sheetRows             = 4
)

// candidate is a variant that may be among the lowest-scoring ones of its way and kind.
type candidate struct {
	way   string
	ref   pictures.Reference
	made  variant.Image
	score float64 // of its worst part
}

// sheet writes a contact sheet of the lowest-scoring variants of each way and kind, for inspection by eye.
func sheet(ctx context.Context, o options) error {
	c, found, err := o.Find()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(o.out, 0o755); err != nil {
		return err
	}
	in := o.classes()
	wanted := func(r pictures.Reference) bool { return o.Judges(r.Source) }
	all, err := pictures.Each(ctx, o.Jobs, found, wanted, func(r pictures.Reference) (made []candidate, err error) {
		s, err := r.Open()
		if err != nil {
			return nil, err
		}
		defer s.Close()
		for _, w := range in {
			img, err := s.Make(c, w.spec, w.stage)
			if err != nil {
				return nil, err
			}
			score, worst, err := s.Score(img.Body)
			if err != nil {
				return nil, err
			}
			made = append(made, candidate{w.name, r, img, min(score, worst)})
		}
		return made, nil
	})
	if err != nil {
		return err
	}
	for _, w := range in {
		for _, kind := range pictures.Kinds() {
			if err := writeSheet(o.out, w.name, kind, all); err != nil {
				return err
			}
		}
	}
	return nil
}

// writeSheet draws the lowest-scoring variants of one way and kind.
func writeSheet(dir, name, kind string, all []candidate) error {
	of := slices.DeleteFunc(slices.Clone(all), func(c candidate) bool { return c.way != name || c.ref.Kind != kind })
	if len(of) == 0 {
		return nil
	}
	slices.SortFunc(of, func(a, b candidate) int { return cmp.Compare(a.score, b.score) })
	page := image.NewRGBA(image.Rect(0, 0, 2*cellWidth, sheetRows*(cellHeight+cellTitle)))
	draw.Draw(page, page.Bounds(), image.White, image.Point{}, draw.Src)
	for i, c := range of[:min(len(of), sheetRows)] {
		if err := c.draw(page, i*(cellHeight+cellTitle)); err != nil {
			return fmt.Errorf("%s: %w", c.ref.ID, err)
		}
	}
	file := filepath.Join(dir, strings.ReplaceAll(name, " ", "-")+"-"+kind+".png")
	fmt.Println(file)
	return writePNG(file, page)
}

// draw draws the part of a variant that differs most from its original, beside it.
func (c candidate) draw(page *image.RGBA, y int) error {
	original, err := c.ref.Render()
	if err != nil {
		return err
	}
	defer original.Free()
	made, err := judge.NewRaster(c.made.Body, variant.Spec{Format: variant.PNG}, pictures.Unlimited)
	if err != nil {
		return err
	}
	defer made.Free()
	left, err := toImage(original)
	if err != nil {
		return err
	}
	right, err := toImage(made)
	if err != nil {
		return err
	}
	from := differsMost(left, right)
	for i, img := range []*image.NRGBA{left, right} {
		cell := image.Rect(0, 0, cellWidth-4, cellHeight).Add(image.Pt(i*cellWidth, y+cellTitle))
		draw.Draw(page, cell, img, from, draw.Src)
	}
	title := func(x int, text string) {
		d := font.Drawer{Dst: page, Src: image.Black, Face: basicfont.Face7x13, Dot: fixed.P(x, y+12)}
		d.DrawString(text)
	}
	title(2, c.ref.ID)
	title(cellWidth+2, fmt.Sprintf("%.1f: %s %s q%d, %.1f KiB", c.score, c.made.Choice.Kind, c.made.Format, c.made.Quality, float64(len(c.made.Body))/1024))
	return nil
}

// differsMost is the corner of the part with the largest squared difference.
func differsMost(a, b *image.NRGBA) (at image.Point) {
	const step, stride = 40, 2
	most := -1
	for y := 0; y == 0 || y+cellHeight <= a.Rect.Dy(); y += step {
		for x := 0; x == 0 || x+cellWidth <= a.Rect.Dx(); x += step {
			sum := 0
			for r := y; r < min(y+cellHeight, a.Rect.Dy()); r += stride {
				row := r * a.Stride
				for i := row + 4*x; i < row+4*min(x+cellWidth, a.Rect.Dx()); i += 4 * stride {
					d := int(a.Pix[i+1]) - int(b.Pix[i+1])
					sum += d * d
				}
			}
			if sum > most {
				most, at = sum, image.Pt(x, y)
			}
		}
	}
	return at
}

func toImage(r *judge.Raster) (*image.NRGBA, error) {
	samples, bands, err := r.Pixels()
	if err != nil {
		return nil, err
	}
	width, height := r.Size()
	out := image.NewNRGBA(image.Rect(0, 0, width, height))
	for i := range width * height {
		p := samples[i*bands:]
		out.SetNRGBA(i%width, i/width, color.NRGBA{p[0], p[min(1, bands-1)], p[min(2, bands-1)], 255})
	}
	return out, nil
}

func writePNG(file string, img image.Image) error {
	f, err := os.Create(file)
	if err != nil {
		return err
	}
	return errors.Join(png.Encode(f, img), f.Close())
}
