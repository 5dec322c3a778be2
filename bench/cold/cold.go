// Package cold measures pictures that have to be made: against raw libvips, from slow origins, in bursts, from masters,
// and the memory that they take.
package cold

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

	"github.com/goldcrest/goldcrest/bench/rig"
)

const (
	coldConnections = 4
	coldOptions     = "rs:fit:800:0/q:75/f:%s"
	Settling        = 150 * time.Millisecond // work that continues after the responses belongs to the round
)

// PassCost is what a pass over all photos took.
type PassCost struct {
	Images       int
	Wall, Cpu    float64 // seconds
	bytes        int64
	Rates, Costs []float64 // of the passes so far: images per second, milliseconds of processor time per image
}

// Add notes one more pass.
func (w *PassCost) Add(pass PassCost) {
	w.Images, w.bytes = w.Images+pass.Images, w.bytes+pass.bytes
	w.Rates = append(w.Rates, float64(pass.Images)/pass.Wall)
	w.Costs = append(w.Costs, pass.Cpu*1000/float64(pass.Images))
}

// And combines two passes.
func (w PassCost) And(pass PassCost) PassCost {
	return PassCost{Images: w.Images + pass.Images, Wall: w.Wall + pass.Wall, Cpu: w.Cpu + pass.Cpu, bytes: w.bytes + pass.bytes}
}

// Measure compares new pictures with raw libvips: the same originals, size, quality and encoder settings.
func Measure(ctx context.Context, b *rig.Bench) ([]rig.Row, error) {
	c, err := Start(ctx, b)
	if err != nil {
		return nil, err
	}
	defer c.Stop()
	var rows []rig.Row
	for _, k := range []struct{ name, format, reference string }{{"WebP", "webp", "webp"}, {"progressive JPEG", "jpg", "jpeg-progressive"}} {
		got, err := c.compare(ctx, b, k.name, k.format, k.reference)
		if err != nil {
			return nil, err
		}
		rows = append(rows, got...)
	}
	return rows, nil
}

// Modes are the ways of using libvips; the best one counts.
var Modes = []string{"exact", "thumbnail"}

func (c *Cold) compare(ctx context.Context, b *rig.Bench, name, format, reference string) ([]rig.Row, error) {
	var ours PassCost
	raw := make([]PassCost, len(Modes))
	for i := range 1 + max(b.Rounds/2, 1) {
		pass, err := c.Pass(ctx, Fixed(format))
		if err != nil {
			return nil, err
		}
		if i > 0 { // The first pass warms up.
			ours.Add(pass)
		}
		for j, mode := range Modes {
			pass, err := c.Raw(ctx, mode, reference)
			if err != nil {
				return nil, err
			}
			if i > 0 {
				raw[j].Add(pass)
			}
		}
		if b.Noise && i > 0 {
			fmt.Fprintf(os.Stderr, "  %s: ours %.1f/s %.1f ms", name, rig.Last(ours.Rates), rig.Last(ours.Costs))
			for j, mode := range Modes {
				fmt.Fprintf(os.Stderr, ", %s %.1f/s %.1f ms", mode, rig.Last(raw[j].Rates), rig.Last(raw[j].Costs))
			}
			fmt.Fprintln(os.Stderr)
		}
	}
	best := raw[0]
	for _, r := range raw[1:] {
		if rig.Median(r.Costs) < rig.Median(best.Costs) {
			best = r
		}
	}
	what := fmt.Sprintf("cold, %s q75, 800 px, c=%d: ", name, coldConnections)
	return []rig.Row{
		{What: what + "CPU an image", Ours: rig.Median(ours.Costs), Reference: rig.Median(best.Costs), Unit: "ms", Target: 1.03, AtMost: true},
		{What: what + "images", Ours: rig.Median(ours.Rates), Reference: rig.Median(best.Rates), Unit: "1/s", Target: 0.97},
		{What: what + "mean size", Ours: float64(ours.bytes) / float64(ours.Images) / 1000, Reference: float64(best.bytes) / float64(best.Images) / 1000, Unit: "KB"},
	}, nil
}

// Cold is a proxy with an origin, and the program of the reference.
type Cold struct {
	Rig       *rig.Server
	Photos    []rig.Photo
	Origin    string
	Reference string // executable
	Asked     atomic.Int64
	known     bool // the originals are known to the server, only the variants are new
	Stop      func()
}

// Start starts a proxy with an origin of the photos, and builds the reference.
func Start(ctx context.Context, b *rig.Bench) (*Cold, error) {
	c := &Cold{}
	var err error
	if c.Photos, err = b.Photos(); err != nil {
		return nil, err
	}
	if c.Reference, err = BuildReference(ctx, b); err != nil {
		return nil, err
	}
	origin, stopOrigin, err := rig.ServeOrigin(rig.Originals(c.Photos))
	if err != nil {
		return nil, err
	}
	if c.Rig, err = b.StartServer(ctx, rig.MemoryTier); err != nil {
		stopOrigin()
		return nil, err
	}
	c.Origin = origin
	c.Stop = func() { c.Rig.Stop(); stopOrigin() }
	return c, nil
}

// BuildReference compiles rawvips.
func BuildReference(ctx context.Context, b *rig.Bench) (string, error) {
	flags, err := exec.CommandContext(ctx, "pkg-config", "--cflags", "--libs", "vips").Output()
	if err != nil {
		return "", rig.Skipped("pkg-config does not know libvips: %v", err)
	}
	out := filepath.Join(b.Work, "rawvips")
	args := append([]string{"-O2", "-o", out, "rawvips/rawvips.c", "-lpthread"}, strings.Fields(string(flags))...)
	if err := rig.Command(ctx, ".", "gcc", args...); err != nil {
		if errors.Is(err, exec.ErrNotFound) {
			return "", rig.Skipped("there is no gcc")
		}
		return "", err
	}
	return out, nil
}

// Next is the path of a variant that was not requested before.
func (c *Cold) Next(options string) (string, error) {
	n := c.Asked.Add(1)
	at := int(n) % len(c.Photos)
	p := c.Photos[at]
	if c.known { // If nothing is cropped, the gravity gives another variant of the same picture.
		return c.Rig.Path(fmt.Sprintf("%s/%d/%s", c.Origin, at, p.Name), fmt.Sprintf("%s/g:no:0:%d", options, n))
	}
	return c.Rig.Path(c.Origin+"/"+p.Name, fmt.Sprintf("%s/cb:%d", options, n))
}

// Fixed returns the options of a format at the quality of the comparison, which any client may request.
func Fixed(format string) Wanted { return Wanted{fmt.Sprintf(coldOptions, format), "*/*"} }

// Wanted is what is requested: the options of the URL, and the client's Accept header.
type Wanted struct{ Options, Accept string }

// Pass requests each photo once from the proxy.
func (c *Cold) Pass(ctx context.Context, w Wanted) (PassCost, error) {
	before, began := rig.FamilyCPU(c.Rig.Process.Pid), time.Now()
	bytes, err := c.Ask(ctx, w, coldConnections, len(c.Photos))
	if err != nil {
		return PassCost{}, err
	}
	wall := time.Since(began)
	time.Sleep(Settling)
	cpu := rig.FamilyCPU(c.Rig.Process.Pid) - before
	return PassCost{Images: len(c.Photos), Wall: wall.Seconds(), Cpu: cpu.Seconds(), bytes: bytes}, nil
}

// Ask requests n new variants over some connections, and returns the number of bytes received.
func (c *Cold) Ask(ctx context.Context, w Wanted, connections, n int) (int64, error) {
	var taken, bytes atomic.Int64
	var wg sync.WaitGroup
	errs := make([]error, connections)
	for i := range connections {
		wg.Go(func() {
			for taken.Add(1) <= int64(n) && errs[i] == nil {
				var path string
				var body []byte
				if path, errs[i] = c.Next(w.Options); errs[i] == nil {
					body, _, errs[i] = c.Rig.Get(ctx, path, w.Accept)
				}
				bytes.Add(int64(len(body)))
			}
		})
	}
	wg.Wait()
	return bytes.Load(), errors.Join(errs...)
}

// Raw makes each photo once with libvips, or in several widths.
func (c *Cold) Raw(ctx context.Context, mode, format string, widths ...int) (PassCost, error) {
	return c.RawOn(ctx, mode, format, min(2, runtime.NumCPU()), widths...)
}

// RawOn is Raw on a number of threads.
func (c *Cold) RawOn(ctx context.Context, mode, format string, threads int, widths ...int) (PassCost, error) {
	if len(widths) == 0 {
		widths = []int{rig.ColdWidth}
	}
	args := []string{mode, format, strings.ReplaceAll(strings.Trim(fmt.Sprint(widths), "[]"), " ", ","), fmt.Sprint(threads)}
	for _, p := range c.Photos {
		args = append(args, p.File)
	}
	cmd := exec.CommandContext(ctx, c.Reference, args...)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return PassCost{}, fmt.Errorf("rawvips: %w", err)
	}
	var w PassCost
	if _, err := fmt.Sscan(string(out), &w.Images, &w.Wall, &w.Cpu, &w.bytes); err != nil {
		return PassCost{}, fmt.Errorf("rawvips said %q: %w", out, err)
	}
	return w, nil
}
