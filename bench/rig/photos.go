package rig

import (
	"bytes"
	"image"
	"image/color"
	"image/jpeg"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/goldcrest/goldcrest/sniff"
)

// The sizes of the originals, in pixels, and the largest number of them in a round.
const (
	minPixels = 1_000_000
	maxPixels = 12_500_000 // what phones call 12 MP
	maxPhotos = 32
	ColdWidth = 800
)

// Photo is an original.
type Photo struct {
	Name, File string
	Body       []byte
}

// Photos finds colour JPEGs of 1 to 12 MP that are larger than 800 px: in a test corpus beside the project, in Debian's
// package mate-backgrounds, and in the folder of -dir.
func (b *Bench) Photos() ([]Photo, error) {
	corpus := os.Getenv("GOLDCREST_CORPUS")
	if corpus == "" {
		corpus = "../../shared/corpus"
	}
	dirs := []string{filepath.Join(corpus, "photos"), "/usr/share/backgrounds/mate/nature"}
	if b.Dir != "" {
		dirs = []string{b.Dir}
	}
	var found []Photo
	for _, dir := range dirs {
		files, _ := os.ReadDir(dir) // A missing folder is empty.
		for _, f := range files {
			if ext := strings.ToLower(filepath.Ext(f.Name())); ext != ".jpg" && ext != ".jpeg" {
				continue
			}
			file := filepath.Join(dir, f.Name())
			body, err := os.ReadFile(file)
			if err != nil {
				return nil, err
			}
			if fits(body) {
				found = append(found, Photo{strings.ReplaceAll(f.Name(), " ", "_"), file, body})
			}
		}
	}
	if len(found) < 8 {
		return nil, Skipped("%d photos in %s; -dir names a folder with more (the package mate-backgrounds has some)", len(found), strings.Join(dirs, ", "))
	}
	slices.SortFunc(found, func(a, b Photo) int { return strings.Compare(a.Name, b.Name) })
	return found[:min(len(found), maxPhotos)], nil
}

func fits(body []byte) bool {
	info, err := sniff.Inspect(body)
	if err != nil || info.Format != "jpeg" || info.CMYK || info.Channels != 3 || !info.Complete {
		return false
	}
	width, _ := info.Upright()
	return width > ColdWidth && info.Pixels() >= minPixels && info.Pixels() <= maxPixels
}

// Originals returns the photos as an origin serves them.
func Originals(photos []Photo) map[string][]byte {
	m := map[string][]byte{}
	for _, p := range photos {
		m[p.Name] = p.Body
	}
	return m
}

// DrawPicture is an original with detail at every scale.
func DrawPicture() []byte {
	img := image.NewRGBA(image.Rect(0, 0, 1200, 900))
	seed := uint32(1)
	for y := range 900 {
		for x := range 1200 {
			seed = seed*1664525 + 1013904223
			noise := uint8(seed >> 27)
			img.Set(x, y, color.RGBA{uint8(x*y/700) + noise, uint8(x/5) + noise, uint8((x^y)/6) + noise, 255})
		}
	}
	var b bytes.Buffer
	_ = jpeg.Encode(&b, img, &jpeg.Options{Quality: 90}) // A bytes.Buffer never fails.
	return b.Bytes()
}
