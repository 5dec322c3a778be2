package load

import (
	"testing"
	"time"
)

func TestSlopeAndGrowth(t *testing.T) {
	var samples []sample
	for i := range 9 {
		samples = append(samples, sample{at: time.Duration(i) * 30 * time.Second, pss: 100 + 3*float64(i), files: float64(10 + i), threads: 7})
	}
	samples[6].pss = 60 // A worker is being replaced.
	rows := soakRows(samples, 4*time.Minute, 5)
	for i, want := range []float64{6, 4, 0, 0, 5, 124} {
		if got := rows[i].Ours; got < want-1e-9 || got > want+1e-9 {
			t.Errorf("%s: %v, want %v", rows[i].What, got, want)
		}
	}
	if rows[0].Verdict() != "MISSED" || rows[1].Verdict() != "met" {
		t.Errorf("verdicts %s, %s", rows[0].Verdict(), rows[1].Verdict())
	}
}
