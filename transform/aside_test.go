package transform

import (
	"context"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/goldcrest/goldcrest/variant"
)

// aside is run in the workers aside.
func aside(ctx context.Context, p *Pool, original []byte, specs ...variant.Spec) (notes []string, err error) {
	err = p.Aside().Transform(ctx, variant.Original{Body: original}, specs, variant.StageFinal, func(_ int, img variant.Image, err error) {
		if err == nil {
			notes = append(notes, img.Note)
		}
	})
	return notes, err
}

// Heavy pictures are made outside the pool's workers, with all threads at a lower priority, and several callers take
// turns there.
func TestHeavyPicturesTakeNoWorkerOfThePool(t *testing.T) {
	cfg := testConfig()
	cfg.Workers = 1
	p, _ := open(t, cfg)
	fifo := makeFIFO(t)
	first := make(chan error, 1)
	go func() {
		_, err := aside(context.Background(), p, picture(t, 4, 4, 0), script("wait:"+fifo))
		first <- err
	}()
	second := make(chan error, 1)
	go func() {
		notes, err := aside(context.Background(), p, picture(t, 4, 4, 1), script("self"))
		if err == nil && !strings.Contains(strings.Join(notes, " "), "nice=15") {
			t.Errorf("got %q, want a niceness of 15", notes)
		}
		second <- err
	}()
	if m, err := run(t.Context(), p, picture(t, 4, 4, 2), script("self")); err != nil || !strings.Contains(m.images[0].Note, "nice=10") {
		t.Errorf("got %v, error %v; want a picture of a worker of the pool", m.images, err)
	}
	openFIFO(t, fifo)
	for _, done := range []chan error{first, second} {
		if err := receiveWithin(t, done, "a picture made aside"); err != nil {
			t.Error(err)
		}
	}
	if got := p.Stats(); got.Spawned != 2 {
		t.Errorf("got %+v, want two workers in all", got)
	}
}

// A caller that woke a slot gets a worker from it, although the first worker went to another caller and did not come
// back.
func TestWokenCallerGetsAHeavyWorker(t *testing.T) {
	cfg := testConfig()
	cfg.Workers, cfg.Recycle = 1, 1 // one place aside, and a new worker for each picture
	p, _ := open(t, cfg)
	done := make(chan error, 8)
	for i := range cap(done) {
		go func() {
			_, err := aside(context.Background(), p, picture(t, 4, 4, i), script("self"))
			done <- err
		}()
	}
	for range cap(done) {
		if err := receiveWithin(t, done, "a picture made aside"); err != nil {
			t.Error(err)
		}
	}
}

// A worker aside that crashes is replaced for its caller. An idle one ends, and the next caller gets a new one.
func TestHeavyWorkerIsReplacedAndEndsIdle(t *testing.T) {
	cfg := testConfig()
	cfg.Workers = 1
	w := newWatcher()
	p := newPool(cfg, w, nil)
	p.pingEvery = 50 * time.Millisecond
	if err := p.open(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Close() })
	for range 2 {
		once := filepath.Join(t.TempDir(), "crashed")
		if notes, err := aside(context.Background(), p, picture(t, 4, 4, 0), script("once:"+once)); err != nil || len(notes) != 1 {
			t.Errorf("got %d pictures, error %v", len(notes), err)
		}
		for _, want := range []string{"crash", "unused"} {
			if got := receiveWithin(t, w.ended, "a worker to end"); got != want {
				t.Errorf("got a worker ended by %q, want %q", got, want)
			}
		}
	}
	if got := p.Stats(); got.Workers != 1 || got.Spawned != 5 || got.Crashes != 2 {
		t.Errorf("got %+v, want the pool's one worker left", got)
	}
}
