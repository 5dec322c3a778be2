package hits

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/goldcrest/goldcrest/bench/rig"
)

const (
	startPoll    = 500 * time.Microsecond
	startOptions = "rs:fit:320:0/q:75/f:webp/cb:s%d"
)

// MeasureStart measures from the start of the program to its first response, a picture from the store, and to its first
// new picture. The reference is a bare net/http server with one such picture.
func MeasureStart(ctx context.Context, b *rig.Bench) ([]rig.Row, error) {
	t, err := startHits(ctx, b)
	if err != nil {
		return nil, err
	}
	stored, bare := t.requests[0], t.bareArgs
	t.stop()
	origin, stopOrigin, err := rig.ServeOrigin(map[string][]byte{"a.jpg": rig.DrawPicture()})
	if err != nil {
		return nil, err
	}
	defer stopOrigin()
	var ours, cold, reference []float64
	for i := range b.Rounds {
		path, err := t.rig.Path(origin+"/a.jpg", fmt.Sprintf(startOptions, i))
		if err != nil {
			return nil, err
		}
		began := time.Now()
		if err := b.Launch(t.rig); err != nil {
			return nil, err
		}
		hit, err := firstAnswer(ctx, t.rig.Proc, t.rig.Addr, stored, began)
		var made float64
		if err == nil {
			made, err = firstAnswer(ctx, t.rig.Proc, t.rig.Addr, rig.RawRequest(path), began)
		}
		t.rig.Stop()
		if err != nil {
			return nil, err
		}
		began = time.Now()
		p, err := rig.Start(bare[0], bare[1:]...)
		if err != nil {
			return nil, err
		}
		first, err := firstAnswer(ctx, p, t.bareAddr, stored, began)
		p.Stop()
		if err != nil {
			return nil, err
		}
		ours, cold, reference = append(ours, hit), append(cold, made), append(reference, first)
		if b.Noise {
			fmt.Fprintf(os.Stderr, "  first hit %.0f ms, first new picture %.0f ms, bare %.0f ms\n", hit, made, first)
		}
	}
	return []rig.Row{
		{What: "start to the first answer, a hit in the store, against a bare net/http server", Ours: rig.Median(ours), Reference: rig.Median(reference), Unit: "ms"},
		{What: "start to the first new picture", Ours: rig.Median(cold), Unit: "ms"},
	}, nil
}

// firstAnswer repeats a request until a response arrives, and returns the milliseconds since began.
func firstAnswer(ctx context.Context, p *rig.Proc, addr string, request []byte, began time.Time) (float64, error) {
	for {
		c, err := rig.Dial(addr)
		if err == nil {
			_, err = c.RoundTrip(request)
			_ = c.Close()
		}
		took := time.Since(began)
		switch {
		case err == nil:
			return took.Seconds() * 1000, nil
		case took > 20*time.Second:
			return 0, fmt.Errorf("no answer in 20 s: %w", err)
		}
		select {
		case <-p.Done:
			return 0, fmt.Errorf("%s ended before it answered", p.Path)
		case <-ctx.Done():
			return 0, ctx.Err()
		case <-time.After(startPoll):
		}
	}
}
