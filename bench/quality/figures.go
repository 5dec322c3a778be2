package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/goldcrest/goldcrest/bench/quality/pictures"
	"github.com/goldcrest/goldcrest/bench/quality/stats"
)

// figure is one reference made in one way.
type figure struct {
	libraries, way, kind, id string
	bytes                    float64
	score, worst             float64
	encode                   time.Duration // one encode of the picture with the chosen q
	made                     time.Duration // all encodes of the variant, and the choice of its q
}

// keepFigures appends figures to a file: a row of tab-separated columns for each.
func keepFigures(file string, figures []figure) error {
	var rows strings.Builder
	for _, f := range figures {
		fmt.Fprintf(&rows, "%s\t%s\t%s\t%s\t%.0f\t%.3f\t%.3f\t%.2f\t%.2f\n", f.libraries, f.way, f.kind, f.id,
			f.bytes, f.score, f.worst, stats.Milliseconds(f.encode), stats.Milliseconds(f.made))
	}
	out, err := os.OpenFile(file, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer out.Close()
	_, err = out.WriteString(rows.String())
	return err
}

// readFigures reads what keepFigures wrote.
func readFigures(file string) (figures []figure, err error) {
	in, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer in.Close()
	lines := bufio.NewScanner(in)
	for lines.Scan() {
		c := strings.Split(lines.Text(), "\t")
		if len(c) != 9 {
			return nil, fmt.Errorf("%s: %d columns, want 9", file, len(c))
		}
		var v [5]float64
		for i := range v {
			if v[i], err = strconv.ParseFloat(c[4+i], 64); err != nil {
				return nil, fmt.Errorf("%s: %w", file, err)
			}
		}
		ms := func(v float64) time.Duration { return time.Duration(v * float64(time.Millisecond)) }
		figures = append(figures, figure{c[0], c[1], c[2], c[3], v[0], v[1], v[2], ms(v[3]), ms(v[4])})
	}
	if err == nil && len(figures) == 0 {
		err = fmt.Errorf("%s has no figures", file)
	}
	return figures, errors.Join(err, lines.Err())
}

// summary is what the pictures of one kind come to in one way. KiB are 1,024 bytes. tiles and lowest are the mean and
// the lowest score of the worst tiles. made and encode are milliseconds of processor time, exact only with -jobs 1.
type summary struct {
	n                    int
	kib                  float64
	mean, sd, p10, worst float64
	tiles, lowest        float64
	encode, made         float64
}

// summarize summarizes the figures of a way and kind; n is 0 if there are none.
func summarize(figures []figure, way, kind string) summary {
	var kib, score, worst, encode, made []float64
	for _, f := range figures {
		if f.way == way && f.kind == kind {
			kib, score, worst = append(kib, f.bytes/1024), append(score, f.score), append(worst, f.worst)
			encode, made = append(encode, stats.Milliseconds(f.encode)), append(made, stats.Milliseconds(f.made))
		}
	}
	if len(kib) == 0 {
		return summary{}
	}
	return summary{
		n: len(kib), kib: stats.Mean(kib), mean: stats.Mean(score), sd: stats.Deviation(score),
		p10: stats.Percentile(score, 10), worst: slices.Min(score), tiles: stats.Mean(worst), lowest: slices.Min(worst),
		encode: stats.Mean(encode), made: stats.Mean(made),
	}
}

// printFigures prints a line for each way and kind. choice is the processor time of all encodes and the choice of q,
// relative to one encode with the chosen q.
func printFigures(figures []figure) {
	fmt.Println(figures[0].libraries)
	fmt.Printf("%-28s %-8s %4s %8s %6s %6s %6s %6s %6s %6s %9s %9s %6s\n", "way", "kind", "n", "KiB",
		"mean", "sd", "p10", "worst", "tiles", "lowest", "encode ms", "made ms", "choice")
	for _, kind := range pictures.Kinds() {
		for _, w := range ways() {
			if s := summarize(figures, w.name, kind); s.n > 0 {
				fmt.Printf("%-28s %-8s %4d %8.1f %6.1f %6.2f %6.1f %6.1f %6.1f %6.1f %9.1f %9.1f %6.2f\n", w.name, kind,
					s.n, s.kib, s.mean, s.sd, s.p10, s.worst, s.tiles, s.lowest, s.encode, s.made, s.made/s.encode)
			}
		}
	}
}

// The table shows the names of the formats as documents do.
var inDocuments = strings.NewReplacer("avif", "AVIF", "webp", "WebP", "jpeg", "JPEG", "first", "at once")

// table prints the figures of files as one Markdown table: columns for each file, whose libraries are named above.
func table(_ context.Context, o options) error {
	var all [][]figure
	head, rule := "| way |", "|---|"
	for _, file := range strings.Split(o.figures, ",") {
		figures, err := readFigures(file)
		if err != nil {
			return err
		}
		all = append(all, figures)
		at := strings.LastIndex(figures[0].libraries, ", ") + 2
		for _, kind := range pictures.Kinds() {
			head += fmt.Sprintf(" %s, %s |", kindNames[kind], figures[0].libraries[at:])
			rule += "---|"
		}
		fmt.Println(counted(figures) + ".")
	}
	fmt.Printf("\n%s\n%s\n", head, rule)
	for _, w := range ways() {
		row := ""
		for _, figures := range all {
			for _, kind := range pictures.Kinds() {
				row += " " + summarize(figures, w.name, kind).cell(kind) + " |"
			}
		}
		if strings.Trim(row, " |-") != "" {
			fmt.Printf("| %s |%s\n", inDocuments.Replace(w.name), row)
		}
	}
	return nil
}

// counted tells the libraries of figures, and how many pictures of each kind there are.
func counted(figures []figure) string {
	told := figures[0].libraries
	for _, kind := range pictures.Kinds() {
		most := 0
		for _, w := range ways() {
			most = max(most, summarize(figures, w.name, kind).n)
		}
		told += fmt.Sprintf(", %s %d", kindNames[kind], most)
	}
	return told
}

// cell is a cell of the table: KiB, mean (sd), p10 and worst; of print the mean and the lowest of the worst tiles.
func (s summary) cell(kind string) string {
	switch {
	case s.n == 0:
		return "-"
	case kind == pictures.Text:
		return fmt.Sprintf("%.1f, %.1f (%.1f), %.1f, %.1f", s.kib, s.mean, s.sd, s.tiles, s.lowest)
	}
	return fmt.Sprintf("%.1f, %.1f (%.1f), %.1f, %.1f", s.kib, s.mean, s.sd, s.p10, s.worst)
}
