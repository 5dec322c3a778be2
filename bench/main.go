// Package main (bench) measures the proxy against references in one run and prints ratios: hits against a bare net/http
// handler and nginx, cold pictures against raw libvips, bursts, slow origins, memory, hits while every core encodes.
//
// Run it with "make bench", or here with "go run .". -run picks parts, -dir adds a folder of photos. A part whose
// requirements are not met says so and is skipped. Figures of two runs, or of two machines, cannot be compared; the
// ratios of one run can.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/goldcrest/goldcrest/bench/cold"
	"github.com/goldcrest/goldcrest/bench/hits"
	"github.com/goldcrest/goldcrest/bench/jobs"
	"github.com/goldcrest/goldcrest/bench/load"
	"github.com/goldcrest/goldcrest/bench/rig"
	"github.com/goldcrest/goldcrest/bench/trust"
)

// part is one measurement. It returns the rows of the table, or errSkipped if its requirements are not met.
type part struct {
	name    string
	measure func(ctx context.Context, b *rig.Bench) ([]rig.Row, error)
	alone   bool // runs only if it is named
}

func parts() []part {
	return []part{
		{name: "hit", measure: hits.Measure}, {name: "start", measure: hits.MeasureStart},
		{name: "cold", measure: cold.Measure}, {name: "choice", measure: cold.MeasureChoice}, {name: "several", measure: jobs.MeasureSeveral},
		{name: "master", measure: cold.MeasureMaster},
		{name: "slow", measure: cold.MeasureSlow}, {name: "burst", measure: cold.MeasureBurst},
		{name: "pss", measure: cold.MeasurePSS}, {name: "mixed", measure: hits.MeasureMixed},
		{name: "prewarm", measure: jobs.MeasurePrewarm}, {name: "scale", measure: jobs.MeasureScale}, {name: "twins", measure: jobs.MeasureTwins}, {name: "kill", measure: jobs.MeasureKill}, {name: "soak", measure: load.MeasureSoak, alone: true},
		{name: "against", measure: measureAgainst, alone: true},
		{name: "overload", measure: load.MeasureOverload, alone: true}, {name: "storm", measure: load.MeasureStorm, alone: true}, {name: "starve", measure: load.MeasureStarve, alone: true},
		{name: "chaos", measure: trust.Measure, alone: true},
	}
}

func main() {
	if len(os.Args) == 3 && os.Args[1] == hits.BareArgument {
		if err := hits.ServeBare(os.Args[2]); err != nil {
			fmt.Fprintln(os.Stderr, "bench:", err)
			os.Exit(1)
		}
		return
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:])
	stop()
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func parseOptions(args []string) (rig.Options, error) {
	var o rig.Options
	var names, usual []string
	for _, p := range parts() {
		names = append(names, p.name)
		if !p.alone {
			usual = append(usual, p.name)
		}
	}
	fs := flag.NewFlagSet("bench", flag.ContinueOnError)
	list := fs.String("run", strings.Join(usual, ","), "the `PARTS` to run, of "+strings.Join(names, ", "))
	fs.StringVar(&o.Dir, "dir", os.Getenv("DIR"), "`DIR` with more photos for the cold parts; default $DIR")
	fs.StringVar(&o.Binary, "binary", "", "the `FILE` to measure; default: built from the folder above")
	fs.StringVar(&o.Other, "against", "", "another build, a `FILE`, that the part against compares with")
	fs.StringVar(&o.Out, "out", "", "`FOLDER` that keeps the figures as CSV and SVG; default: none does")
	fs.IntVar(&o.Rounds, "rounds", 7, "rounds of each side of a comparison; the median counts")
	fs.DurationVar(&o.Round, "round", 1500*time.Millisecond, "length of one round of hits")
	fs.DurationVar(&o.Soak, "soak", 8*time.Minute, "length of the soak")
	fs.DurationVar(&o.Chaos, "chaos", 2*time.Minute, "how long things fail in the part chaos; up to 3 minutes more until all have settled")
	fs.Uint64Var(&o.Seed, "seed", 0, "`NUMBER` that the faults of the part chaos follow from; 0 = a random one, which is printed")
	fs.DurationVar(&o.Limit, "limit", 10*time.Minute, "end of it all")
	fs.BoolVar(&o.Noise, "v", false, "tell every round")
	if err := fs.Parse(args); err != nil {
		return o, err
	}
	if o.Run = strings.Split(*list, ","); fs.NArg() > 0 {
		return o, fmt.Errorf("there is no argument %q", fs.Arg(0))
	}
	for _, name := range o.Run {
		if !slices.Contains(names, name) {
			return o, fmt.Errorf("there is no part %q; there are %s", name, strings.Join(names, ", "))
		}
	}
	return o, nil
}

func run(ctx context.Context, args []string) error {
	o, err := parseOptions(args)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, o.Limit)
	defer cancel()
	b := &rig.Bench{Options: o, Binary: o.Binary}
	if b.Work, err = os.MkdirTemp("", "goldcrest-bench-"); err != nil {
		return err
	}
	defer os.RemoveAll(b.Work)
	if b.Binary == "" {
		b.Binary = filepath.Join(b.Work, "goldcrest")
		if err := rig.Command(ctx, "..", "go", "build", "-ldflags", "-s -w", "-o", b.Binary, "."); err != nil {
			return err
		}
	}
	var rows []rig.Row
	for _, p := range parts() {
		if !slices.Contains(o.Run, p.name) {
			continue
		}
		fmt.Fprintf(os.Stderr, "%s ...\n", p.name)
		got, err := p.measure(ctx, b)
		if errors.Is(err, rig.ErrSkipped) {
			fmt.Fprintf(os.Stderr, "%s %v\n", p.name, err)
			continue
		}
		if err != nil {
			return fmt.Errorf("%s: %w", p.name, err)
		}
		rows = append(rows, got...)
	}
	rig.PrintTable(os.Stdout, rows)
	if o.Out == "" {
		return nil
	}
	return rig.WriteResults(o.Out, rig.Machine(ctx, b.Binary), time.Now(), rows)
}
