package codec

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/goldcrest/goldcrest/fault"
	"github.com/goldcrest/goldcrest/transform"
)

// workerBuild is the build name of workers that are this test binary.
const workerBuild = "test"

// poolWatch records what a pool reports.
type poolWatch struct {
	mu    sync.Mutex
	ended map[string]int
	cpu   time.Duration
}

func (w *poolWatch) WorkerStarted(time.Duration) {}

func (w *poolWatch) Admitted(time.Duration) {}

func (w *poolWatch) WorkerEnded(reason string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.ended == nil {
		w.ended = map[string]int{}
	}
	w.ended[reason]++
}

func (w *poolWatch) Transformed(_ fault.Kind, _, cpu time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.cpu += cpu
}

// realPool opens a pool of real workers.
func realPool(tb testing.TB, change func(*transform.Config)) (*transform.Pool, *poolWatch) {
	tb.Helper()
	cfg := transform.Default()
	cfg.Build = workerBuild
	change(&cfg)
	w := &poolWatch{}
	p, err := transform.Open(context.Background(), cfg, w, slog.New(slog.NewTextHandler(tb.Output(), &slog.HandlerOptions{Level: slog.LevelWarn})))
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = p.Close() })
	return p, w
}

// corpusFiles returns the files of one folder of the test material, by name; none if it is missing.
func corpusFiles(tb testing.TB, folder string, atMost int64) map[string][]byte {
	tb.Helper()
	dir := os.Getenv("GOLDCREST_CORPUS")
	if dir == "" {
		dir = filepath.Join("..", "..", "..", "shared", "corpus")
	}
	entries, err := os.ReadDir(filepath.Join(dir, folder))
	if err != nil {
		tb.Logf("without the corpus (set GOLDCREST_CORPUS): %v", err)
		return nil
	}
	files := map[string][]byte{}
	for _, e := range entries {
		if info, err := e.Info(); err != nil || info.Size() > atMost || filepath.Ext(e.Name()) == ".tsv" {
			continue
		}
		b, err := os.ReadFile(filepath.Join(dir, folder, e.Name()))
		if err != nil {
			tb.Fatal(err)
		}
		files[e.Name()] = b
	}
	return files
}
