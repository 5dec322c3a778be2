package codec

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"image"
	"image/color"
	"image/gif"
	"image/jpeg"
	"image/png"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/goldcrest/goldcrest/fault"
	"github.com/goldcrest/goldcrest/transform"
	"github.com/goldcrest/goldcrest/variant"
	"golang.org/x/image/bmp"
	"golang.org/x/image/tiff"
)

const (
	mutants    = 2400     // over all seeds
	mutantSeed = 20261125 // GOLDCREST_MUTATION_SEED sets another seed, with other mutants
	mutantCPU  = 5 * time.Second
)

// edged is a picture with edges, areas and noise.
func edged(w, h int) *image.NRGBA {
	r := rand.New(rand.NewPCG(1, 2))
	img := image.NewNRGBA(image.Rect(0, 0, w, h))
	for y := range h {
		for x := range w {
			c := color.NRGBA{uint8(x * 255 / w), uint8(y * 255 / h), uint8(r.Uint32()), 255}
			if x > w/3 && y > h/3 {
				c = color.NRGBA{200, 30, 40, uint8(255 - x)}
			}
			img.SetNRGBA(x, y, c)
		}
	}
	return img
}

// drawnSeeds returns fixtures in every supported format, made here and by the pool itself.
func drawnSeeds(t *testing.T, p *transform.Pool) map[string][]byte {
	t.Helper()
	img := edged(96, 64)
	paletted := image.NewPaletted(img.Bounds(), []color.Color{color.White, color.Black, color.NRGBA{200, 30, 40, 255}})
	for i := range paletted.Pix {
		paletted.Pix[i] = uint8(i / 7 % 3)
	}
	seeds := map[string][]byte{}
	for name, encode := range map[string]func(*bytes.Buffer) error{
		"drawn.png":   func(b *bytes.Buffer) error { return png.Encode(b, img) },
		"palette.png": func(b *bytes.Buffer) error { return png.Encode(b, paletted) },
		"drawn.jpg":   func(b *bytes.Buffer) error { return jpeg.Encode(b, img, nil) },
		"drawn.gif":   func(b *bytes.Buffer) error { return gif.Encode(b, paletted, nil) },
		"moving.gif":  func(b *bytes.Buffer) error { return gif.EncodeAll(b, moving(paletted)) },
		"drawn.bmp":   func(b *bytes.Buffer) error { return bmp.Encode(b, img) },
		"drawn.tif":   func(b *bytes.Buffer) error { return tiff.Encode(b, img, nil) },
		"compressed.tif": func(b *bytes.Buffer) error {
			return tiff.Encode(b, img, &tiff.Options{Compression: tiff.Deflate, Predictor: true})
		},
	} {
		var b bytes.Buffer
		if err := encode(&b); err != nil {
			t.Fatal(err)
		}
		seeds[name] = b.Bytes()
	}
	specs := []variant.Spec{{Format: variant.WebP}, {Format: variant.AVIF}, {Format: variant.JPEG}, {Format: variant.PNG, Quality: 60}}
	err := p.Transform(t.Context(), variant.Original{Body: seeds["drawn.png"]}, specs, variant.StageFinal, func(i int, made variant.Image, err error) {
		if err != nil {
			t.Fatal(err)
		}
		seeds["made."+string(specs[i].Format)] = made.Body
	})
	if err != nil {
		t.Fatal(err)
	}
	return seeds
}

func moving(frame *image.Paletted) *gif.GIF {
	g := &gif.GIF{}
	for range 5 {
		g.Image, g.Delay, g.Disposal = append(g.Image, frame), append(g.Delay, 10), append(g.Disposal, gif.DisposalBackground)
	}
	return g
}

// extremes are unexpected values for lengths, sizes and offsets.
var extremes = []uint32{0, 1, 0x7f, 0x80, 0xff, 0x7fff, 0x8000, 0xffff, 0x10000, 0x7fffffff, 0x80000000, 0xfffffffe, 0xffffffff}

// mutate returns a copy of seed with a few changes.
func mutate(r *rand.Rand, seed, other []byte) []byte {
	b := slices.Clone(seed)
	for range 1 + r.IntN(4) {
		if len(b) < 16 {
			return b
		}
		// Headers decide the most, so half of the changes are in the first 200 bytes.
		at := r.IntN(len(b) - 8)
		if r.IntN(2) == 0 {
			at = r.IntN(min(len(b)-8, 200))
		}
		span := 1 + r.IntN(min(64, len(b)-at))
		switch r.IntN(9) {
		case 0:
			b[at] ^= 1 << r.IntN(8)
		case 1:
			b[at] = byte(r.Uint32())
		case 2:
			binary.BigEndian.PutUint32(b[at:], extremes[r.IntN(len(extremes))])
		case 3:
			binary.LittleEndian.PutUint32(b[at:], extremes[r.IntN(len(extremes))])
		case 4:
			binary.BigEndian.PutUint16(b[at:], uint16(extremes[r.IntN(len(extremes))]))
		case 5:
			b = slices.Delete(b, at, at+span)
		case 6:
			b = slices.Insert(b, at, slices.Clone(b[at:at+span])...)
		case 7:
			b = b[:at+span]
		case 8: // the start of one file, the end of another
			b = slices.Concat(b[:at], other[min(len(other), at):])
		}
	}
	return b
}

// peak is the peak memory of a process in bytes.
func peak(pid string) int64 {
	text, err := os.ReadFile("/proc/" + pid + "/status")
	if err != nil {
		return 0
	}
	_, after, _ := strings.Cut(string(text), "VmHWM:")
	kib, _ := strconv.ParseInt(strings.Fields(after + " 0")[0], 10, 64)
	return kib << 10
}

// ownChildren returns the child processes of this one.
func ownChildren() (pids []string) {
	lists, _ := filepath.Glob("/proc/self/task/*/children")
	for _, list := range lists {
		text, _ := os.ReadFile(list)
		pids = append(pids, strings.Fields(string(text))...)
	}
	return pids
}

// tally counts the results of the mutants.
type tally struct {
	mu    sync.Mutex
	kinds map[fault.Kind]int
}

func (c *tally) add(k fault.Kind) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.kinds[k]++
}

// TestFault27Mutations passes broken pictures to real workers in their sandbox. Each must end in a picture or in a
// refusal that blames the picture, within its processor budget, and each worker must stay within the server's memory
// limit.
func TestFault27Mutations(t *testing.T) {
	number := uint64(mutantSeed)
	if text := os.Getenv("GOLDCREST_MUTATION_SEED"); text != "" {
		var err error
		if number, err = strconv.ParseUint(text, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	p, watch := realPool(t, func(c *transform.Config) {
		c.Workers, c.CPU, c.Timeout, c.MaxFrames = 2, mutantCPU, 2*time.Minute, 50
		c.MaxPixels, c.ImageMemory = 4_000_000, 64<<20
	})
	seeds := drawnSeeds(t, p)
	maps.Copy(seeds, corpusFiles(t, "photos", 130<<10))
	maps.Copy(seeds, corpusFiles(t, "hostile", 130<<10))
	names := slices.Sorted(maps.Keys(seeds))
	// The worker that made the seeds has its libraries loaded; another may have just started.
	base := slices.Max(slices.Collect(maps.Values(peaks())))
	c := &tally{kinds: map[fault.Kind]int{}}
	queue := make(chan int)
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			for n := range queue {
				name, other := names[n%len(names)], names[(n*7+3)%len(names)]
				r := rand.New(rand.NewPCG(number, uint64(n)))
				give(t, p, c, fmt.Sprintf("mutant %d of %s (seed %d)", n, name, number), mutate(r, seeds[name], seeds[other]))
			}
		})
	}
	for n := range mutants {
		queue <- n
	}
	close(queue)
	wg.Wait()
	// A worker holds its libraries, the memory of the admitted picture, and 64 MiB.
	for pid, most := range peaks() {
		if most > base+64<<20+64<<20 {
			t.Errorf("worker %s held %d MiB, %d before the mutants", pid, most>>20, base>>20)
		}
	}
	if err := p.Check(t.Context()); err != nil {
		t.Errorf("the pool does not work after it: %v", err)
	}
	watch.mu.Lock()
	defer watch.mu.Unlock()
	t.Logf("%d mutants of %d seeds: %v; workers ended: %v, sandbox: %v", mutants, len(seeds), c.kinds, watch.ended, p.Sandbox())
	if c.kinds[""] == 0 || c.kinds[fault.DecodeFailed]+c.kinds[fault.NotAnImage]+c.kinds[fault.TruncatedSource] == 0 {
		t.Error("nothing was made or nothing was refused: the mutants are no test")
	}
}

func peaks() map[string]int64 {
	m := map[string]int64{}
	for _, pid := range ownChildren() {
		m[pid] = peak(pid)
	}
	return m
}

// blames are the refusals that name a fault of the picture.
var blames = []fault.Kind{fault.NotAnImage, fault.UnsupportedFormat, fault.TooManyPixels, fault.TooManyFrames, fault.ResultTooLarge, fault.DecodeFailed,
	fault.TruncatedSource, fault.TooCostly, fault.Poison}

// give makes two variants of one mutant.
func give(t *testing.T, p *transform.Pool, c *tally, what string, mutant []byte) {
	specs := []variant.Spec{{Width: 40, Format: variant.WebP}, {Width: 64, Format: variant.JPEG}}
	judge := func(err error) {
		kind := fault.KindOf(err)
		c.add(kind)
		if kind != "" && !slices.Contains(blames, kind) || kind == fault.Poison {
			sum := fnv.New64a()
			_, _ = sum.Write(mutant)
			t.Errorf("%s (%d bytes, %x): %v", what, len(mutant), sum.Sum64(), err)
		}
	}
	begin := time.Now()
	err := p.Transform(context.Background(), variant.Original{Body: mutant}, specs, variant.StageFinal, func(_ int, img variant.Image, err error) {
		judge(err)
		if err == nil && (len(img.Body) == 0 || img.Width > 64) {
			t.Errorf("%s: a variant of %d bytes and %d x %d", what, len(img.Body), img.Width, img.Height)
		}
	})
	if err != nil {
		judge(err)
	}
	if took := time.Since(begin); took > mutantCPU+30*time.Second {
		t.Errorf("%s took %v", what, took)
	}
}
