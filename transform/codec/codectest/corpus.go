package codectest

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/goldcrest/goldcrest/transform"
)

// Limits are the default limits of the configuration.
var Limits = transform.Limits{Pixels: 50_000_000, ResultPixels: 16_000_000, AVIFPixels: 2_000_000, Frames: 1}

// Corpus returns the path of test material outside the repository, or skips the test if it is missing.
func Corpus(t testing.TB, parts ...string) string {
	t.Helper()
	root := os.Getenv("GOLDCREST_CORPUS")
	for up := filepath.Join("..", "..", ".."); root == "" && len(up) < 15; up = filepath.Join(up, "..") {
		if path := filepath.Join(up, "shared", "corpus"); exists(path) {
			root = path
		}
	}
	path := filepath.Join(append([]string{root}, parts...)...)
	if root == "" || !exists(path) {
		t.Skipf("no corpus: %s", path)
	}
	return path
}

// ReadCorpus reads a file of the test material.
func ReadCorpus(t testing.TB, parts ...string) []byte {
	t.Helper()
	b, err := os.ReadFile(Corpus(t, parts...))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
