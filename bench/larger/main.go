// Package main (bench/larger) lists the variants that are larger than their original although their URLs leave format
// and quality open, and those that are below their target to avoid that, with their scores:
//
//	cd bench && go run ./larger [DIR...]
//
// The default folder is the test corpus beside the project. It exits with 1 if any variant is larger.
package main

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"

	"golang.org/x/sync/errgroup"

	"github.com/goldcrest/goldcrest/transform/codec"
	"github.com/goldcrest/goldcrest/transform/codec/judge"
	"github.com/goldcrest/goldcrest/variant"
)

// clients are requests whose Accept headers give each set of formats.
var clients = []struct{ name, accept string }{
	{"avif", "image/avif,image/webp,*/*"}, {"webp", "image/webp,*/*"}, {"any", "*/*"}, {"jpeg", "image/jpeg"},
}

var largerWidths = []int{480, 800, 1600}

// served are the default limits of a server, as far as they decide the format.
var served = codec.Limits{Pixels: 1 << 30, ResultPixels: 16e6, AVIFPixels: 2e6, Frames: 1}

// outcome is one variant and its original.
type outcome struct {
	file, client string
	width        int
	stage        variant.Stage
	original     int
	made         variant.Image
	score, worst float64 // 0 = not scored
}

func (o outcome) larger() bool { return len(o.made.Body) > o.original }

// below reports whether the variant is below its target so that it is smaller than its original.
func (o outcome) below() bool { return strings.Contains(o.made.Note, "below the target") }

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	dirs := os.Args[1:]
	if len(dirs) == 0 {
		corpus := os.Getenv("GOLDCREST_CORPUS")
		if corpus == "" {
			corpus = "../../shared/corpus"
		}
		dirs = []string{filepath.Join(corpus, "photos")}
	}
	err := larger(ctx, dirs)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "larger:", err)
		os.Exit(1)
	}
}

// larger makes every picture of the folders for each client, width and stage, with URLs that leave format and quality
// open. It prints the variants that are larger than their original, and those below their target, with their scores. It
// returns an error if any variant is larger.
func larger(ctx context.Context, dirs []string) error {
	c, err := codec.New("")
	if err != nil {
		return err
	}
	files, err := filesIn(dirs)
	if err != nil {
		return err
	}
	var mu sync.Mutex
	var all []outcome
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(2)
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
	if err := g.Wait(); err != nil {
		return err
	}
	return printOutcomes(all)
}

// filesIn returns all files of the folders; those that are no pictures are refused later.
func filesIn(dirs []string) (files []string, err error) {
	for _, dir := range dirs {
		err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			if err == nil && d.Type().IsRegular() {
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
	var specs []variant.Spec
	var asked []outcome
	for _, cl := range clients {
		a := variant.ParseAccept(cl.accept, variant.Negotiation{Formats: []string{"avif", "webp", "jpeg"}, Unknown: "jpeg"})
		for _, w := range largerWidths {
			specs = append(specs, variant.Spec{Width: w}.Resolve(a))
			asked = append(asked, outcome{file: filepath.Base(file), client: cl.name, width: w, original: len(body)})
		}
	}
	for _, stage := range []variant.Stage{variant.StageFirst, variant.StageFinal} {
		err := c.Transform(variant.Original{Body: body}, specs, stage, served, func(i int, img variant.Image, err error) {
			if err == nil {
				o := asked[i]
				o.stage, o.made = stage, img
				out = append(out, o)
			}
		})
		if err != nil {
			return nil, nil // Not a supported picture.
		}
	}
	for i := range out {
		if o := &out[i]; o.larger() || o.below() {
			o.scoreIt(c, body)
		}
	}
	return out, nil
}

// scoreIt scores the variant; the score stays 0 if that is impossible, as for a transparent or tiny picture.
func (o *outcome) scoreIt(c *codec.Codec, original []byte) {
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

func printOutcomes(all []outcome) error {
	slices.SortFunc(all, func(a, b outcome) int {
		return strings.Compare(fmt.Sprint(a.file, a.width+1e5, a.client, a.stage), fmt.Sprint(b.file, b.width+1e5, b.client, b.stage))
	})
	over, below := 0, 0
	fmt.Printf("%-28s %5s %-5s %-5s %9s %9s %6s %6s %6s  %s\n", "file", "width", "for", "stage", "original", "bytes", "ratio", "score", "worst", "note")
	for _, o := range all {
		if o.larger() {
			over++
		}
		if o.below() {
			below++
		}
		if o.larger() || o.below() {
			fmt.Printf("%-28s %5d %-5s %-5v %9d %9d %6.2f %6.1f %6.1f  %s %s q%d: %s\n", o.file, o.width, o.client, o.stage, o.original, len(o.made.Body),
				float64(len(o.made.Body))/float64(o.original), o.score, o.worst, o.made.Choice.Kind, o.made.Format, o.made.Quality, o.made.Note)
		}
	}
	fmt.Printf("%d variants, %d below their target, %d larger than their original\n", len(all), below, over)
	if over > 0 {
		return fmt.Errorf("%d variants are larger than their original", over)
	}
	return nil
}
