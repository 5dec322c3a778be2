package main

import (
	"github.com/goldcrest/goldcrest/bench/quality/pictures"
	"github.com/goldcrest/goldcrest/transform/codec/judge"
	"github.com/goldcrest/goldcrest/variant"
)

// The ways of the oracles: AVIFs whose q is found by trying, with the true score.
const (
	oracle8     = "oracle avif s8 at 70"
	oracle8Half = "oracle avif s8 at 69.5"
	oracle6     = "oracle avif s6 at 70"
	oracle6Half = "oracle avif s6 at 69.5"
	oracleSaver = "oracle avif s8 at 50" // print: 60
)

// oracles are the smallest AVIFs that reach the target of the class normal, or 0.5 less, as final variants may; and
// that of the class saver. Final ones (speed 8) and hot ones (speed 6) are compared with them.
func oracles() []way {
	var out []way
	for _, o := range []struct {
		name   string
		effort int
		least  float64
	}{
		{oracle8, 1, normalTarget}, {oracle8Half, 1, normalTarget - 0.5},
		{oracle6, 3, normalTarget}, {oracle6Half, 3, normalTarget - 0.5}, {oracleSaver, 1, saverTarget},
	} {
		fixed := &judge.Encoding{Format: variant.AVIF, Effort: o.effort}
		out = append(out, way{name: o.name, fixed: fixed, least: o.least})
	}
	return out
}

// oracleBelow is how many q below the found one are tried, since the score does not rise with every q.
const oracleBelow = 3

// attempt is an encode that an oracle tried.
type attempt struct {
	bytes int
	score float64 // of print that of its worst tile
}

// try encodes and scores a subject.
func try(s *pictures.Subject, e judge.Encoding) (a attempt, err error) {
	body, err := s.Encode(e)
	if err != nil {
		return a, err
	}
	a.bytes = len(body)
	_, a.score, err = s.Score(body)
	return a, err
}

// lowest finds the smallest encode that reaches the oracle's score: print by its worst tile, and with full chroma, as
// are drawings. It is that of q 100 if none does. The oracles of a subject share what they tried.
func (w way) lowest(s *pictures.Subject, tried map[judge.Encoding]attempt) (*judge.Encoding, error) {
	e, least := *w.fixed, w.least
	e.FullChroma = s.Kind != pictures.Photo
	if s.Kind == pictures.Text && w.name == oracleSaver {
		least = saverPrint
	}
	at := func(q int) (bytes int, reaches bool, err error) {
		e.Q = q
		a, ok := tried[e]
		if !ok {
			a, err = try(s, e)
			tried[e] = a
		}
		return a.bytes, a.score >= least, err
	}
	low, high, bytes := 0, 100, 0
	for high-low > 1 {
		middle := (low + high) / 2
		n, ok, err := at(middle)
		if err != nil {
			return nil, err
		}
		if ok {
			high, bytes = middle, n
		} else {
			low = middle
		}
	}
	best := high
	for q := low - 1; q >= max(1, low-oracleBelow); q-- {
		n, ok, err := at(q)
		if err != nil {
			return nil, err
		}
		if ok && n < bytes {
			best, bytes = q, n
		}
	}
	e.Q = best
	return &e, nil
}
