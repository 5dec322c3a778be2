// Package pictures finds the pictures of bench/quality, and makes lossless references and variants of them.
package pictures

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
	Photo   = "photo"
	Text    = "text"
	Graphic = "graphic"
)

// Options say which pictures are used, and how many at the same time.
type Options struct {
	Dirs    []string
	HoldOut int  // one source in HoldOut judges the fit
	All     bool // the pictures of the fit are judged too
	Jobs    int
}

// Picture is one file of a folder.
type Picture struct{ File, Kind string }

// Reference is one lossless rendering of a picture. References of one source, its file name, are held out together.
type Reference struct {
	ID, Source, Kind string
	File             string
	Spec             variant.Spec
}

// Unlimited are limits that refuse no picture.
var Unlimited = codec.Limits{Pixels: 1 << 30, ResultPixels: 1 << 26, AVIFPixels: 1 << 26, Frames: 1}

// Kinds are all kinds.
func Kinds() []string { return []string{Photo, Text, Graphic} }

// Find opens the codec, and lists the pictures of the folders by name.
func (o Options) Find() (*codec.Codec, []Picture, error) {
	c, err := codec.New(codec.EngineVips)
	if err != nil {
		return nil, nil, err
	}
	var found []Picture
	for _, dir := range o.Dirs {
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
					found = append(found, Picture{path, kind})
				}
			}
			return nil
		})
		if err != nil {
			return nil, nil, err
		}
	}
	if len(found) == 0 {
		return nil, nil, fmt.Errorf("no pictures of known kind in %s", strings.Join(o.Dirs, ", "))
	}
	slices.SortFunc(found, func(a, b Picture) int { return strings.Compare(filepath.Base(a.File), filepath.Base(b.File)) })
	return c, found, nil
}

// Judges reports whether a source judges the fit.
func (o Options) Judges(source string) bool { return o.All || o.Held(source) }

// Held reports whether a source is held out of the fit.
func (o Options) Held(source string) bool { return pick(source, o.HoldOut) == 0 }

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
		return Photo
	case "text", "document", "screenshot", "receipt":
		return Text
	case "graphic", "diagram", "illustration":
		return Graphic
	}
	return ""
}

// References are the renderings of a picture: 800 pixels wide, if that removes the traces of its own compression. Some
// pictures, chosen by their name, have one more: 480 or 1280 wide, or a part at its own scale.
func (p Picture) References() ([]Reference, error) {
	body, err := os.ReadFile(p.File)
	if err != nil {
		return nil, err
	}
	info, err := sniff.Inspect(body)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", p.File, err)
	}
	width, height := info.Upright()
	first := max(width*2/3, 64)
	switch {
	case width >= 1000 && width <= 6*height:
		first = 800
	case p.Kind == Text || info.Format == "png" || width >= 700:
		first = min(width, 800)
	}
	out := []Reference{p.reference(fmt.Sprint(first), variant.Spec{Width: first, Height: 2400})}
	if suffix, s := p.another(width, height); suffix != "" {
		out = append(out, p.reference(suffix, s))
	}
	return out, nil
}

// another is the second rendering of a picture; "" = none.
func (p Picture) another(width, height int) (suffix string, s variant.Spec) {
	switch n := pick(filepath.Base(p.File), 8); {
	case n == 0 && width >= 720:
		return "480", variant.Spec{Width: 480, Height: 1600}
	case n == 1 && width >= 1800:
		return "1280", variant.Spec{Width: 1280, Height: 1600}
	case n == 2 && width >= 1400 && height >= 900:
		scale := math.Min(1, 1280/float64(width)*1.5)
		return "part", variant.Spec{Crop: variant.Crop{Width: 640 / scale, Height: 480 / scale}, Width: 640, Height: 480}
	}
	return "", s
}

func (p Picture) reference(suffix string, s variant.Spec) Reference {
	s.Format = variant.PNG
	name := filepath.Base(p.File)
	return Reference{ID: name + "#" + suffix, Source: SourceOf(name), Kind: p.Kind, File: p.File, Spec: s}
}

// Each calls do for the wanted references of pictures, with jobs concurrent calls, and collects the results. wanted is
// called by one goroutine, do by several.
func Each[T any](ctx context.Context, jobs int, found []Picture, wanted func(Reference) bool, do func(Reference) ([]T, error)) (all []T, err error) {
	var mu sync.Mutex
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(jobs)
	for _, p := range found {
		refs, err := p.References()
		if err != nil {
			return nil, errors.Join(err, g.Wait())
		}
		for _, r := range refs {
			if !wanted(r) {
				continue
			}
			g.Go(func() error {
				if ctx.Err() != nil {
					return ctx.Err()
				}
				got, err := do(r)
				if err != nil {
					return fmt.Errorf("%s: %w", r.ID, err)
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

// SourceOf is the common name of several files of one motif: the name without its final numbers.
func SourceOf(name string) string {
	base := strings.TrimSuffix(name, filepath.Ext(name))
	return strings.TrimSuffix(strings.TrimRight(base, "0123456789"), "-")
}

// pick divides names into n groups, which are the same at every run.
func pick(name string, n int) int {
	h := fnv.New32a()
	h.Write([]byte(name))
	return int(h.Sum32() >> 8 % uint32(n))
}

// Render makes the reference's pixels.
func (r Reference) Render() (*judge.Raster, error) {
	body, err := os.ReadFile(r.File)
	if err != nil {
		return nil, err
	}
	return judge.NewRaster(body, r.Spec, Unlimited)
}

// Subject is a reference to be encoded and scored.
type Subject struct {
	Reference
	*judge.Raster
	*judge.Judge
	Lossless []byte // its pixels as PNG
}

// Open renders the reference; the caller closes it.
func (r Reference) Open() (*Subject, error) {
	im, err := r.Render()
	if err != nil {
		return nil, err
	}
	s := &Subject{Reference: r, Raster: im}
	if s.Judge, err = im.Judge(r.Kind == Text); err == nil {
		s.Lossless, err = im.Encode(judge.Encoding{Format: variant.PNG})
	}
	if err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

// Close frees the memory.
func (s *Subject) Close() {
	if s.Judge != nil {
		s.Judge.Close()
	}
	s.Free()
}

// Make makes a variant of the subject as a worker does.
func (s *Subject) Make(c *codec.Codec, spec variant.Spec, stage variant.Stage) (made variant.Image, err error) {
	var failed error
	err = c.Transform(variant.Original{Body: s.Lossless}, []variant.Spec{spec}, stage, Unlimited,
		func(_ int, img variant.Image, err error) { made, failed = img, err })
	if err == nil {
		err = failed
	}
	return made, err
}
