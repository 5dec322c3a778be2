package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"image"
	_ "image/jpeg"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// Every photo of the corpus through open URLs, for each kind of client and two networks: no response is larger than its
// original, and none contains metadata.
func TestResponsesAreNeverLargerAndHaveNoMetadata(t *testing.T) {
	exiftool, err := exec.LookPath("exiftool")
	if err != nil {
		t.Skip("exiftool is not installed (make test installs it)")
	}
	dir := filepath.Join(corpus(t), "photos")
	o, s, out := startOrigin(t), start(t), t.TempDir()
	files, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	clients := map[string]string{"avif": chrome, "webp": "image/webp,*/*", "jpeg": "image/jpeg,*/*;q=0.1"}
	made := 0
	for _, f := range files {
		info, err := f.Info()
		if name := f.Name(); err != nil || name == "MANIFEST.tsv" || name == "struct.svg" {
			continue
		}
		for client, accept := range clients {
			for _, options := range []string{"rs:fit:800:0", "rs:fit:480:0/net:2g"} {
				a := s.get(signed(options, o.URL+"/photos/"+f.Name()), "Accept", accept)
				if a.StatusCode != 200 {
					t.Errorf("%s %s %s: got %d %s", f.Name(), client, options, a.StatusCode, a.Header.Get("X-Error"))
					continue
				}
				if int64(len(a.body)) > info.Size() {
					t.Errorf("%s %s %s: %d bytes of %s, the original has %d", f.Name(), client, options, len(a.body), a.Header.Get("Content-Type"), info.Size())
				}
				made++
				_, ext, _ := strings.Cut(a.Header.Get("Content-Type"), "/")
				if err := os.WriteFile(filepath.Join(out, fmt.Sprintf("%s-%s-%d.%s", f.Name(), client, len(options), ext)), a.body, 0o600); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	if made < 200 {
		t.Errorf("only %d variants were made", made)
	}
	cmd := exec.Command(exiftool, "-q", "-j", "-G1", "-EXIF:All", "-XMP:All", "-IPTC:All", "-GPS:All", "-ICC_Profile:All", "-Photoshop:All", "-MakerNotes:All", out)
	told, err := cmd.Output()
	var found []map[string]any
	if jsonErr := json.Unmarshal(told, &found); err != nil || jsonErr != nil || len(found) != made {
		t.Fatalf("exiftool: %v, %v, %d of %d files", err, jsonErr, len(found), made)
	}
	for _, tags := range found {
		if len(tags) != 1 {
			t.Errorf("metadata: %v", tags)
		}
	}
}

// A slow network reduces the quality of documents, never their pixels; photos get fewer pixels than a dense screen
// could show.
func TestDocumentsKeepTheirPixels(t *testing.T) {
	corpus(t)
	o, s := startOrigin(t), start(t)
	for file, want := range map[string]int{"receipt-tall.jpg": 800, "receipt-thermal.jpg": 752, "faces-progressive.jpg": 400, "truck-street.jpg": 400} {
		a := s.get(signed("rs:fit:400:0/dpr:2/net:2g", o.URL+"/photos/"+file), "Accept", "image/jpeg")
		cfg, _, err := image.DecodeConfig(bytes.NewReader(a.body))
		if err != nil || cfg.Width != want {
			t.Errorf("%s: %d pixels wide (%v), want %d", file, cfg.Width, err, want)
		}
	}
}

// The choice of a variant is reported: its response contains how long the choice took, and explain returns what was
// measured, tried and chosen.
func TestChoiceIsExplained(t *testing.T) {
	corpus(t)
	o, s := startOrigin(t), start(t, prewarmEnv...)
	for file, want := range map[string]string{"receipt-tall.jpg": "text", "faces-progressive.jpg": "photo"} {
		targets := map[string][]string{"photo": {"70"}, "text": {"72", "75"}} // Tiny letters have more, by iq yet more.
		path := signed("rs:fit:600:0", o.URL+"/photos/"+file)
		cold := s.get(path, "Accept", chrome)
		if timing := cold.Header.Get("Server-Timing"); !strings.Contains(timing, "probe;dur=") {
			t.Errorf("%s: Server-Timing %q tells no probe", file, timing)
		}
		a := s.do("GET", s.admin+"/v1/explain"+path, "Accept", chrome, "Authorization", "Bearer "+backendToken)
		var e struct {
			Stored struct{ Attrs map[string]string }
		}
		if err := json.Unmarshal(a.body, &e); err != nil {
			t.Fatalf("%v: %s", err, a.body)
		}
		attrs := e.Stored.Attrs
		if attrs["kind"] != want || !slices.Contains(targets[want], attrs["target"]) ||
			attrs["predicted"] == "" || attrs["q"] != attrs["predicted"] ||
			!strings.HasPrefix(attrs["tried"], "avif q"+attrs["q"]) || !strings.Contains(attrs["note"], want) {
			t.Errorf("%s: %v", file, attrs)
		}
	}
}
