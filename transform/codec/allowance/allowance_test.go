package allowance

import (
	"testing"
	"time"
)

func TestMore(t *testing.T) {
	const ms = time.Millisecond
	for name, tt := range map[string]struct {
		limit Spent
		tries []Spent
		more  []bool
	}{
		"twice the longest try fits":     {Spent{60 * ms, 0}, []Spent{{20 * ms, 0}, {ms, 0}}, []bool{true, false}},
		"the processor's clock":          {Spent{time.Hour, 100 * ms}, []Spent{{ms, 20 * ms}, {ms, 30 * ms}}, []bool{true, false}},
		"the longest of the tries":       {Spent{100 * ms, 0}, []Spent{{34 * ms, 0}, {ms, 0}}, []bool{false, false}},
		"no limit":                       {Spent{}, []Spent{{time.Hour, time.Hour}}, []bool{true}},
		"the first try takes all of it":  {Spent{10 * ms, 10 * ms}, []Spent{{10 * ms, 0}}, []bool{false}},
		"nothing is spent between tries": {Spent{10 * ms, 10 * ms}, []Spent{{}, {}}, []bool{true, true}},
	} {
		t.Run(name, func(t *testing.T) {
			var now Spent
			a := New(tt.limit, func() Spent { return now })
			for i, try := range tt.tries {
				now.Wall, now.CPU = now.Wall+try.Wall, now.CPU+try.CPU
				if got := a.More(); got != tt.more[i] {
					t.Errorf("after try %d: %v", i, got)
				}
			}
		})
	}
	if !(*Allowance)(nil).More() {
		t.Error("a nil one has an end")
	}
}

func TestRestart(t *testing.T) {
	var now Spent
	a := New(Spent{Wall: 10 * time.Second}, func() Spent { return now })
	if now.Wall = 4 * time.Second; a.More() {
		t.Error("after 4 s there is room for one try more, but not for one of twice that")
	}
	a.Restart()
	if !a.More() {
		t.Error("the time of the piece before counts for the next one")
	}
}

func TestNow(t *testing.T) {
	a := Now()
	for range 1 << 20 {
		_ = Now()
	}
	if b := Now(); b.Wall <= a.Wall || b.CPU <= a.CPU {
		t.Errorf("%v after %v", b, a)
	}
}
