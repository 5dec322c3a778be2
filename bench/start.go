package main

import (
	"context"
	"fmt"
	"os"
	"time"
)

const (
	startPoll    = 500 * time.Microsecond
	startOptions = "rs:fit:320:0/q:75/f:webp/cb:s%d"
)

// measureStart measures from the start of the program to its first response, a picture from the store, and to its first
// new picture. The reference is a bare net/http server with one such picture.
func measureStart(ctx context.Context, b *bench) ([]row, error) {
	t, err := b.startHits(ctx)
	if err != nil {
		return nil, err
	}
	stored, bare := t.requests[0], t.bareArgs
	t.stop()
	origin, stopOrigin, err := serveOrigin(map[string][]byte{"a.jpg": drawPicture()})
	if err != nil {
		return nil, err
	}
	defer stopOrigin()
	var ours, cold, reference []float64
	for i := range b.rounds {
		path, err := t.rig.path(origin+"/a.jpg", fmt.Sprintf(startOptions, i))
		if err != nil {
			return nil, err
		}
		began := time.Now()
		if err := b.launch(t.rig); err != nil {
			return nil, err
		}
		hit, err := firstAnswer(ctx, t.rig.process, t.rig.addr, stored, began)
		var made float64
		if err == nil {
			made, err = firstAnswer(ctx, t.rig.process, t.rig.addr, rawRequest(path), began)
		}
		t.rig.stop()
		if err != nil {
			return nil, err
		}
		began = time.Now()
		p, err := start(bare[0], bare[1:]...)
		if err != nil {
			return nil, err
		}
		first, err := firstAnswer(ctx, p, t.bareAddr, stored, began)
		p.stop()
		if err != nil {
			return nil, err
		}
		ours, cold, reference = append(ours, hit), append(cold, made), append(reference, first)
		if b.noise {
			fmt.Fprintf(os.Stderr, "  first hit %.0f ms, first new picture %.0f ms, bare %.0f ms\n", hit, made, first)
		}
	}
	return []row{
		{what: "start to the first answer, a hit in the store, against a bare net/http server", ours: median(ours), reference: median(reference), unit: "ms"},
		{what: "start to the first new picture", ours: median(cold), unit: "ms"},
	}, nil
}

// firstAnswer repeats a request until a response arrives, and returns the milliseconds since began.
func firstAnswer(ctx context.Context, p *process, addr string, request []byte, began time.Time) (float64, error) {
	for {
		c, err := dial(addr)
		if err == nil {
			_, err = c.roundTrip(request)
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
		case <-p.done:
			return 0, fmt.Errorf("%s ended before it answered", p.Path)
		case <-ctx.Done():
			return 0, ctx.Err()
		case <-time.After(startPoll):
		}
	}
}
