package exchange

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/goldcrest/goldcrest/fault"
)

func TestTroublesCountByCodeHostAndMinute(t *testing.T) {
	var table troubles
	now := time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC)
	add := func(host string, n int, at time.Duration) {
		for range n {
			table.add(fault.SourceTimeout, host, now.Add(at))
		}
	}
	add("a.example", 2, 0)
	add("b.example", 1, 0)
	add("a.example", 7, 6*time.Minute)
	told := func(at time.Duration) string {
		var rows []string
		for _, r := range table.list(now.Add(at)) {
			rows = append(rows, fmt.Sprintf("%s %s %d %d %d", r.Code, r.Host, r.Total, r.Recent, r.Before))
		}
		return strings.Join(rows, ", ")
	}
	for _, tt := range []struct {
		at   time.Duration
		want string
	}{
		{6 * time.Minute, "source_timeout a.example 9 7 2, source_timeout b.example 1 0 1"},
		{9 * time.Minute, "source_timeout a.example 9 7 2, source_timeout b.example 1 0 1"},
		{10 * time.Minute, "source_timeout a.example 9 7 0, source_timeout b.example 1 0 0"},
		{11 * time.Minute, "source_timeout a.example 9 0 7, source_timeout b.example 1 0 0"},
		{17 * time.Minute, "source_timeout a.example 9 0 0, source_timeout b.example 1 0 0"},
		{time.Hour, "source_timeout a.example 9 0 0, source_timeout b.example 1 0 0"},
	} {
		if got := told(tt.at); got != tt.want {
			t.Errorf("after %s: %s, want %s", tt.at, got, tt.want)
		}
	}
	add("a.example", 1, time.Hour)
	if got := told(time.Hour); !strings.HasPrefix(got, "source_timeout a.example 10 1 0,") {
		t.Errorf("after a silence: %s", got)
	}
	add("a.example", 1, time.Hour-2*time.Minute) // A clock that went back counts in the latest minute.
	if got := told(time.Hour); !strings.HasPrefix(got, "source_timeout a.example 11 2 0,") {
		t.Errorf("after the clock went back: %s", got)
	}
}

// Hosts are outside words: any number of them takes no more memory than maxTroubles rows, and what still happens is
// kept.
func TestTableOfErrorHostsIsBounded(t *testing.T) {
	var table troubles
	now := time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC)
	for i := range 10 * maxTroubles {
		table.add(fault.SourceTimeout, fmt.Sprintf("host%d.example", i), now.Add(time.Duration(i)*time.Millisecond))
		table.add(fault.DNSFailed, "often.example", now.Add(time.Duration(i)*time.Millisecond))
	}
	if n := len(table.rows); n != maxTroubles {
		t.Errorf("%d rows, want %d", n, maxTroubles)
	}
	if rows := table.list(now); len(rows) != toldTroubles || rows[0].Host != "often.example" || rows[0].Total != 10*maxTroubles {
		t.Errorf("%d rows, the first %+v", len(rows), rows[0])
	}
}
