package transform

import (
	"bytes"
	"encoding/binary"
	"image"
	"image/color"
	"image/gif"
	"image/jpeg"
	"os"
	"path/filepath"
	"testing"

	"github.com/goldcrest/goldcrest/fault"
	"github.com/goldcrest/goldcrest/sniff"
	"github.com/goldcrest/goldcrest/variant"
)

func TestAdmissible(t *testing.T) {
	still := sniff.Info{Format: "jpeg", Width: 4000, Height: 3000, Frames: 1}
	moving := sniff.Info{Format: "gif", Width: 100, Height: 100, Frames: 30}
	lim := Limits{Pixels: 12_000_000, ResultPixels: 16_000_000, Frames: 40}
	one := lim
	one.Frames = 1
	for name, test := range map[string]struct {
		info   sniff.Info
		spec   variant.Spec
		lim    Limits
		frames int
		want   fault.Kind
	}{
		"just fits":                {still, variant.Spec{Format: variant.JPEG}, lim, 1, ""},
		"a row too many":           {sniff.Info{Width: 4000, Height: 3001, Frames: 1}, variant.Spec{}, lim, 0, fault.TooManyPixels},
		"overflowing sides":        {sniff.Info{Width: 1<<31 - 1, Height: 1<<31 - 1, Frames: 1}, variant.Spec{}, lim, 0, fault.TooManyPixels},
		"the URL lowers pixels":    {still, variant.Spec{Limits: variant.Limits{Pixels: 11_999_999}}, lim, 0, fault.TooManyPixels},
		"the URL cannot raise":     {sniff.Info{Width: 4000, Height: 3001, Frames: 1}, variant.Spec{Limits: variant.Limits{Pixels: 99_000_000}}, lim, 0, fault.TooManyPixels},
		"the URL lowers bytes":     {still, variant.Spec{Limits: variant.Limits{Bytes: 9}}, lim, 0, fault.SourceTooLarge},
		"animation":                {moving, variant.Spec{Format: variant.WebP}, lim, 30, ""},
		"animation, open":          {moving, variant.Spec{Format: variant.AVIF, Accepts: variant.AcceptAVIF | variant.AcceptWebP}, lim, 30, ""},
		"still of animation":       {moving, variant.Spec{Format: variant.JPEG}, lim, 1, ""},
		"stills by policy":         {moving, variant.Spec{Format: variant.WebP}, one, 1, ""},
		"still by the URL":         {moving, variant.Spec{Format: variant.GIF, Limits: variant.Limits{Frames: 1}}, lim, 1, ""},
		"too long for an open URL": {moving, variant.Spec{Format: variant.AVIF, Accepts: variant.AcceptWebP, Limits: variant.Limits{Frames: 29}}, lim, 1, ""},
		"frames of a PNG":          {sniff.Info{Format: "png", Width: 100, Height: 100, Frames: 500}, variant.Spec{Format: variant.WebP}, lim, 1, ""},
		"more frames than policy":  {moving, variant.Spec{Format: variant.GIF, Limits: variant.Limits{Frames: 29}}, lim, 0, fault.TooManyFrames},
		"frames count as pixels":   {sniff.Info{Format: "webp", Width: 1000, Height: 1000, Frames: 13}, variant.Spec{Format: variant.GIF}, lim, 0, fault.TooManyPixels},
	} {
		t.Run(name, func(t *testing.T) {
			frames, err := admissible(variant.Original{Body: make([]byte, 10)}, test.info, test.spec, test.lim)
			wantKind(t, err, test.want)
			if frames != test.frames {
				t.Errorf("got %d frames, want %d", frames, test.frames)
			}
		})
	}
}

func TestExamine(t *testing.T) {
	cfg := testConfig()
	cfg.OriginalBytes = 1 << 20
	slow := jpegOf(t)
	// The scan's header and data once more, a hundred times.
	sos := bytes.Index(slow, []byte{0xff, 0xda})
	scan := bytes.TrimSuffix(slow[sos:], []byte{0xff, 0xd9})
	slow = append(append(bytes.Clone(slow[:sos]), bytes.Repeat(scan, maxScans+1)...), 0xff, 0xd9)
	for name, test := range map[string]struct {
		original []byte
		want     fault.Kind
	}{
		"png":        {picture(t, 4, 4, 0), ""},
		"jpeg":       {jpegOf(t), ""},
		"many scans": {slow, fault.TooCostly},
		"pages":      {tiffOf(maxDirectories), ""},
		"many pages": {tiffOf(maxDirectories + 1), fault.TooCostly},
		"too large":  {picture(t, 4, 4, 1<<20), fault.SourceTooLarge},
		"empty":      {nil, fault.NotAnImage},
		"html":       {[]byte("<!doctype html><p>not found"), fault.NotAnImage},
		"svg":        {[]byte(`<svg xmlns="http://www.w3.org/2000/svg"/>`), ""},
	} {
		_, err := examine(variant.Original{Body: test.original}, cfg)
		if got := fault.KindOf(err); got != test.want {
			t.Errorf("%s: got %q (%v), want %q", name, got, err, test.want)
		}
	}
	cfg.Inputs = []string{"jpeg", "png"}
	_, err := examine(variant.Original{Body: []byte(`<svg xmlns="http://www.w3.org/2000/svg"/>`)}, cfg)
	if fault.KindOf(err) != fault.UnsupportedFormat {
		t.Errorf("an SVG where none is read: %v", err)
	}
}

// tiffOf is a TIFF of so many directories, each of one grey pixel.
func tiffOf(directories int) []byte {
	le := binary.LittleEndian
	b := []byte{'I', 'I', '*', 0, 8, 0, 0, 0}
	for i := range directories {
		entries := [][2]uint32{{256, 1}, {257, 1}, {258, 8}, {259, 1}, {262, 1}, {273, 0}, {277, 1}, {278, 1}, {279, 1}}
		b = le.AppendUint16(b, uint16(len(entries)))
		for _, e := range entries {
			b = le.AppendUint32(le.AppendUint32(le.AppendUint16(le.AppendUint16(b, uint16(e[0])), 4), 1), e[1])
		}
		next := uint32(0)
		if i+1 < directories {
			next = uint32(len(b) + 4)
		}
		b = le.AppendUint32(b, next)
	}
	return b
}

func TestTransformRefusesSingleSpecsAndMakesTheOthers(t *testing.T) {
	cfg := testConfig()
	cfg.MaxFrames = 5
	p, _ := open(t, cfg)
	var b bytes.Buffer
	frame := image.NewPaletted(image.Rect(0, 0, 8, 8), color.Palette{color.Black, color.White})
	g := &gif.GIF{}
	for range 6 {
		g.Image, g.Delay = append(g.Image, frame), append(g.Delay, 1)
	}
	if err := gif.EncodeAll(&b, g); err != nil {
		t.Fatal(err)
	}
	m, err := run(t.Context(), p, b.Bytes(), variant.Spec{Format: variant.GIF}, variant.Spec{Format: variant.JPEG}, variant.Spec{Format: variant.JPEG, Limits: variant.Limits{Pixels: 63}})
	if err != nil || len(m.images) != 1 {
		t.Fatalf("got %v, error %v", m, err)
	}
	wantKind(t, m.errs[0], fault.TooManyFrames)
	wantKind(t, m.errs[2], fault.TooManyPixels)
}

// The frames of an animation count for a variant that may have them.
func TestFramesCountWhereTheyAreKept(t *testing.T) {
	info := sniff.Info{Format: "gif", Width: 10, Height: 10, Frames: 4}
	still := Limits{Pixels: 1000, Frames: 3}
	moving := still
	moving.AnimatedAVIF = true
	open := variant.Spec{Format: variant.AVIF, Accepts: variant.AcceptAVIF | variant.AcceptWebP}
	for _, tt := range []struct {
		frames int
		spec   variant.Spec
		lim    Limits
		want   int // 0 = refused
	}{
		{4, variant.Spec{Format: variant.AVIF}, still, 1}, {3, variant.Spec{Format: variant.AVIF}, still, 1},
		{4, variant.Spec{Format: variant.AVIF}, moving, 0}, {3, variant.Spec{Format: variant.AVIF}, moving, 3},
		{4, open, moving, 1}, {3, open, moving, 3}, {3, open, still, 3},
		{3, variant.Spec{Format: variant.JPEG}, moving, 1}, {4, variant.Spec{Format: variant.WebP}, still, 0},
	} {
		info.Frames = tt.frames
		got, err := admissible(variant.Original{}, info, tt.spec, tt.lim)
		if got != tt.want || (err != nil) != (tt.want == 0) {
			t.Errorf("%d frames, %+v: %d, %v; want %d", tt.frames, tt.spec, got, err, tt.want)
		}
	}
}

// No hostile file reaches a worker with more memory than the budget, and none is admitted with less than its header
// declares.
func TestFault36HostileFilesAreAdmittedByDecodedBytes(t *testing.T) {
	dir := os.Getenv("GOLDCREST_CORPUS")
	if dir == "" {
		dir = filepath.Join("..", "..", "shared", "corpus")
	}
	files, err := filepath.Glob(filepath.Join(dir, "hostile", "*"))
	if err != nil || len(files) == 0 {
		t.Skip("no corpus: set GOLDCREST_CORPUS")
	}
	cfg := testConfig()
	p := &Pool{cfg: cfg}
	for _, path := range files {
		original, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		task := &task{original: variant.Original{Body: original}, specs: []variant.Spec{{Format: variant.WebP}}, emit: func(int, variant.Image, error) {}}
		if err := p.screen(task); err != nil || len(task.open) == 0 {
			continue
		}
		info, _ := sniff.Inspect(original)
		if info.Pixels() > cfg.MaxPixels || task.need < info.Pixels() {
			t.Errorf("%s: %d x %d admitted with %d bytes", filepath.Base(path), info.Width, info.Height, task.need)
		}
	}
}

func jpegOf(tb testing.TB) []byte {
	tb.Helper()
	var b bytes.Buffer
	if err := jpeg.Encode(&b, image.NewGray(image.Rect(0, 0, 16, 16)), nil); err != nil {
		tb.Fatal(err)
	}
	return b.Bytes()
}

// Formats that are off by default are read if the configuration names them.
func TestInputsThatAreOffByDefault(t *testing.T) {
	icon := append([]byte{0, 0, 1, 0, 1, 0, 14: 44 + 4, 18: 22, 21: 0}, make([]byte, 48)...)
	icon[22], icon[26], icon[30], icon[36] = 40, 1, 2, 32
	cfg := Default()
	if _, err := examine(variant.Original{Body: icon}, cfg); fault.KindOf(err) != fault.UnsupportedFormat {
		t.Errorf("by default: %v", err)
	}
	pdf := []byte("%PDF-1.7\n...\n%%EOF\n")
	if _, err := examine(variant.Original{Body: pdf}, cfg); fault.KindOf(err) != fault.NotAnImage {
		t.Errorf("a PDF by default: %v", err)
	}
	cfg.Inputs = append(cfg.Inputs, "ico", "pdf")
	if _, err := examine(variant.Original{Body: pdf}, cfg); err != nil {
		t.Errorf("a PDF, named: %v", err)
	}
	if in, err := examine(variant.Original{Body: icon}, cfg); err != nil || in.Width != 1 || cfg.Validate() != nil {
		t.Errorf("named: %+v, %v, %v", in, err, cfg.Validate())
	}
}
