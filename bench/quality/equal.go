package main

import (
	"context"
	"fmt"
	"math"
	"time"

	"github.com/goldcrest/goldcrest/transform/codec/judge"
	"github.com/goldcrest/goldcrest/variant"
)

// equalTargets are the scores at which two JPEG encoders are compared.
var equalTargets = []float64{50, 70, 80}

// equalTurns is how often each encode is timed; the two encoders alternate.
const equalTurns = 5

// equality compares one reference by the codec's JPEG encoder with libjpeg.
type equality struct {
	id, kind  string
	target    float64
	bytes     float64 // share of libjpeg's, at the same score
	ours      time.Duration
	libjpeg   time.Duration
	q, plainQ int
}

// equal compares the codec's JPEGs with progressive ones of libjpeg-turbo with optimised Huffman codes, at equal score.
func equal(ctx context.Context, o options) error {
	c, found, err := openAll(o)
	if err != nil {
		return err
	}
	seen := map[string]bool{}
	wanted := func(r reference) bool { // one of each motif
		first := !seen[r.source]
		seen[r.source] = true
		return first
	}
	all, err := eachReference(ctx, o.jobs, found, wanted, func(_ context.Context, r reference, _ string) ([]equality, error) {
		r.spec = variant.Spec{Format: variant.PNG, Width: 800, Height: 800}
		return compareJPEG(r)
	})
	if err != nil {
		return err
	}
	fmt.Printf("libraries %v\n%-8s %6s %4s %8s %8s %8s %10s %10s %6s\n", c.Versions(), "kind", "target", "n", "bytes", "best", "worst", "ours ms", "libjpeg ms", "time")
	for _, kind := range kinds {
		for _, target := range equalTargets {
			printEquality(all, kind, target)
		}
	}
	return nil
}

func printEquality(all []equality, kind string, target float64) {
	var logs, ours, libjpeg []float64
	for _, e := range all {
		if e.kind == kind && e.target == target {
			logs = append(logs, math.Log(e.bytes))
			ours, libjpeg = append(ours, float64(e.ours)/float64(time.Millisecond)), append(libjpeg, float64(e.libjpeg)/float64(time.Millisecond))
		}
	}
	if len(logs) == 0 {
		return
	}
	fmt.Printf("%-8s %6.0f %4d %8.3f %8.3f %8.3f %10.2f %10.2f %6.2f\n", kind, target, len(logs), math.Exp(mean(logs)), math.Exp(percentile(logs, 0)),
		math.Exp(percentile(logs, 100)), mean(ours), mean(libjpeg), mean(ours)/mean(libjpeg))
}

// compareJPEG finds where the curves of both encoders cross each target, with the chroma that the codec would choose.
func compareJPEG(r reference) ([]equality, error) {
	im, err := r.render()
	if err != nil {
		return nil, err
	}
	defer im.Free()
	j, err := im.Judge(false)
	if err != nil {
		return nil, err
	}
	defer j.Close()
	full := r.kind != kindPhoto
	var out []equality
	for _, target := range equalTargets {
		e := equality{id: r.id, kind: r.kind, target: target}
		var bytes [2]float64
		reached := true
		for i, plain := range []bool{false, true} {
			var q int
			var ok bool
			if bytes[i], q, ok, err = bytesAt(im, j, judge.Encoding{Format: variant.JPEG, FullChroma: full, Plain: plain}, target); err != nil {
				return nil, err
			}
			reached = reached && ok
			if plain {
				e.plainQ = q
			} else {
				e.q = q
			}
		}
		if !reached {
			continue
		}
		e.bytes = bytes[0] / bytes[1]
		if err := timeJPEG(im, &e, full); err != nil {
			return nil, err
		}
		out = append(out, e)
	}
	return out, nil
}

// bytesAt interpolates the bytes of an encoder at a score between two adjacent q. ok is false if q 1 is above the score
// or q 100 below it.
func bytesAt(im *judge.Raster, j *judge.Judge, e judge.Encoding, target float64) (bytes float64, q int, ok bool, err error) {
	type point struct{ bytes, score float64 }
	at := func(q int) (p point, err error) {
		e.Q = q
		body, err := im.Encode(e)
		if err != nil {
			return p, err
		}
		p.bytes = math.Log(float64(len(body)))
		p.score, _, err = j.Score(body)
		return p, err
	}
	low, high := 1, 100
	below, err := at(low)
	if err != nil {
		return 0, 0, false, err
	}
	above, err := at(high)
	if err != nil || below.score > target || above.score < target {
		return 0, 0, false, err
	}
	for high-low > 1 {
		middle := (low + high) / 2
		p, err := at(middle)
		if err != nil {
			return 0, 0, false, err
		}
		if p.score < target {
			low, below = middle, p
		} else {
			high, above = middle, p
		}
	}
	share := (target - below.score) / (above.score - below.score)
	return math.Exp(below.bytes + share*(above.bytes-below.bytes)), high, true, nil
}

// timeJPEG times the encodes at equal score alternately; exact with -jobs 1.
func timeJPEG(im *judge.Raster, e *equality, full bool) error {
	for range equalTurns {
		start := threadTime()
		if _, err := im.Encode(judge.Encoding{Format: variant.JPEG, Q: e.q, FullChroma: full}); err != nil {
			return err
		}
		middle := threadTime()
		if _, err := im.Encode(judge.Encoding{Format: variant.JPEG, Q: e.plainQ, FullChroma: full, Plain: true}); err != nil {
			return err
		}
		e.ours += (middle - start) / equalTurns
		e.libjpeg += (threadTime() - middle) / equalTurns
	}
	return nil
}
