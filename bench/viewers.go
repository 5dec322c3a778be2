package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// pagesAtOnce is how many photos are asked for at a time: more than there are workers, and few enough for a slow machine's patience.
const pagesAtOnce = 2

// measureViewers compares viewers who ask for several widths of a new original at the same moment, as the sizes of a page do, with as many
// viewers of as many new originals.
func measureViewers(ctx context.Context, b *bench) ([]row, error) {
	c, err := b.startCold(ctx)
	if err != nil {
		return nil, err
	}
	defer c.stop()
	var rows []row
	for _, format := range []string{"webp", "jpg"} {
		var together, alone work
		for i := range 1 + max(b.rounds/2, 1) {
			one, err := c.pages(ctx, format, true)
			if err != nil {
				return nil, err
			}
			each, err := c.pages(ctx, format, false)
			if err != nil {
				return nil, err
			}
			if i > 0 { // The first round warms up.
				together.add(one)
				alone.add(each)
			}
		}
		what := fmt.Sprintf("viewers of %d px at once, %s q75, of one original against three: ", severalWidths, format)
		rows = append(rows,
			row{what: what + "images", ours: median(together.rates), reference: median(alone.rates), unit: "1/s"},
			row{what: what + "CPU an image", ours: median(together.costs), reference: median(alone.costs), unit: "ms"})
	}
	return rows, nil
}

// pages has each photo asked for in each width, all widths at once, a few photos at a time: under one new name for all widths, or under one
// for each.
func (c *cold) pages(ctx context.Context, format string, shared bool) (work, error) {
	before, began := familyCPU(c.rig.Process.Pid), time.Now()
	var taken atomic.Int64
	var wg sync.WaitGroup
	errs := make([]error, pagesAtOnce)
	for i := range errs {
		wg.Go(func() {
			for n := taken.Add(1); n <= int64(len(c.photos)) && errs[i] == nil; n = taken.Add(1) {
				errs[i] = c.page(ctx, c.photos[n-1].name, format, shared)
			}
		})
	}
	wg.Wait()
	wall := time.Since(began)
	time.Sleep(settling)
	cpu := familyCPU(c.rig.Process.Pid) - before
	return work{images: len(c.photos) * len(severalWidths), wall: wall.Seconds(), cpu: cpu.Seconds()}, errors.Join(errs...)
}

// page asks for all widths of a photo at once.
func (c *cold) page(ctx context.Context, name, format string, shared bool) error {
	var wg sync.WaitGroup
	errs := make([]error, len(severalWidths))
	first := c.asked.Add(int64(len(severalWidths)))
	for i, w := range severalWidths {
		n := first
		if !shared {
			n -= int64(i)
		}
		path, err := c.rig.path(c.origin+"/"+name, fmt.Sprintf("rs:fit:%d:0/q:75/f:%s/cb:%d", w, format, n))
		if err != nil {
			return err
		}
		wg.Go(func() { _, _, errs[i] = c.rig.get(ctx, path, "*/*") })
	}
	wg.Wait()
	return errors.Join(errs...)
}
