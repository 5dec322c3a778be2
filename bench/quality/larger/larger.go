// Package larger finds the variants that are larger than their original although their URLs leave format and quality
// open, and those that are below their target to avoid that.
package larger

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/goldcrest/goldcrest/transform/codec"
	"github.com/goldcrest/goldcrest/transform/codec/judge"
	"github.com/goldcrest/goldcrest/variant"
)

// clients are requests whose Accept headers give each set of formats.
var clients = []struct{ name, accept string }{
	{"avif", "image/avif,image/webp,*/*"}, {"webp", "image/webp,*/*"}, {"any", "*/*"}, {"jpeg", "image/jpeg"},
}

var widths = []int{480, 800, 1600}

// served are the default limits of a server, as far as they decide the format.
var served = codec.Limits{Pixels: 1 << 30, ResultPixels: 16e6, AVIFPixels: 2e6, Frames: 1}

// outcome is one variant and its original.
type outcome struct {
	file, client string
	width        int
	stage        variant.Stage
	original     int
	bytes        int
	made         variant.Image
	score, worst float64 // 0 = not scored
}

func (o outcome) larger() bool { return o.bytes > o.original }

// below reports whether the variant is below its target so that it is smaller than its original.
func (o outcome) below() bool { return strings.Contains(o.made.Note, "below the target") }

// Outcomes are the variants of all pictures.
type Outcomes []outcome

// Measure makes every picture of the folders for each client, width and stage, with URLs that leave format and quality
// open. It scores the variants that are larger than their original, and those below their target.
func Measure(ctx context.Context, c *codec.Codec, dirs []string, jobs int) (all Outcomes, err error) {
	files, err := filesIn(dirs)
	if err != nil {
		return nil, err
	}
	var mu sync.Mutex
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(jobs)
	for _, file := range files {
		g.Go(func() error {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			made, err := outcomes(c, file)
			mu.Lock()
			defer mu.Unlock()
			all = append(all, made...)
			return err
		})
	}
	err = g.Wait()
	if err == nil && len(all) == 0 {
		err = fmt.Errorf("no pictures in %s", strings.Join(dirs, ", "))
	}
	return all, err
}

// filesIn returns all files of the folders; those that are no pictures are refused later.
func filesIn(dirs []string) (files []string, err error) {
	for _, dir := range dirs {
		err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			if err == nil && !d.IsDir() {
				files = append(files, path)
			}
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	return files, nil
}

// outcomes returns the variants of one file, without refused ones.
func outcomes(c *codec.Codec, file string) (out []outcome, err error) {
	body, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	negotiation := variant.Negotiation{Formats: []string{"avif", "webp", "jpeg"}, Unknown: "jpeg"}
	var specs []variant.Spec
	var asked []outcome
	for _, cl := range clients {
		a := variant.ParseAccept(cl.accept, negotiation)
		for _, w := range widths {
			specs = append(specs, variant.Spec{Width: w}.Resolve(a))
			asked = append(asked, outcome{file: filepath.Base(file), client: cl.name, width: w, original: len(body)})
		}
	}
	for _, stage := range []variant.Stage{variant.StageFirst, variant.StageFinal} {
		keep := func(i int, img variant.Image, err error) {
			if err == nil {
				o := asked[i]
				o.stage, o.made, o.bytes = stage, img, len(img.Body)
				out = append(out, o)
			}
		}
		err := c.Transform(variant.Original{Body: body}, specs, stage, served, keep)
		if err != nil {
			return nil, nil // Not a supported picture.
		}
	}
	for i := range out {
		if o := &out[i]; o.larger() || o.below() {
			o.scoreIt(body)
		}
		out[i].made.Body = nil
	}
	return out, nil
}

// scoreIt scores the variant; the score stays 0 if that is impossible, as for a transparent or tiny picture.
func (o *outcome) scoreIt(original []byte) {
	im, err := judge.NewRaster(original, variant.Spec{Width: o.width}, served)
	if err != nil {
		return
	}
	defer im.Free()
	j, err := im.Judge(true)
	if err != nil {
		return
	}
	defer j.Close()
	if all, worst, err := j.Score(o.made.Body); err == nil {
		o.score, o.worst = all, worst
	}
}

// Larger is how many variants are larger than their original.
func (all Outcomes) Larger() (n int) {
	for _, o := range all {
		if o.larger() {
			n++
		}
	}
	return n
}

// Print lists the variants that are larger than their original, and those below their target, with their scores.
func (all Outcomes) Print() {
	slices.SortFunc(all, func(a, b outcome) int {
		order := func(o outcome) string { return fmt.Sprint(o.file, o.width+1e5, o.client, o.stage) }
		return strings.Compare(order(a), order(b))
	})
	below := 0
	fmt.Printf("%-28s %5s %-5s %-5s %9s %9s %6s %6s %6s  %s\n",
		"file", "width", "for", "stage", "original", "bytes", "ratio", "score", "worst", "note")
	for _, o := range all {
		if o.below() {
			below++
		}
		if o.larger() || o.below() {
			fmt.Printf("%-28s %5d %-5s %-5v %9d %9d %6.2f %6.1f %6.1f  %s %s q%d: %s\n",
				o.file, o.width, o.client, o.stage, o.original, o.bytes, float64(o.bytes)/float64(o.original),
				o.score, o.worst, o.made.Choice.Kind, o.made.Format, o.made.Quality, o.made.Note)
		}
	}
	fmt.Printf("%d variants, %d below their target, %d larger than their original\n", len(all), below, all.Larger())
}
