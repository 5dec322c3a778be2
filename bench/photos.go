package main

import (
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
	coldWidth = 800
)

// photo is an original.
type photo struct {
	name, file string
	body       []byte
}

// photos finds colour JPEGs of 1 to 12 MP that are larger than 800 px: in a test corpus beside the project, in Debian's
// package mate-backgrounds, and in the folder of -dir.
func (b *bench) photos() ([]photo, error) {
	corpus := os.Getenv("GOLDCREST_CORPUS")
	if corpus == "" {
		corpus = "../../shared/corpus"
	}
	dirs := []string{filepath.Join(corpus, "photos"), "/usr/share/backgrounds/mate/nature"}
	if b.dir != "" {
		dirs = []string{b.dir}
	}
	var found []photo
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
				found = append(found, photo{strings.ReplaceAll(f.Name(), " ", "_"), file, body})
			}
		}
	}
	if len(found) < 8 {
		return nil, skipped("%d photos in %s; -dir names a folder with more (the package mate-backgrounds has some)", len(found), strings.Join(dirs, ", "))
	}
	slices.SortFunc(found, func(a, b photo) int { return strings.Compare(a.name, b.name) })
	return found[:min(len(found), maxPhotos)], nil
}

func fits(body []byte) bool {
	info, err := sniff.Inspect(body)
	if err != nil || info.Format != "jpeg" || info.CMYK || info.Channels != 3 || !info.Complete {
		return false
	}
	width, _ := info.Upright()
	return width > coldWidth && info.Pixels() >= minPixels && info.Pixels() <= maxPixels
}

// originals returns the photos as an origin serves them.
func originals(photos []photo) map[string][]byte {
	m := map[string][]byte{}
	for _, p := range photos {
		m[p.name] = p.body
	}
	return m
}
