// Package fit measures encoders over a grid of qualities, and fits the models of the automatic quality to the results.
package fit

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/goldcrest/goldcrest/bench/quality/pictures"
	"github.com/goldcrest/goldcrest/bench/quality/stats"
	"github.com/goldcrest/goldcrest/transform/codec/judge"
	"github.com/goldcrest/goldcrest/variant"
)

// coder is an encoder with its settings, and the qualities that bracket every target.
type coder struct {
	name   string
	format variant.Format
	effort int
	chroma bool // 4:4:4
	grid   []int
	low    []int // also for print and drawings, which keep full chroma from lower targets on
}

var coders = []coder{
	{"avif9", variant.AVIF, 0, false, []int{30, 44, 58, 74}, nil},
	{"avif8", variant.AVIF, 1, false, []int{30, 44, 58, 74}, nil},
	{"avif9c", variant.AVIF, 0, true, []int{58, 72, 84}, []int{30, 44}},
	{"avif8c", variant.AVIF, 1, true, []int{58, 72, 84}, []int{30, 44}},
	{"jxl3", variant.JXL, 3, true, []int{16, 30, 50, 65, 78, 88, 94}, nil},
	{"jxl5", variant.JXL, 5, true, []int{16, 30, 50, 65, 78, 88, 94}, nil},
	{"webp4", variant.WebP, 4, false, []int{18, 38, 62, 82}, nil},
	{"webp4c", variant.WebP, 4, true, []int{18, 38, 62, 82, 92}, nil},
	{"jpeg", variant.JPEG, 0, false, []int{18, 38, 60, 80}, nil},
	{"jpegc", variant.JPEG, 0, true, []int{30, 48, 66, 80, 90}, nil},
}

// row is one measured candidate.
type row struct {
	library          string // the libaom behind it; other encoders are those of the distribution
	id, source, kind string
	width, height    int
	coder            string
	q, bytes         int
	score, worst     float64
	cpu              time.Duration
}

func (r row) key() string { return fmt.Sprintf("%s|%s|%s|%d", r.library, r.id, r.coder, r.q) }

func (r row) line() string {
	return fmt.Sprintf("%s\t%s\t%s\t%s\t%d\t%d\t%s\t%d\t%d\t%.3f\t%.3f\t%.2f\n", r.library, r.id, r.source, r.kind, r.width, r.height, r.coder,
		r.q, r.bytes, r.score, r.worst, stats.Milliseconds(r.cpu))
}

func parseRow(line string) (r row, err error) {
	c := strings.Split(line, "\t")
	if len(c) != 12 {
		return r, fmt.Errorf("%d columns, want 12", len(c))
	}
	r = row{library: c[0], id: c[1], source: c[2], kind: c[3], coder: c[6]}
	for i, to := range map[int]*int{4: &r.width, 5: &r.height, 7: &r.q, 8: &r.bytes} {
		if *to, err = strconv.Atoi(c[i]); err != nil {
			return r, err
		}
	}
	var ms float64
	for i, to := range map[int]*float64{9: &r.score, 10: &r.worst, 11: &ms} {
		if *to, err = strconv.ParseFloat(c[i], 64); err != nil {
			return r, err
		}
	}
	r.cpu = time.Duration(ms * float64(time.Millisecond))
	return r, nil
}

// readRows reads the file of measured candidates; a missing file is empty.
func readRows(file string) ([]row, error) {
	f, err := os.Open(file)
	if os.IsNotExist(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var rows []row
	lines := bufio.NewScanner(f)
	for n := 1; lines.Scan(); n++ {
		r, err := parseRow(lines.Text())
		if err != nil {
			return nil, fmt.Errorf("%s: line %d: %w", file, n, err)
		}
		rows = append(rows, r)
	}
	return rows, lines.Err()
}

// rowFile appends rows, and knows the existing ones.
type rowFile struct {
	mu   sync.Mutex
	f    *os.File
	have map[string]bool
}

func openRows(file string) (*rowFile, error) {
	rows, err := readRows(file)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(file, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, err
	}
	w := &rowFile{f: f, have: map[string]bool{}}
	for _, r := range rows {
		w.have[r.key()] = true
	}
	return w, nil
}

func (w *rowFile) has(r row) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.have[r.key()]
}

func (w *rowFile) add(r row) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.have[r.key()] = true
	_, err := w.f.WriteString(r.line())
	return err
}

// Options are those of Collect, Fit and Levels.
type Options struct {
	pictures.Options
	Rows   string // the file of what was measured
	Write  bool   // write what was found into transform/codec
	Coders []string
	Extend bool
}

// Collect measures what is not yet in the file.
func Collect(ctx context.Context, o Options) error {
	c, found, err := o.Find()
	if err != nil {
		return err
	}
	w, err := openRows(o.Rows)
	if err != nil {
		return err
	}
	defer w.f.Close()
	library := c.Versions()["libaom"]
	all := func(pictures.Reference) bool { return true }
	_, err = pictures.Each(ctx, o.Jobs, found, all, func(r pictures.Reference) ([]row, error) {
		fmt.Fprintln(os.Stderr, r.ID)
		return nil, measure(r, w.missing(library, r, o.Coders), w)
	})
	return err
}

// missing lists the candidates of a reference that are not in the file: of all coders, or only of some.
func (w *rowFile) missing(library string, ref pictures.Reference, only []string) (todo []row) {
	for _, cd := range coders {
		if only != nil && !slices.Contains(only, cd.name) {
			continue
		}
		grid := cd.grid
		if ref.Kind != pictures.Photo {
			grid = append(slices.Clone(grid), cd.low...)
		}
		for _, q := range grid {
			r := row{library: library, id: ref.ID, source: ref.Source, kind: ref.Kind, coder: cd.name, q: q}
			if !w.has(r) {
				todo = append(todo, r)
			}
		}
	}
	return todo
}

// measure encodes and scores candidates of one reference.
func measure(ref pictures.Reference, todo []row, w *rowFile) error {
	if len(todo) == 0 {
		return nil
	}
	s, err := ref.Open()
	if err != nil {
		return err
	}
	defer s.Close()
	for _, r := range todo {
		cd := coderNamed(r.coder)
		start := stats.CPU()
		body, err := s.Encode(judge.Encoding{Format: cd.format, Q: r.q, Effort: cd.effort, FullChroma: cd.chroma})
		if err != nil {
			return err
		}
		r.bytes, r.cpu = len(body), stats.CPU()-start
		r.width, r.height = s.Size()
		if r.score, r.worst, err = s.Score(body); err != nil {
			return err
		}
		if err := w.add(r); err != nil {
			return err
		}
	}
	return nil
}

func coderNamed(name string) coder {
	for _, c := range coders {
		if c.name == name {
			return c
		}
	}
	panic("no coder " + name)
}
