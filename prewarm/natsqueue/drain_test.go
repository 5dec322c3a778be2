package natsqueue

import (
	"context"
	"testing"
	"time"

	"github.com/goldcrest/goldcrest/fault"
	"github.com/goldcrest/goldcrest/prewarm"
	"github.com/goldcrest/goldcrest/prewarm/ledger"
)

// A worker that stops finishes the images in progress, starts no others, and returns the rest unchanged. Each image is
// made once. The schedule:
//  1. A worker has room for two of 40 images and has started both.
//  2. It is told to stop.
//  3. Both are made.
//  4. It stops.
//  5. Another worker makes the other 38.
func TestFault56StoppingWorkerDrains(t *testing.T) {
	q, w := open(t, t.TempDir(), nil), newWorld()
	entered, proceed := make(chan struct{}, 40), make(chan struct{})
	w.onWarm = func(ctx context.Context, _ string) error {
		entered <- struct{}{}
		select {
		case <-proceed:
			return nil
		case <-ctx.Done():
			return fault.Of(ctx.Err())
		}
	}
	few := func(c *prewarm.Config, d *prewarm.Deps) {
		c.Workers, c.Drain, c.Formats = 2, time.Minute, []string{"webp"}
	}
	first := start(t, q, w, true, few)
	job := accept(t, first, call(0, 40)).Job.ID
	<-entered
	<-entered // 1.
	stopped := make(chan struct{})
	go func() { defer close(stopped); first.cancel(); first.stop() }() // 2.
	<-first.ctx.Done()
	close(proceed) // 3.
	<-stopped      // 4.
	if len(entered) != 0 {
		t.Errorf("%d images were begun after the stop", len(entered))
	}
	second := start(t, q, w, true, few) // 5.
	j := ended(t, second, job)
	if j.State != ledger.Done || j.Counts.Made != 40 {
		t.Errorf("the job came to %+v", j)
	}
	agree(t, second, j)
	for source, n := range w.warms {
		if n != 1 {
			t.Errorf("%s was worked on %d times", source, n)
		}
	}
}

// The drain is a limit: images that take longer are abandoned, and that does not count as a try.
func TestFault56DrainIsABound(t *testing.T) {
	q, w := open(t, t.TempDir(), nil), newWorld()
	entered := make(chan struct{}, 8)
	w.onWarm = func(ctx context.Context, _ string) error {
		entered <- struct{}{}
		<-ctx.Done()
		return fault.Of(ctx.Err())
	}
	i := start(t, q, w, true, func(c *prewarm.Config, _ *prewarm.Deps) { c.Drain = 50 * time.Millisecond })
	job := accept(t, i, call(0, 1)).Job.ID
	<-entered
	began := time.Now()
	i.stop()
	if took := time.Since(began); took < 50*time.Millisecond || took > 5*time.Second {
		t.Errorf("the stop took %v", took)
	}
	w.onWarm = nil
	next := start(t, q, w, true, nil)
	if j := ended(t, next, job); j.State != ledger.Done {
		t.Errorf("the job came to %+v", j)
	}
}
