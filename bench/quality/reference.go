package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/goldcrest/goldcrest/sniff"
	"github.com/goldcrest/goldcrest/transform/codec"
	"github.com/goldcrest/goldcrest/transform/codec/judge"
	"github.com/goldcrest/goldcrest/variant"
)

// The kinds of pictures in a folder.
const (
	kindPhoto   = "photo"
	kindText    = "text"
	kindGraphic = "graphic"
)

// picture is one file of a folder.
type picture struct {
	file string
	kind string
}

// reference is one lossless rendering of a picture. References of one source, its file name, are held out together.
type reference struct {
	id, source, kind string
	file             string
	spec             variant.Spec
}

var unlimited = codec.Limits{Pixels: 1 << 30, ResultPixels: 1 << 26, AVIFPixels: 1 << 26, Frames: 1}

// pictures lists the pictures of the folders by name.
func pictures(dirs []string) ([]picture, error) {
	var found []picture
	for _, dir := range dirs {
		kinds := manifest(dir)
		err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			kind := kinds[d.Name()]
			if kind == "" {
				kind = folderKind(filepath.Base(filepath.Dir(path)))
			}
			switch strings.ToLower(filepath.Ext(path)) {
			case ".jpg", ".jpeg", ".png", ".webp", ".avif", ".heic", ".tif":
				if kind != "" {
					found = append(found, picture{path, kind})
				}
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	if len(found) == 0 {
		return nil, fmt.Errorf("no pictures of known kind in %s", strings.Join(dirs, ", "))
	}
	slices.SortFunc(found, func(a, b picture) int { return strings.Compare(filepath.Base(a.file), filepath.Base(b.file)) })
	return found, nil
}

// manifest reads the kinds of the files: the word before the colon in the column kind.
func manifest(dir string) map[string]string {
	f, err := os.Open(filepath.Join(dir, "MANIFEST.tsv"))
	if err != nil {
		return nil
	}
	defer f.Close()
	kinds := map[string]string{}
	lines := bufio.NewScanner(f)
	column := -1
	for lines.Scan() {
		cells := strings.Split(lines.Text(), "\t")
		if column < 0 {
			column = slices.Index(cells, "kind")
			continue
		}
		if column < len(cells) {
			word, _, _ := strings.Cut(cells[column], ":")
			kinds[cells[0]] = folderKind(word)
		}
	}
	return kinds
}

// folderKind is the kind for a word; "" for animations and vectors, which are no references.
func folderKind(word string) string {
	switch word {
	case "photo":
		return kindPhoto
	case "text", "document", "screenshot", "receipt":
		return kindText
	case "graphic", "diagram", "illustration":
		return kindGraphic
	}
	return ""
}

// references are the renderings of a picture: 800 pixels wide, if that removes the traces of its own compression. Some
// pictures, chosen by their name, have one more: 480 or 1280 wide, or a part at its own scale.
func references(p picture) ([]reference, error) {
	body, err := os.ReadFile(p.file)
	if err != nil {
		return nil, err
	}
	info, err := sniff.Inspect(body)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", p.file, err)
	}
	width, height := info.Width, info.Height
	if info.Orientation >= 5 {
		width, height = height, width
	}
	name := filepath.Base(p.file)
	var out []reference
	add := func(suffix string, s variant.Spec) {
		s.Format = variant.PNG
		out = append(out, reference{id: name + "#" + suffix, source: sourceOf(name), kind: p.kind, file: p.file, spec: s})
	}
	lossless := info.Format == "png"
	switch {
	case width >= 1000 && width <= 6*height:
		add("800", variant.Spec{Width: 800, Height: 2400})
	case p.kind == kindText || lossless || width >= 700:
		w := min(width, 800)
		add(fmt.Sprint(w), variant.Spec{Width: w, Height: 2400})
	default:
		w := max(width*2/3, 64)
		add(fmt.Sprint(w), variant.Spec{Width: w, Height: 2400})
	}
	switch pick(name, 8) {
	case 0:
		if width >= 720 {
			add("480", variant.Spec{Width: 480, Height: 1600})
		}
	case 1:
		if width >= 1800 {
			add("1280", variant.Spec{Width: 1280, Height: 1600})
		}
	case 2:
		if width >= 1400 && height >= 900 {
			scale := math.Min(1, 1280/float64(width)*1.5)
			add("part", variant.Spec{Crop: variant.Crop{Width: 640 / scale, Height: 480 / scale}, Width: 640, Height: 480})
		}
	}
	return out, nil
}

// eachReference calls do for the wanted references of pictures, with jobs concurrent calls, and collects the results.
// wanted is called by one goroutine, do by several; each call has a unique name.
func eachReference[T any](ctx context.Context, jobs int, found []picture, wanted func(reference) bool,
	do func(ctx context.Context, r reference, name string) ([]T, error)) (all []T, err error) {
	var mu sync.Mutex
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(jobs)
	for i, p := range found {
		refs, err := references(p)
		if err != nil {
			return nil, errors.Join(err, g.Wait())
		}
		for k, r := range refs {
			if !wanted(r) {
				continue
			}
			g.Go(func() error {
				got, err := do(ctx, r, fmt.Sprintf("%d-%d", i, k))
				if err != nil {
					return fmt.Errorf("%s: %w", r.id, err)
				}
				mu.Lock()
				defer mu.Unlock()
				all = append(all, got...)
				return nil
			})
		}
	}
	err = g.Wait()
	return all, err
}

// sourceOf is the common name of several files of one motif: the name without its final numbers.
func sourceOf(name string) string {
	base := strings.TrimSuffix(name, filepath.Ext(name))
	return strings.TrimSuffix(strings.TrimRight(base, "0123456789"), "-")
}

// pick divides names into n groups, which are the same at every run.
func pick(name string, n int) int {
	h := fnv.New32a()
	h.Write([]byte(name))
	return int(h.Sum32() >> 8 % uint32(n))
}

// render makes the reference's pixels.
func (r reference) render() (*judge.Raster, error) {
	body, err := os.ReadFile(r.file)
	if err != nil {
		return nil, err
	}
	im, err := judge.NewRaster(body, r.spec, unlimited)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", r.id, err)
	}
	return im, nil
}
