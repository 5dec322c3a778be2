package cold

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/goldcrest/goldcrest/bench/rig"
	"github.com/goldcrest/goldcrest/sniff"
)

// masterSide is the side of the masters. masterOriginal is the least number of pixels of the compared originals.
const (
	masterSide     = 1600
	masterOriginal = 8_000_000
)

// MeasureMaster compares a later new variant, made from the stored master of its original, with the same variant of an
// original that is new to the server and fetched from an origin on this machine. Small originals are left out: they are
// decoded about as fast.
func MeasureMaster(ctx context.Context, b *rig.Bench) ([]rig.Row, error) {
	with := *b
	with.Masters = masterSide
	from, err := StartMaster(ctx, &with)
	if err != nil {
		return nil, err
	}
	defer from.Stop()
	cold, err := StartMaster(ctx, b)
	if err != nil {
		return nil, err
	}
	defer cold.Stop()
	if err := from.makeMasters(ctx); err != nil {
		return nil, err
	}
	var rows []rig.Row
	for _, f := range []struct {
		name, format string
		target       float64
	}{{"JPEG", "jpg", 2}, {"WebP", "webp", 1.5}} {
		var ours, reference PassCost
		for i := range 1 + max(b.Rounds/2, 1) {
			got, err := from.boxes(ctx, f.format)
			if err != nil {
				return nil, err
			}
			want, err := cold.boxes(ctx, f.format)
			if err != nil {
				return nil, err
			}
			if i > 0 { // The first round warms up.
				ours.Add(got)
				reference.Add(want)
			}
			if b.Noise {
				fmt.Fprintf(os.Stderr, "  %s: from masters %.1f/s %.1f ms, cold %.1f/s %.1f ms\n", f.name, float64(got.Images)/got.Wall, got.Cpu*1000/float64(got.Images),
					float64(want.Images)/want.Wall, want.Cpu*1000/float64(want.Images))
			}
		}
		what := fmt.Sprintf("%s q75 within %d px, from the masters of originals of 8 to 12 MP, against cold: ", f.name, SeveralWidths)
		rows = append(rows,
			rig.Row{What: what + "images", Ours: rig.Median(ours.Rates), Reference: rig.Median(reference.Rates), Unit: "1/s", Target: f.target},
			rig.Row{What: what + "CPU an image", Ours: rig.Median(ours.Costs), Reference: rig.Median(reference.Costs), Unit: "ms"})
	}
	return rows, nil
}

// masterPasses is how often each original is requested in a round: there are few of that size.
const masterPasses = 8

// StartMaster is startCold with large originals only, each many times.
func StartMaster(ctx context.Context, b *rig.Bench) (*Cold, error) {
	c, err := Start(ctx, b)
	if err != nil {
		return nil, err
	}
	var large []rig.Photo
	for _, p := range c.Photos {
		if info, err := sniff.Inspect(p.Body); err == nil && info.Pixels() >= masterOriginal {
			large = append(large, p)
		}
	}
	if len(large) == 0 {
		c.Stop()
		return nil, rig.Skipped("there is no photo of 8 MP")
	}
	c.Photos = nil
	for range masterPasses {
		c.Photos = append(c.Photos, large...)
	}
	return c, nil
}

// boxes requests each photo within each of several boxes, one box after another.
func (c *Cold) boxes(ctx context.Context, format string) (all PassCost, err error) {
	for _, side := range SeveralWidths {
		pass, err := c.Pass(ctx, Wanted{fmt.Sprintf("rs:fit:%d:%d/q:75/f:%s", side, side, format), "*/*"})
		if err != nil {
			return PassCost{}, err
		}
		all = all.And(pass)
	}
	return all, nil
}

// makeMasters makes the master of each photo, under as many names as it is requested in a round.
func (c *Cold) makeMasters(ctx context.Context) error {
	c.known = true
	if _, err := c.Ask(ctx, Fixed("jpg"), 1, len(c.Photos)); err != nil {
		return err
	}
	for range 100 {
		made, err := c.Rig.Counter(ctx, `goldcrest_masters_total{outcome="made"}`)
		if err != nil || made == len(c.Photos) {
			return err
		}
		time.Sleep(100 * time.Millisecond)
	}
	return fmt.Errorf("there are fewer masters than photos")
}

// SeveralWidths are the variants of one original that apps request: a large view, a list, a thumbnail.
var SeveralWidths = []int{1080, 640, 320}
