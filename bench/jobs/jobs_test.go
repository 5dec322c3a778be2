package jobs

import (
	"testing"
	"time"
)

func TestMiddleLeavesBeginAndEndOut(t *testing.T) {
	began := time.Now()
	var times []time.Time
	for i := range 10 {
		at := time.Duration(i) * 100 * time.Millisecond
		if i >= 9 {
			at += time.Hour
		}
		times = append(times, began.Add(at))
	}
	if got := middle(times); got < 9.99 || got > 10.01 {
		t.Errorf("%v a second, want 10", got)
	}
	if got := middle(times[:1]); got != 0 {
		t.Errorf("%v a second of one", got)
	}
}
