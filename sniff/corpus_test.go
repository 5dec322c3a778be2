package sniff

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/goldcrest/goldcrest/fault"
)

// manifest reads the rows of a folder's MANIFEST.tsv, without its heading; none where the corpus is absent. The corpus
// lives beside the repository.
func manifest(folder string) (dir string, rows [][]string) {
	dir = os.Getenv("GOLDCREST_CORPUS")
	if dir == "" {
		dir = filepath.Join("..", "..", "shared", "corpus")
	}
	dir = filepath.Join(dir, folder)
	text, err := os.ReadFile(filepath.Join(dir, "MANIFEST.tsv"))
	if err != nil {
		return dir, nil
	}
	for _, line := range strings.Split(strings.TrimSpace(string(text)), "\n")[1:] {
		rows = append(rows, strings.Split(line, "\t"))
	}
	return dir, rows
}

func TestPhotos(t *testing.T) {
	dir, rows := manifest("photos")
	if rows == nil {
		t.Skip("the corpus is absent")
	}
	extensions := map[string]string{".jpg": "jpeg", ".tif": "tiff"}
	for _, row := range rows {
		name := row[0]
		t.Run(name, func(t *testing.T) {
			b, err := os.ReadFile(filepath.Join(dir, name))
			if err != nil {
				t.Fatal(err)
			}
			in, err := Inspect(b)
			if err != nil {
				t.Fatal(err)
			}
			width, _ := strconv.Atoi(row[2])
			height, _ := strconv.Atoi(row[3])
			if in.Width != width || in.Height != height {
				t.Errorf("size = %dx%d, want %dx%d", in.Width, in.Height, width, height)
			}
			ext := filepath.Ext(name)
			if want, ok := extensions[ext]; ok && in.Format != want || !ok && in.Format != ext[1:] {
				t.Errorf("format = %q for %s", in.Format, name)
			}
			if !in.Complete || in.End != len(b) {
				t.Errorf("complete = %v, end = %d of %d", in.Complete, in.End, len(b))
			}
			orientation := 1
			if n, ok := strings.CutPrefix(name, "exif-portrait-"); ok {
				orientation, _ = strconv.Atoi(n[:1])
			} else if strings.HasPrefix(name, "dog-") {
				orientation = 6
			}
			if in.Orientation != orientation {
				t.Errorf("orientation = %d, want %d", in.Orientation, orientation)
			}
			checkPhotoTraits(t, name, in)
		})
	}
}

// checkPhotoTraits compares what the names of the photos promise.
func checkPhotoTraits(t *testing.T, name string, in Info) {
	t.Helper()
	traits := []struct {
		part string
		want bool
		got  bool
	}{
		{"cmyk", true, in.CMYK},
		{"alpha", true, in.Alpha},
		{"-icc", true, in.Profile},
		{"noicc", false, in.Profile},
		{"p3-", true, in.Profile},
		{"adobergb", true, in.Profile},
		{"prophoto", true, in.Profile},
		{"progressive", true, in.Progressive},
		{"16bit", true, in.Bits == 16},
		{"1bit", true, in.Bits == 1},
		{"grey", true, in.Channels == 1},
		{"anim", true, in.Frames > 1},
		{"product-saw", false, in.Profile || in.Progressive || in.Alpha || in.CMYK},
	}
	for _, c := range traits {
		if strings.Contains(name, c.part) && c.got != c.want {
			t.Errorf("%s: trait %q is %v, want %v: %+v", name, c.part, c.got, c.want, in)
		}
	}
}

func TestHostile(t *testing.T) {
	dir, rows := manifest("hostile")
	if rows == nil {
		t.Skip("the corpus is absent")
	}
	want := map[string]struct {
		kind     fault.Kind
		w, h     int
		complete bool
	}{
		"access-denied.png":        {kind: fault.NotAnImage},
		"avif-ispe-60000.avif":     {w: 60000, h: 60000, complete: true},
		"document.pdf.jpg":         {w: 2048, h: 2048, complete: true},
		"empty.jpg":                {kind: fault.NotAnImage},
		"error-page.jpg":           {kind: fault.NotAnImage},
		"json-error.webp":          {kind: fault.NotAnImage},
		"libvips-truncated.svgz":   {kind: fault.NotAnImage},
		"magic-only.jpg":           {kind: fault.DecodeFailed},
		"sharp-corrupt-header.jpg": {kind: fault.DecodeFailed},
		"libheif-crash.heic":       {kind: fault.DecodeFailed},
		"gif-5000-frames.gif":      {w: 1000, h: 1000, complete: true},
		"imagers-bad-width.bmp":    {w: 1<<31 - 1, h: 6},
		"jpeg-1000-scans.jpg":      {w: 3000, h: 3000, complete: true},
		"jpeg-half.jpg":            {w: 1200, h: 900},
		"libvips-17000x17000.avif": {w: 17000, h: 17000, complete: true},
		"libvips-truncated.gif":    {w: 575, h: 800},
		"pillow-bomb-extents.gif":  {w: 65635, h: 65635, complete: true},
		"pillow-bomb.gif":          {w: 65535, h: 66601},
		"pillow-broken-stream.png": {w: 128, h: 128},
		"pillow-truncated.jpg":     {w: 100, h: 100},
		"png-30000x30000.png":      {w: 30000, h: 30000, complete: true},
		"polyglot-jpeg-html.jpg":   {w: 200, h: 150, complete: true},
		"sharp-65536x65536.png":    {w: 65536, h: 65536, complete: true},
		"sharp-giant-280mp.jpg":    {w: 20000, h: 14000, complete: true},
		"sharp-truncated.png":      {w: 294, h: 240},
		"webp-16383.webp":          {w: 16383, h: 16383, complete: true},
		"webp-3000-frames.webp":    {w: 4096, h: 4096, complete: true},
	}
	for _, row := range rows {
		t.Run(row[0], func(t *testing.T) {
			b, err := os.ReadFile(filepath.Join(dir, row[0]))
			if err != nil {
				t.Fatal(err)
			}
			in, err := Inspect(b)
			c, ok := want[row[0]]
			if !ok {
				return
			}
			if fault.KindOf(err) != c.kind || in.Width != c.w || in.Height != c.h || in.Complete != c.complete {
				t.Errorf("got %+v, %v, want %+v", in, err, c)
			}
		})
	}
}

func FuzzInspect(f *testing.F) {
	for _, b := range seeds(f) {
		f.Add(b)
	}
	header := sequence(reduced, size, tools, tools, plain, p3)
	f.Add(located("\x00\x00\x00\x00\x44\x00\x00\x01"+"\x00\x01\x00\x00\x00\x01\x00\x00\x00AT\x00\x00\x00\x20", "", header))
	f.Add(avif("avif", ispe(7, 6), box("av1C", "\x81\x00\x0c\x00"+header)))
	directory := "\x00\x00\x01\x00\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\xff\x00\x00\x00\x16\x00\x00\x00"
	f.Add(append([]byte(directory), pngSeed(f)...))
	dir, rows := manifest("hostile")
	for _, row := range rows {
		if b, err := os.ReadFile(filepath.Join(dir, row[0])); err == nil && len(b) < 2_000 {
			f.Add(b)
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		in, err := Inspect(b)
		if err != nil {
			switch fault.KindOf(err) {
			case fault.NotAnImage, fault.UnsupportedFormat, fault.DecodeFailed:
				return
			}
			t.Fatalf("unexpected kind: %v", err)
		}
		if in.Format != Format(b) || in.Width < 1 || in.Height < 1 || in.Frames < 1 || in.Frames > maxFrames ||
			in.Orientation < 1 || in.Orientation > 8 || in.End < 0 || in.End > len(b) || in.Complete && in.LacksEnd {
			t.Errorf("impossible: %+v of %d bytes", in, len(b))
		}
		if in.DecodedBytes(in.Frames) < in.DecodedBytes(1) || in.DecodedBytes(1) < in.Pixels() {
			t.Errorf("estimate shrinks: %+v", in)
		}
		if in.Complete {
			again, err := Inspect(b[:in.End])
			if err != nil || !again.Complete || again.Width != in.Width || again.Height != in.Height {
				t.Errorf("the picture without its tail is %+v, %v, want %+v", again, err, in)
			}
		}
	})
}
