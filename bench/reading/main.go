// Package main (bench/reading) tells what tesseract reads of the variants of documents: those of this build, those of
// another one, and the original shrunk to the same box without loss:
//
//	cd bench && go run ./reading -binary FILE [-against FILE] [DIR...]
//
// The documents are drawn, so their words are known. Pictures in the folders are read too: of them, the words of the
// lossless picture count. First answers and final variants, AVIF, WebP and JPEG, normal and saver, at 800 and 1200 px.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"

	"golang.org/x/sync/errgroup"

	"github.com/goldcrest/goldcrest/bench/quality/stats"
	"github.com/goldcrest/goldcrest/bench/reading/pages"
	"github.com/goldcrest/goldcrest/bench/rig"
)

type options struct {
	binary, other, fonts, only string
	each, jobs                 int
	dirs                       []string
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	var o options
	flag.StringVar(&o.binary, "binary", "../goldcrest", "the build, a `FILE`")
	flag.StringVar(&o.other, "against", "", "another build, a `FILE`, to compare with")
	flag.StringVar(&o.fonts, "fonts", "/usr/share/fonts/truetype/dejavu", "a `FOLDER` with more fonts")
	flag.StringVar(&o.only, "only", "", "only documents whose names match the `PATTERN`")
	flag.IntVar(&o.each, "each", 6, "drawn documents of each of the ten layouts")
	flag.IntVar(&o.jobs, "jobs", 2, "documents read at the same time")
	flag.Parse()
	o.dirs = flag.Args()
	err := run(ctx, o)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "reading:", err)
		os.Exit(1)
	}
}

var widths = []int{800, 1200}

// clients are named after the format that they get first.
var clients = []struct{ name, accept string }{
	{"avif", "image/avif,image/webp,*/*"}, {"webp", "image/webp,*/*"}, {"jpeg", "image/jpeg"},
}

var classes = []struct{ name, options string }{{"normal", ""}, {"saver", "/net:2g"}}

// documents are the drawn ones and those of the folders.
func documents(o options) ([]pages.Page, error) {
	all, err := pages.Draw(o.each, o.fonts)
	if err != nil {
		return nil, err
	}
	for _, dir := range o.dirs {
		files, err := filepath.Glob(filepath.Join(dir, "*.*"))
		if err != nil {
			return nil, err
		}
		for _, file := range files {
			body, err := os.ReadFile(file)
			if err != nil {
				return nil, err
			}
			all = append(all, pages.Page{Name: strings.ReplaceAll(filepath.Base(file), " ", "_"), Body: body})
		}
	}
	wanted, err := regexp.Compile(o.only)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(all, func(p pages.Page) bool { return !wanted.MatchString(p.Name) }), nil
}

func run(ctx context.Context, o options) error {
	if _, err := exec.LookPath("tesseract"); err != nil {
		return fmt.Errorf("tesseract is needed (Debian: tesseract-ocr): %w", err)
	}
	dir, err := os.MkdirTemp("", "goldcrest-reading-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	all, err := documents(o)
	if err != nil {
		return err
	}
	originals := map[string][]byte{}
	for _, p := range all {
		originals[p.Name] = p.Body
	}
	origin, stop, err := rig.ServeOrigin(originals)
	if err != nil {
		return err
	}
	defer stop()
	var builds []build
	for _, b := range []struct{ name, file string }{{"ours", o.binary}, {"other", o.other}} {
		if b.file == "" {
			continue
		}
		started, err := startBuild(ctx, b.name, b.file, dir)
		if err != nil {
			return err
		}
		defer started.Stop()
		builds = append(builds, started)
	}
	results := make([]map[way]float64, len(all))
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(o.jobs)
	for i, p := range all {
		g.Go(func() (err error) {
			file := filepath.Join(dir, fmt.Sprint(i))
			r := &reader{origin: origin, builds: builds, file: file, seen: map[string]map[string]int{}}
			results[i], err = r.read(ctx, p)
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	return printFigures(results)
}

// way is how a picture was made: "ours first avif normal 800".
type way string

// lossless is the way of the shrunk original.
func lossless(width int) way { return way(fmt.Sprint("lossless ", width)) }

// read returns the F1 of the words in each way; none for a picture with too few words, or one that is not made.
func (r *reader) read(ctx context.Context, p pages.Page) (map[way]float64, error) {
	f1 := map[way]float64{}
	var options []string
	for _, w := range widths {
		for _, c := range classes {
			options = append(options, fmt.Sprintf("rs:fit:%d:0%s", w, c.options))
		}
	}
	for _, b := range r.builds {
		if err := b.prewarm(ctx, r.origin+"/final/"+p.Name, options); err != nil {
			fmt.Fprintf(os.Stderr, "%s: %v\n", p.Name, err)
			return nil, ctx.Err()
		}
	}
	for _, w := range widths {
		want := bag(p.Words)
		body, err := r.builds[0].variant(ctx, r.origin+"/lossless/"+p.Name, fmt.Sprintf("rs:fit:%d:0/f:png", w), "*/*")
		if err != nil {
			return nil, err
		}
		got, err := r.words(ctx, body)
		if err != nil {
			return nil, err
		}
		if len(want) == 0 {
			want = got
		}
		if len(want) < 20 { // A drawing, or a script that tesseract does not know.
			return nil, nil
		}
		f1[lossless(w)] = overlap(want, got)
		fmt.Printf("%s\t%s\t%.3f\t%d\n", p.Name, lossless(w), f1[lossless(w)], len(body))
		if err := r.readWays(ctx, p.Name, w, want, f1); err != nil {
			return nil, err
		}
	}
	return f1, nil
}

// readWays adds the F1 of all variants of one width.
func (r *reader) readWays(ctx context.Context, page string, width int, want map[string]int, f1 map[way]float64) error {
	for _, b := range r.builds {
		for _, stage := range []string{"first", "final"} {
			for _, cl := range clients {
				for _, c := range classes {
					body, err := b.variant(ctx, r.origin+"/"+stage+"/"+page, fmt.Sprintf("rs:fit:%d:0%s", width, c.options), cl.accept)
					if err != nil {
						return err
					}
					got, err := r.words(ctx, body)
					if err != nil {
						return err
					}
					name := way(fmt.Sprintf("%s %s %s %s %d", b.name, stage, cl.name, c.name, width))
					f1[name] = overlap(want, got)
					fmt.Printf("%s\t%s\t%.3f\t%d\n", page, name, f1[name], len(body))
				}
			}
		}
	}
	return nil
}

// printFigures prints the mean and the lowest F1 of each way.
func printFigures(results []map[way]float64) error {
	by := map[way][]float64{}
	for _, f1 := range results {
		for w, v := range f1 {
			by[w] = append(by[w], v)
		}
	}
	if len(by) == 0 {
		return errors.New("there is no document with words")
	}
	for _, w := range slices.Sorted(maps.Keys(by)) {
		fmt.Printf("%-32s %3d documents, F1 mean %.3f lowest %.3f\n", w, len(by[w]), stats.Mean(by[w]), slices.Min(by[w]))
	}
	return nil
}
