package main

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
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/goldcrest/goldcrest/transform/codec"
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
		r.q, r.bytes, r.score, r.worst, float64(r.cpu)/float64(time.Millisecond))
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

// collect measures what is not yet in the file.
func collect(ctx context.Context, o options) error {
	c, found, err := openAll(o)
	if err != nil {
		return err
	}
	w, err := openRows(o.rows)
	if err != nil {
		return err
	}
	defer w.f.Close()
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(o.jobs)
	for i, p := range found {
		g.Go(func() error {
			refs, err := references(p)
			if err != nil {
				return err
			}
			for _, r := range refs {
				if err := measure(ctx, c, w, r, o.coders); err != nil {
					return fmt.Errorf("%s: %w", r.id, err)
				}
			}
			fmt.Fprintf(os.Stderr, "%d of %d: %s\n", i+1, len(found), filepath.Base(p.file))
			return nil
		})
	}
	return g.Wait()
}

// measure encodes and scores one reference over the grid, with all coders or only some.
func measure(ctx context.Context, c *codec.Codec, w *rowFile, ref reference, only []string) error {
	library := c.Versions()["libaom"]
	var todo []row
	for _, cd := range coders {
		if only != nil && !slices.Contains(only, cd.name) {
			continue
		}
		grid := cd.grid
		if ref.kind != kindPhoto {
			grid = append(slices.Clone(grid), cd.low...)
		}
		for _, q := range grid {
			r := row{library: library, id: ref.id, source: ref.source, kind: ref.kind, coder: cd.name, q: q}
			if !w.has(r) {
				todo = append(todo, r)
			}
		}
	}
	if len(todo) == 0 {
		return nil
	}
	im, err := ref.render()
	if err != nil {
		return err
	}
	defer im.Free()
	j, err := im.Judge(ref.kind == kindText)
	if err != nil {
		return err
	}
	defer j.Close()
	width, height := im.Size()
	for _, r := range todo {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		cd := coderNamed(r.coder)
		start := threadTime()
		body, err := im.Encode(judge.Encoding{Format: cd.format, Q: r.q, Effort: cd.effort, FullChroma: cd.chroma})
		if err != nil {
			return err
		}
		r.width, r.height, r.bytes, r.cpu = width, height, len(body), threadTime()-start
		if r.score, r.worst, err = j.Score(body); err != nil {
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

// threadTime is the processor time of the whole process: exact with -jobs 1, otherwise a rough figure.
func threadTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
