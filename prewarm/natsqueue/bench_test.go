package natsqueue

import (
	"fmt"
	"testing"

	"github.com/goldcrest/goldcrest/prewarm/unit"
)

// BenchmarkAccept prints how many units per second are accepted, each on disk before its response: batches of 100 units
// with three images each, in two formats.
func BenchmarkAccept(b *testing.B) {
	i := start(b, open(b, b.TempDir(), nil), newWorld(), false, nil)
	n := 0
	b.ResetTimer()
	for b.Loop() {
		c := unit.Call{}
		for k := range 100 {
			n += 3
			c.Units = append(c.Units, unitOf(k, source(n), source(n+1), source(n+2)))
		}
		accept(b, i, c)
	}
	b.ReportMetric(float64(100*b.N)/b.Elapsed().Seconds(), "units/s")
}

// BenchmarkWork prints how many images per second pass through the queue and get their verdicts if making them takes no
// time.
func BenchmarkWork(b *testing.B) {
	i := start(b, open(b, b.TempDir(), nil), newWorld(), true, nil)
	n := 0
	b.ResetTimer()
	for b.Loop() {
		a := accept(b, i, call(n, 1000))
		n += 1000
		ended(b, i, a.Job.ID)
	}
	b.ReportMetric(float64(1000*b.N)/b.Elapsed().Seconds(), "images/s")
}

func source(n int) string { return fmt.Sprintf("https://c.example/%d.jpg", n) }
