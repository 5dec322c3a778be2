package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

const (
	coldConnections = 4
	coldOptions     = "rs:fit:800:0/q:75/f:%s"
	settling        = 150 * time.Millisecond // work that continues after the responses belongs to the round
)

// passCost is what a pass over all photos took.
type passCost struct {
	images       int
	wall, cpu    float64 // seconds
	bytes        int64
	rates, costs []float64 // of the passes so far: images per second, milliseconds of processor time per image
}

func (w *passCost) add(pass passCost) {
	w.images, w.bytes = w.images+pass.images, w.bytes+pass.bytes
	w.rates = append(w.rates, float64(pass.images)/pass.wall)
	w.costs = append(w.costs, pass.cpu*1000/float64(pass.images))
}

// and combines two passes.
func (w passCost) and(pass passCost) passCost {
	return passCost{images: w.images + pass.images, wall: w.wall + pass.wall, cpu: w.cpu + pass.cpu, bytes: w.bytes + pass.bytes}
}

// measureCold compares new pictures with raw libvips: the same originals, size, quality and encoder settings.
func measureCold(ctx context.Context, b *bench) ([]row, error) {
	c, err := b.startCold(ctx)
	if err != nil {
		return nil, err
	}
	defer c.stop()
	var rows []row
	for _, k := range []struct{ name, format, reference string }{{"WebP", "webp", "webp"}, {"progressive JPEG", "jpg", "jpeg-progressive"}} {
		got, err := c.compare(ctx, b, k.name, k.format, k.reference)
		if err != nil {
			return nil, err
		}
		rows = append(rows, got...)
	}
	return rows, nil
}

// modes are the ways of using libvips; the best one counts.
var modes = []string{"exact", "thumbnail"}

func (c *cold) compare(ctx context.Context, b *bench, name, format, reference string) ([]row, error) {
	var ours passCost
	raw := make([]passCost, len(modes))
	for i := range 1 + max(b.rounds/2, 1) {
		pass, err := c.pass(ctx, fixed(format))
		if err != nil {
			return nil, err
		}
		if i > 0 { // The first pass warms up.
			ours.add(pass)
		}
		for j, mode := range modes {
			pass, err := c.raw(ctx, mode, reference)
			if err != nil {
				return nil, err
			}
			if i > 0 {
				raw[j].add(pass)
			}
		}
		if b.noise && i > 0 {
			fmt.Fprintf(os.Stderr, "  %s: ours %.1f/s %.1f ms", name, last(ours.rates), last(ours.costs))
			for j, mode := range modes {
				fmt.Fprintf(os.Stderr, ", %s %.1f/s %.1f ms", mode, last(raw[j].rates), last(raw[j].costs))
			}
			fmt.Fprintln(os.Stderr)
		}
	}
	best := raw[0]
	for _, r := range raw[1:] {
		if median(r.costs) < median(best.costs) {
			best = r
		}
	}
	what := fmt.Sprintf("cold, %s q75, 800 px, c=%d: ", name, coldConnections)
	return []row{
		{what: what + "CPU an image", ours: median(ours.costs), reference: median(best.costs), unit: "ms", target: 1.03, atMost: true},
		{what: what + "images", ours: median(ours.rates), reference: median(best.rates), unit: "1/s", target: 0.97},
		{what: what + "mean size", ours: float64(ours.bytes) / float64(ours.images) / 1000, reference: float64(best.bytes) / float64(best.images) / 1000, unit: "KB"},
	}, nil
}

// cold is a proxy with an origin, and the program of the reference.
type cold struct {
	rig       *rig
	photos    []photo
	origin    string
	reference string // executable
	asked     atomic.Int64
	known     bool // the originals are known to the server, only the variants are new
	stop      func()
}

func (b *bench) startCold(ctx context.Context) (*cold, error) {
	c := &cold{}
	var err error
	if c.photos, err = b.photos(); err != nil {
		return nil, err
	}
	if c.reference, err = b.buildReference(ctx); err != nil {
		return nil, err
	}
	origin, stopOrigin, err := serveOrigin(originals(c.photos))
	if err != nil {
		return nil, err
	}
	if c.rig, err = b.startServer(ctx, memoryTier); err != nil {
		stopOrigin()
		return nil, err
	}
	c.origin = origin
	c.stop = func() { c.rig.stop(); stopOrigin() }
	return c, nil
}

// buildReference compiles rawvips.
func (b *bench) buildReference(ctx context.Context) (string, error) {
	flags, err := exec.CommandContext(ctx, "pkg-config", "--cflags", "--libs", "vips").Output()
	if err != nil {
		return "", skipped("pkg-config does not know libvips: %v", err)
	}
	out := filepath.Join(b.work, "rawvips")
	args := append([]string{"-O2", "-o", out, "rawvips/rawvips.c", "-lpthread"}, strings.Fields(string(flags))...)
	if err := command(ctx, ".", "gcc", args...); err != nil {
		if errors.Is(err, exec.ErrNotFound) {
			return "", skipped("there is no gcc")
		}
		return "", err
	}
	return out, nil
}

// next is the path of a variant that was not requested before.
func (c *cold) next(options string) (string, error) {
	n := c.asked.Add(1)
	at := int(n) % len(c.photos)
	p := c.photos[at]
	if c.known { // If nothing is cropped, the gravity gives another variant of the same picture.
		return c.rig.path(fmt.Sprintf("%s/%d/%s", c.origin, at, p.name), fmt.Sprintf("%s/g:no:0:%d", options, n))
	}
	return c.rig.path(c.origin+"/"+p.name, fmt.Sprintf("%s/cb:%d", options, n))
}

// fixed returns the options of a format at the quality of the comparison, which any client may request.
func fixed(format string) wanted { return wanted{fmt.Sprintf(coldOptions, format), "*/*"} }

// wanted is what is requested: the options of the URL, and the client's Accept header.
type wanted struct{ options, accept string }

// pass requests each photo once from the proxy.
func (c *cold) pass(ctx context.Context, w wanted) (passCost, error) {
	before, began := familyCPU(c.rig.Process.Pid), time.Now()
	bytes, err := c.ask(ctx, w, coldConnections, len(c.photos))
	if err != nil {
		return passCost{}, err
	}
	wall := time.Since(began)
	time.Sleep(settling)
	cpu := familyCPU(c.rig.Process.Pid) - before
	return passCost{images: len(c.photos), wall: wall.Seconds(), cpu: cpu.Seconds(), bytes: bytes}, nil
}

// ask requests n new variants over some connections, and returns the number of bytes received.
func (c *cold) ask(ctx context.Context, w wanted, connections, n int) (int64, error) {
	var taken, bytes atomic.Int64
	var wg sync.WaitGroup
	errs := make([]error, connections)
	for i := range connections {
		wg.Go(func() {
			for taken.Add(1) <= int64(n) && errs[i] == nil {
				var path string
				var body []byte
				if path, errs[i] = c.next(w.options); errs[i] == nil {
					body, _, errs[i] = c.rig.get(ctx, path, w.accept)
				}
				bytes.Add(int64(len(body)))
			}
		})
	}
	wg.Wait()
	return bytes.Load(), errors.Join(errs...)
}

// raw makes each photo once with libvips, or in several widths.
func (c *cold) raw(ctx context.Context, mode, format string, widths ...int) (passCost, error) {
	return c.rawOn(ctx, mode, format, min(2, runtime.NumCPU()), widths...)
}

func (c *cold) rawOn(ctx context.Context, mode, format string, threads int, widths ...int) (passCost, error) {
	if len(widths) == 0 {
		widths = []int{coldWidth}
	}
	args := []string{mode, format, strings.ReplaceAll(strings.Trim(fmt.Sprint(widths), "[]"), " ", ","), fmt.Sprint(threads)}
	for _, p := range c.photos {
		args = append(args, p.file)
	}
	cmd := exec.CommandContext(ctx, c.reference, args...)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return passCost{}, fmt.Errorf("rawvips: %w", err)
	}
	var w passCost
	if _, err := fmt.Sscan(string(out), &w.images, &w.wall, &w.cpu, &w.bytes); err != nil {
		return passCost{}, fmt.Errorf("rawvips said %q: %w", out, err)
	}
	return w, nil
}
