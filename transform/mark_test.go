package transform

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/goldcrest/goldcrest/fault"
	"github.com/goldcrest/goldcrest/variant"
)

// marked is a script for a variant with a watermark.
func marked(op, mark string) variant.Spec {
	s := script(op)
	s.Watermark = variant.Watermark{Opacity: 1, Mark: mark, Source: "https://a/mark.png?secret"}
	return s
}

// runMarked runs specs on an original with marks, and returns notes and faults.
func runMarked(t *testing.T, p *Pool, o variant.Original, specs ...variant.Spec) (notes []string, faults []error) {
	t.Helper()
	notes, faults = make([]string, len(specs)), make([]error, len(specs))
	err := p.Transform(t.Context(), o, specs, variant.StageFinal, func(i int, img variant.Image, err error) {
		notes[i], faults[i] = img.Note, err
	})
	for i := range faults {
		if faults[i] == nil && notes[i] == "" {
			faults[i] = err
		}
	}
	return notes, faults
}

// A worker gets the bytes of the marks that its specs need, and never their URLs.
func TestMarksReachTheWorker(t *testing.T) {
	file := filepath.Join(t.TempDir(), "mark.png")
	own := picture(t, 9, 9, 3)
	if err := os.WriteFile(file, own, 0o600); err != nil {
		t.Fatal(err)
	}
	cfg := testConfig()
	cfg.Mark = ReadMark(file)
	if err := os.Remove(file); err != nil { // It is read once.
		t.Fatal(err)
	}
	p, _ := open(t, cfg)
	red, blue := picture(t, 5, 5, 1), picture(t, 7, 7, 2)
	o := variant.Original{Body: picture(t, 4, 4, 0), Marks: map[string][]byte{"red": red, "blue": blue, "unused": red}}
	specs := []variant.Spec{marked("marks", "red"), marked("marks", "blue"), marked("marks", cfg.Mark.Fingerprint())}
	notes, faults := runMarked(t, p, o, specs...)
	for i, body := range [][]byte{red, blue, own} {
		if want := fmt.Sprintf(`"" 3 %x`, sha256.Sum256(body)); notes[i] != want || faults[i] != nil {
			t.Errorf("mark %d: %s, %v; want %s", i, notes[i], faults[i], want)
		}
	}
	if bare, _ := runMarked(t, p, o, script("marks")); !strings.HasPrefix(bare[0], `"" 0 `) {
		t.Errorf("a variant without a mark: %s", bare[0])
	}
}

// Marks that are absent, no picture or too large fail their own variants, and their kinds do not condemn the original.
func TestBadMarks(t *testing.T) {
	p, _ := open(t, testConfig())
	o := variant.Original{Body: picture(t, 4, 4, 0), Marks: map[string][]byte{
		"page": []byte("<html>"), "wide": picture(t, MarkPixels/1000+1, 1000, 0), "good": picture(t, 5, 5, 1),
	}}
	for i := range 4 {
		o.Marks[fmt.Sprint("long", i)] = append(picture(t, 5, 5, i), bytes.Repeat([]byte{0}, MarkBytes-100_000)...)
	}
	names := []string{"absent", "", "page", "wide", "good", "long0", "long1", "long2", "long3"}
	var specs []variant.Spec
	for _, name := range names {
		specs = append(specs, marked("marks", name))
	}
	_, faults := runMarked(t, p, o, specs...)
	want := map[string]fault.Kind{"absent": fault.UnsupportedOption, "": fault.UnsupportedOption,
		"page": fault.BadOption, "wide": fault.BadOption}
	for i, f := range faults {
		if fault.KindOf(f) != want[names[i]] {
			t.Errorf("%s: %v, want %q", names[i], f, want[names[i]])
		}
	}
	o.Marks["long4"] = append(picture(t, 6, 6, 1), bytes.Repeat([]byte{0}, MarkBytes-100_000)...)
	_, faults = runMarked(t, p, o, append(specs, marked("marks", "long4"))...)
	if fault.KindOf(faults[len(specs)]) != fault.BadOption {
		t.Errorf("a mark too many: %v", faults[len(specs)])
	}
}

// A mark is charged for its decoder, and for its pixels with four channels: they stay in memory beside the original's.
func TestMarksAreChargedToImageMemory(t *testing.T) {
	cfg := testConfig()
	cfg.ImageMemory = 16 << 20
	p, _ := open(t, cfg)
	marks := map[string][]byte{"large": picture(t, 2000, 2000, 0), "medium": picture(t, 1500, 1500, 0)}
	for name, want := range map[string]fault.Kind{"large": fault.TooManyPixels, "medium": ""} {
		o := variant.Original{Body: picture(t, 4, 4, 0), Marks: marks}
		if _, faults := runMarked(t, p, o, marked("marks", name)); fault.KindOf(faults[0]) != want {
			t.Errorf("%s: %v, want %q", name, faults[0], want)
		}
	}
}

// A worker that crashes on an original with a mark may have crashed on the mark: the original alone is still made.
func TestCrashesWithMarksDoNotCondemnTheOriginal(t *testing.T) {
	p, _ := open(t, testConfig())
	o := variant.Original{Body: picture(t, 4, 4, 0), Marks: map[string][]byte{"bad": picture(t, 5, 5, 1)}}
	for range 2 {
		_, faults := runMarked(t, p, o, marked("signal:9", "bad"))
		wantKind(t, faults[0], fault.Poison)
	}
	if m, err := run(t.Context(), p, o.Body, script("")); err != nil || len(m.images) != 1 {
		t.Errorf("the original without the mark: %v", err)
	}
}

// A configured mark that cannot be read, or from which no picture can be made, is found at the start.
func TestConfiguredMarkIsTriedAtTheStart(t *testing.T) {
	dir := t.TempDir()
	bad := map[string][]byte{"page": []byte("<html>"), "long": make([]byte, MarkBytes+1), "absent": nil}
	for name, body := range bad {
		file := filepath.Join(dir, name)
		if body != nil {
			if err := os.WriteFile(file, body, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		cfg := testConfig()
		cfg.Mark = ReadMark(file)
		p, err := Open(context.Background(), cfg, nil, nil)
		if err == nil {
			_ = p.Close()
		}
		if err == nil || !strings.Contains(err.Error(), "transform.watermark: ") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if ReadMark("").Fingerprint() != "" {
		t.Error("no file is a mark")
	}
}
