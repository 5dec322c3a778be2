package main

import (
	"context"
	"fmt"
	"math"
	"time"

	"github.com/goldcrest/goldcrest/bench/quality/pictures"
	"github.com/goldcrest/goldcrest/bench/quality/stats"
	"github.com/goldcrest/goldcrest/transform/codec/judge"
	"github.com/goldcrest/goldcrest/variant"
)

// equalTargets are the scores at which two JPEG encoders are compared.
var equalTargets = []float64{50, 70, 80}

// equalTurns is how often each encode is timed; the two encoders alternate.
const equalTurns = 5

// equality compares one reference by the codec's JPEG encoder with libjpeg.
type equality struct {
	kind          string
	target        float64
	bytes         float64 // share of libjpeg's, at the same score
	ours, libjpeg time.Duration
}

// equal compares the codec's JPEGs with progressive ones of libjpeg-turbo with optimised Huffman codes, at equal score.
func equal(ctx context.Context, o options) error {
	c, found, err := o.Find()
	if err != nil {
		return err
	}
	seen := map[string]bool{}
	wanted := func(r pictures.Reference) bool { // one of each motif
		first := !seen[r.Source]
		seen[r.Source] = true
		return first
	}
	all, err := pictures.Each(ctx, o.Jobs, found, wanted, func(r pictures.Reference) ([]equality, error) {
		r.Spec = variant.Spec{Format: variant.PNG, Width: 800, Height: 800}
		return compareJPEG(r)
	})
	if err != nil {
		return err
	}
	fmt.Printf("libraries %v\n%-8s %6s %4s %8s %8s %8s %10s %10s %6s\n", c.Versions(), "kind", "target", "n", "bytes", "best", "worst", "ours ms", "libjpeg ms", "time")
	for _, kind := range pictures.Kinds() {
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
			ours, libjpeg = append(ours, stats.Milliseconds(e.ours)), append(libjpeg, stats.Milliseconds(e.libjpeg))
		}
	}
	if len(logs) == 0 {
		return
	}
	fmt.Printf("%-8s %6.0f %4d %8.3f %8.3f %8.3f %10.2f %10.2f %6.2f\n", kind, target, len(logs), math.Exp(stats.Mean(logs)), math.Exp(stats.Percentile(logs, 0)),
		math.Exp(stats.Percentile(logs, 100)), stats.Mean(ours), stats.Mean(libjpeg), stats.Mean(ours)/stats.Mean(libjpeg))
}

// compareJPEG finds where the curves of both encoders cross each target, with the chroma that the codec would choose.
func compareJPEG(r pictures.Reference) (out []equality, err error) {
	s, err := r.Open()
	if err != nil {
		return nil, err
	}
	defer s.Close()
	ours := judge.Encoding{Format: variant.JPEG, FullChroma: r.Kind != pictures.Photo}
	libjpeg := ours
	libjpeg.Plain = true
	for _, target := range equalTargets {
		e := equality{kind: r.Kind, target: target}
		a, ok, err := bytesAt(s, &ours, target)
		if err != nil {
			return nil, err
		}
		b, okToo, err := bytesAt(s, &libjpeg, target)
		if err != nil {
			return nil, err
		}
		if !ok || !okToo {
			continue
		}
		e.bytes = a / b
		if err := e.time(s, ours, libjpeg); err != nil {
			return nil, err
		}
		out = append(out, e)
	}
	return out, nil
}

// bytesAt interpolates the bytes of an encoder at a score between two adjacent q, and sets the higher one. ok is false if
// q 1 is above the score or q 100 below it.
func bytesAt(s *pictures.Subject, e *judge.Encoding, target float64) (bytes float64, ok bool, err error) {
	type point struct{ bytes, score float64 }
	at := func(q int) (p point, err error) {
		e.Q = q
		body, err := s.Encode(*e)
		if err != nil {
			return p, err
		}
		p.bytes = math.Log(float64(len(body)))
		p.score, _, err = s.Score(body)
		return p, err
	}
	low, high := 1, 100
	below, err := at(low)
	if err != nil {
		return 0, false, err
	}
	above, err := at(high)
	if err != nil || below.score > target || above.score < target {
		return 0, false, err
	}
	for high-low > 1 {
		middle := (low + high) / 2
		p, err := at(middle)
		if err != nil {
			return 0, false, err
		}
		if p.score < target {
			low, below = middle, p
		} else {
			high, above = middle, p
		}
	}
	e.Q = high
	share := (target - below.score) / (above.score - below.score)
	return math.Exp(below.bytes + share*(above.bytes-below.bytes)), true, nil
}

// time times the encodes at equal score alternately; exact with -jobs 1.
func (e *equality) time(s *pictures.Subject, ours, libjpeg judge.Encoding) error {
	for range equalTurns {
		start := stats.CPU()
		if _, err := s.Encode(ours); err != nil {
			return err
		}
		middle := stats.CPU()
		if _, err := s.Encode(libjpeg); err != nil {
			return err
		}
		e.ours += (middle - start) / equalTurns
		e.libjpeg += (stats.CPU() - middle) / equalTurns
	}
	return nil
}
