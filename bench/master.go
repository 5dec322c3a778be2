package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/goldcrest/goldcrest/sniff"
)

// masterSide is the side of the masters. masterOriginal is the least number of pixels of the compared originals.
const (
	masterSide     = 1600
	masterOriginal = 8_000_000
)

// measureMaster compares a later new variant, made from the stored master of its original, with the same variant of an
// original that is new to the server and fetched from an origin on this machine. Small originals are left out: they are
// decoded about as fast.
func measureMaster(ctx context.Context, b *bench) ([]row, error) {
	with := *b
	with.masters = masterSide
	from, err := with.startMaster(ctx)
	if err != nil {
		return nil, err
	}
	defer from.stop()
	cold, err := b.startMaster(ctx)
	if err != nil {
		return nil, err
	}
	defer cold.stop()
	if err := from.makeMasters(ctx); err != nil {
		return nil, err
	}
	var rows []row
	for _, f := range []struct {
		name, format string
		target       float64
	}{{"JPEG", "jpg", 2}, {"WebP", "webp", 1.5}} {
		var ours, reference passCost
		for i := range 1 + max(b.rounds/2, 1) {
			got, err := from.boxes(ctx, f.format)
			if err != nil {
				return nil, err
			}
			want, err := cold.boxes(ctx, f.format)
			if err != nil {
				return nil, err
			}
			if i > 0 { // The first round warms up.
				ours.add(got)
				reference.add(want)
			}
			if b.noise {
				fmt.Fprintf(os.Stderr, "  %s: from masters %.1f/s %.1f ms, cold %.1f/s %.1f ms\n", f.name, float64(got.images)/got.wall, got.cpu*1000/float64(got.images),
					float64(want.images)/want.wall, want.cpu*1000/float64(want.images))
			}
		}
		what := fmt.Sprintf("%s q75 within %d px, from the masters of originals of 8 to 12 MP, against cold: ", f.name, severalWidths)
		rows = append(rows,
			row{what: what + "images", ours: median(ours.rates), reference: median(reference.rates), unit: "1/s", target: f.target},
			row{what: what + "CPU an image", ours: median(ours.costs), reference: median(reference.costs), unit: "ms"})
	}
	return rows, nil
}

// masterPasses is how often each original is requested in a round: there are few of that size.
const masterPasses = 8

// startMaster is startCold with large originals only, each many times.
func (b *bench) startMaster(ctx context.Context) (*cold, error) {
	c, err := b.startCold(ctx)
	if err != nil {
		return nil, err
	}
	var large []photo
	for _, p := range c.photos {
		if info, err := sniff.Inspect(p.body); err == nil && info.Pixels() >= masterOriginal {
			large = append(large, p)
		}
	}
	if len(large) == 0 {
		c.stop()
		return nil, skipped("there is no photo of 8 MP")
	}
	c.photos = nil
	for range masterPasses {
		c.photos = append(c.photos, large...)
	}
	return c, nil
}

// boxes requests each photo within each of several boxes, one box after another.
func (c *cold) boxes(ctx context.Context, format string) (all passCost, err error) {
	for _, side := range severalWidths {
		pass, err := c.pass(ctx, wanted{fmt.Sprintf("rs:fit:%d:%d/q:75/f:%s", side, side, format), "*/*"})
		if err != nil {
			return passCost{}, err
		}
		all = all.and(pass)
	}
	return all, nil
}

// makeMasters makes the master of each photo, under as many names as it is requested in a round.
func (c *cold) makeMasters(ctx context.Context) error {
	c.known = true
	if _, err := c.ask(ctx, fixed("jpg"), 1, len(c.photos)); err != nil {
		return err
	}
	for range 100 {
		made, err := c.rig.counter(ctx, `goldcrest_masters_total{outcome="made"}`)
		if err != nil || made == len(c.photos) {
			return err
		}
		time.Sleep(100 * time.Millisecond)
	}
	return fmt.Errorf("there are fewer masters than photos")
}

// counter reads one sample of the metrics; 0 if there is none.
func (r *rig) counter(ctx context.Context, name string) (int, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+r.admin+"/metrics", nil)
	if err != nil {
		return 0, err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		return 0, err
	}
	_, rest, _ := strings.Cut(string(text), "\n"+name+" ")
	value, _, _ := strings.Cut(rest, "\n")
	n, _ := strconv.Atoi(value) // Missing while it is 0.
	return n, nil
}
