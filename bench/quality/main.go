// Package main (bench/quality) measures the quality of the codec's pictures. It makes lossless references, encodes them
// through the codec itself, scores every candidate with SSIMULACRA2, and fits the model of the automatic quality. It
// prints how the product keeps its targets, compared with fixed qualities and the defaults of other proxies.
//
//	cd bench && go run ./quality collect -dir DIR   encode and score a grid of qualities; -rows keeps the rows
//	cd bench && go run ./quality fit                fit the model from the rows; -write puts it into the codec
//	cd bench && go run ./quality report -dir DIR    the product's own choices, fixed q and other defaults, scored
//	cd bench && go run ./quality bars -dir DIR      what is demanded of the pictures, and what they reach
//	cd bench && go run ./quality table -figures F   figures that report kept, as a table for documents
//	cd bench && go run ./quality larger -dir DIR    variants that are larger than their original; exits with 1 for any
//	cd bench && go run ./quality sheet -dir DIR     contact sheets: originals beside each class
//	cd bench && go run ./quality chain -dir DIR     pictures made from a larger one of the same call, or alone
//	cd bench && go run ./quality levels -dir DIR    documents in few levels, the fit of their score (-write), the choice
//	cd bench && go run ./quality record             scores of the self-check specimens (-write: expect them)
//	cd bench && go run ./quality master -dir DIR    pictures made from the master of an original, or from the original
//	cd bench && go run ./quality equal -dir DIR     JPEGs against libjpeg-turbo: bytes at equal score, and processor time
//
// A folder contains pictures, with a MANIFEST.tsv (columns file and kind) or sub-folders photo, text and graphic that
// give their kinds. The default is the test corpus beside the project.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"

	"github.com/goldcrest/goldcrest/bench/quality/fit"
)

// options are the command-line options.
type options struct {
	fit.Options
	out     string
	check   bool
	only    string
	figures string
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:])
	stop()
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "quality:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	ofFit := func(do func(context.Context, fit.Options) error) func(context.Context, options) error {
		return func(ctx context.Context, o options) error { return do(ctx, o.Options) }
	}
	commands := map[string]func(context.Context, options) error{
		"collect": ofFit(fit.Collect), "fit": ofFit(fit.Fit), "levels": ofFit(fit.Levels), "report": report,
		"sheet": sheet, "chain": chain, "master": master, "record": record, "equal": equal, "bars": bars, "table": table,
		"larger": listLarger,
	}
	name := "report"
	if len(args) > 0 && !strings.HasPrefix(args[0], "-") {
		name, args = args[0], args[1:]
	}
	command := commands[name]
	if command == nil {
		return fmt.Errorf("there is no command %q; there are %v", name, slices.Sorted(maps.Keys(commands)))
	}
	o, err := parseOptions(args)
	if err != nil {
		return err
	}
	return command(ctx, o)
}

func parseOptions(args []string) (options, error) {
	var o options
	corpus := os.Getenv("GOLDCREST_CORPUS")
	if corpus == "" {
		corpus = "../../shared/corpus"
	}
	fs := flag.NewFlagSet("quality", flag.ContinueOnError)
	dirs := fs.String("dir", corpus+"/photos", "`DIRS` with pictures, joined by commas")
	fs.StringVar(&o.Rows, "rows", "../build/quality.tsv", "the `FILE` that keeps what was measured")
	fs.StringVar(&o.out, "out", "../build/sheets", "sheet: the `FOLDER` that gets the sheets")
	names := fs.String("coders", "", "collect: measure these `CODERS` alone, joined by commas; fit: replace their predictors in every set")
	fs.BoolVar(&o.Extend, "extend", false, "fit: keep the shipped model, and fit it to the encoder libraries of the rows")
	fs.BoolVar(&o.Write, "write", false, "fit, levels, record: write what was found into transform/codec")
	fs.IntVar(&o.HoldOut, "hold-out", 4, "one source in `N` is kept out of the fit and judges it")
	fs.BoolVar(&o.All, "all", false, "report: judge the pictures of the fit too")
	fs.StringVar(&o.only, "only", "", "report, sheet: only the ways whose names contain `TEXT`")
	fs.StringVar(&o.figures, "figures", "", "report: add what was measured to this `FILE`; bars: read it; table: FILES joined by commas")
	fs.BoolVar(&o.check, "check", false, "report: judge the class normal alone, and fail where it is not kept")
	fs.IntVar(&o.Jobs, "jobs", 2, "pictures worked on at the same time")
	if err := fs.Parse(args); err != nil {
		return o, err
	}
	if fs.NArg() > 0 {
		return o, fmt.Errorf("there is no argument %q", fs.Arg(0))
	}
	if o.HoldOut < 2 || o.Jobs < 1 {
		return o, errors.New("-hold-out is at least 2 and -jobs at least 1")
	}
	o.Dirs = strings.Split(*dirs, ",")
	if *names != "" {
		o.Coders = strings.Split(*names, ",")
	}
	return o, nil
}
