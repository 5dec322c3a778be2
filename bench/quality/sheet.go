package main

import (
	"context"
	"fmt"
	"image"
	"image/color"
	"image/draw"
	"image/png"
	"os"
	"path/filepath"

	"golang.org/x/image/font"
	"golang.org/x/image/font/basicfont"
	"golang.org/x/image/math/fixed"

	"github.com/goldcrest/goldcrest/transform/codec"
	"github.com/goldcrest/goldcrest/transform/codec/judge"
	"github.com/goldcrest/goldcrest/variant"
)

// A contact sheet shows the middle of pictures pixel by pixel: the original, and AVIF of each class.
const (
	cellWidth, cellHeight = 420, 300
	cellTitle             = 16
	sheetRows             = 5
)

// sheet writes contact sheets, for inspection of what no score measures.
func sheet(ctx context.Context, o options) error {
	c, found, err := openAll(o)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(o.out, 0o755); err != nil {
		return err
	}
	columns := []way{{name: "original"}}
	for _, w := range ways() {
		switch w.name {
		case "high avif first", "normal avif first", "saver avif first":
			columns = append(columns, w)
		}
	}
	page, used, n := newSheet(len(columns)), 0, 0
	flush := func() error {
		if used == 0 {
			return nil
		}
		n++
		file := filepath.Join(o.out, fmt.Sprintf("sheet-%02d.png", n))
		fmt.Println(file)
		err := writePNG(file, page)
		page, used = newSheet(len(columns)), 0
		return err
	}
	for _, p := range found {
		refs, err := references(p)
		if err != nil {
			return err
		}
		if !o.all && pick(refs[0].source, o.holdOut) != 0 {
			continue
		}
		if err := sheetRow(ctx, c, page, used, refs[0], columns); err != nil {
			return fmt.Errorf("%s: %w", refs[0].id, err)
		}
		if used++; used == sheetRows {
			if err := flush(); err != nil {
				return err
			}
		}
	}
	return flush()
}

func newSheet(columns int) *image.RGBA {
	page := image.NewRGBA(image.Rect(0, 0, columns*cellWidth, sheetRows*(cellHeight+cellTitle)))
	draw.Draw(page, page.Bounds(), image.White, image.Point{}, draw.Src)
	return page
}

// sheetRow draws one picture in every column.
func sheetRow(ctx context.Context, c *codec.Codec, page *image.RGBA, row int, r reference, columns []way) error {
	im, err := r.render()
	if err != nil {
		return err
	}
	defer im.Free()
	original, err := im.Encode(judge.Encoding{Format: variant.PNG})
	if err != nil {
		return err
	}
	for i, w := range columns {
		if err := ctx.Err(); err != nil {
			return err
		}
		body, title := original, r.id
		if i > 0 {
			made, err := transformOne(c, original, w)
			if err != nil {
				return err
			}
			body, title = made.Body, fmt.Sprintf("%s: %s q%d, %.1f KiB", w.name, made.Choice.Kind, made.Quality, float64(len(made.Body))/1024)
		}
		again, err := judge.NewRaster(body, variant.Spec{Format: variant.PNG}, unlimited)
		if err != nil {
			return err
		}
		picture, err := toImage(again)
		again.Free()
		if err != nil {
			return err
		}
		at := image.Pt(i*cellWidth, row*(cellHeight+cellTitle))
		middle := image.Pt((picture.Rect.Dx()-cellWidth)/2, (picture.Rect.Dy()-cellHeight)/2)
		cell := image.Rectangle{at, at.Add(image.Pt(cellWidth-4, cellHeight))}.Add(image.Pt(0, cellTitle))
		draw.Draw(page, cell, picture, image.Pt(max(0, middle.X), max(0, middle.Y)), draw.Src)
		d := font.Drawer{Dst: page, Src: image.Black, Face: basicfont.Face7x13, Dot: fixed.P(at.X+2, at.Y+12)}
		d.DrawString(title)
	}
	return nil
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
	err = png.Encode(f, img)
	if closing := f.Close(); err == nil {
		err = closing
	}
	return err
}
