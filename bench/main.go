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
)

// options are the command-line options.
type options struct {
	run    []string
	dir    string
	binary string
	other  string
	out    string
	rounds int
	round  time.Duration
	limit  time.Duration
	soak   time.Duration
	chaos  time.Duration
	seed   uint64
	noise  bool // print every round
}

// part is one measurement. It returns the rows of the table, or errSkipped if its requirements are not met.
type part struct {
	name    string
	measure func(ctx context.Context, b *bench) ([]row, error)
	alone   bool // runs only if it is named
}

var errSkipped = errors.New("skipped")

func skipped(format string, args ...any) error {
	return fmt.Errorf("%w: %s", errSkipped, fmt.Sprintf(format, args...))
}

func parts() []part {
	return []part{
		{name: "hit", measure: measureHits}, {name: "start", measure: measureStart},
		{name: "cold", measure: measureCold}, {name: "choice", measure: measureChoice}, {name: "several", measure: measureSeveral},
		{name: "master", measure: measureMaster},
		{name: "slow", measure: measureSlow}, {name: "burst", measure: measureBurst},
		{name: "pss", measure: measurePSS}, {name: "mixed", measure: measureMixed},
		{name: "prewarm", measure: measurePrewarm}, {name: "scale", measure: measureScale}, {name: "twins", measure: measureTwins}, {name: "kill", measure: measureKill}, {name: "soak", measure: measureSoak, alone: true},
		{name: "against", measure: measureAgainst, alone: true},
		{name: "overload", measure: measureOverload, alone: true}, {name: "storm", measure: measureStorm, alone: true}, {name: "starve", measure: measureStarve, alone: true},
		{name: "chaos", measure: measureChaos, alone: true},
	}
}

// bench is the state that the parts share.
type bench struct {
	options
	work    string // a temporary folder, removed at the end
	binary  string // the program under test
	masters int    // the side of the servers' masters; 0 = no masters
}

func main() {
	if len(os.Args) == 3 && os.Args[1] == bareArgument {
		if err := serveBare(os.Args[2]); err != nil {
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

func parseOptions(args []string) (options, error) {
	var o options
	var names, usual []string
	for _, p := range parts() {
		names = append(names, p.name)
		if !p.alone {
			usual = append(usual, p.name)
		}
	}
	fs := flag.NewFlagSet("bench", flag.ContinueOnError)
	list := fs.String("run", strings.Join(usual, ","), "the `PARTS` to run, of "+strings.Join(names, ", "))
	fs.StringVar(&o.dir, "dir", os.Getenv("DIR"), "`DIR` with more photos for the cold parts; default $DIR")
	fs.StringVar(&o.binary, "binary", "", "the `FILE` to measure; default: built from the folder above")
	fs.StringVar(&o.other, "against", "", "another build, a `FILE`, that the part against compares with")
	fs.StringVar(&o.out, "out", "", "`FOLDER` that keeps the figures as CSV and SVG; default: none does")
	fs.IntVar(&o.rounds, "rounds", 7, "rounds of each side of a comparison; the median counts")
	fs.DurationVar(&o.round, "round", 1500*time.Millisecond, "length of one round of hits")
	fs.DurationVar(&o.soak, "soak", 8*time.Minute, "length of the soak")
	fs.DurationVar(&o.chaos, "chaos", 2*time.Minute, "how long things fail in the part chaos; up to 3 minutes more until all have settled")
	fs.Uint64Var(&o.seed, "seed", 0, "`NUMBER` that the faults of the part chaos follow from; 0 = a random one, which is printed")
	fs.DurationVar(&o.limit, "limit", 10*time.Minute, "end of it all")
	fs.BoolVar(&o.noise, "v", false, "tell every round")
	if err := fs.Parse(args); err != nil {
		return o, err
	}
	if o.run = strings.Split(*list, ","); fs.NArg() > 0 {
		return o, fmt.Errorf("there is no argument %q", fs.Arg(0))
	}
	for _, name := range o.run {
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
	ctx, cancel := context.WithTimeout(ctx, o.limit)
	defer cancel()
	b := &bench{options: o, binary: o.binary}
	if b.work, err = os.MkdirTemp("", "goldcrest-bench-"); err != nil {
		return err
	}
	defer os.RemoveAll(b.work)
	if b.binary == "" {
		b.binary = filepath.Join(b.work, "goldcrest")
		if err := command(ctx, "..", "go", "build", "-ldflags", "-s -w", "-o", b.binary, "."); err != nil {
			return err
		}
	}
	var rows []row
	for _, p := range parts() {
		if !slices.Contains(o.run, p.name) {
			continue
		}
		fmt.Fprintf(os.Stderr, "%s ...\n", p.name)
		got, err := p.measure(ctx, b)
		if errors.Is(err, errSkipped) {
			fmt.Fprintf(os.Stderr, "%s %v\n", p.name, err)
			continue
		}
		if err != nil {
			return fmt.Errorf("%s: %w", p.name, err)
		}
		rows = append(rows, got...)
	}
	printTable(os.Stdout, rows)
	if o.out == "" {
		return nil
	}
	return writeResults(o.out, machine(ctx, b.binary), time.Now(), rows)
}
