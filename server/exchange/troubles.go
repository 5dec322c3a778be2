package exchange

import (
	"cmp"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/goldcrest/goldcrest/fault"
)

const (
	maxTroubles  = 256 // rows: kinds of failure times hosts
	toldTroubles = 50
	// troubleSpan is the recent time, in minutes.
	troubleSpan = 5
)

// Trouble counts the responses with one kind of error because of one host. Hosts are not metric labels, since their
// number is not limited; this table is bounded instead.
type Trouble struct {
	Code   fault.Kind `json:"code"`
	Host   string     `json:"host"`   // of the source; "" = the URL was refused before its source mattered
	Total  int64      `json:"total"`  // since the row began
	Recent int64      `json:"recent"` // in the last five minutes
	Before int64      `json:"before"` // in the five minutes before them
	Last   time.Time  `json:"last"`
}

type troubleKey struct {
	code fault.Kind
	host string
}

// troubleRow counts by the minute. minutes[m % len(minutes)] is for minute m, up to the minute of last.
type troubleRow struct {
	total   int64
	last    time.Time
	minutes [2 * troubleSpan]int64
}

// troubles is the table. When it is full, the row without errors for the longest time is dropped. The zero table is
// empty. Safe for concurrent use.
type troubles struct {
	mu   sync.Mutex
	rows map[troubleKey]*troubleRow
}

func minuteOf(t time.Time) int64 { return t.Unix() / 60 }

// add counts an error response.
func (t *troubles) add(code fault.Kind, host string, now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	key := troubleKey{code, host}
	row := t.rows[key]
	if row == nil {
		if len(t.rows) >= maxTroubles {
			delete(t.rows, slices.MinFunc(slices.Collect(maps.Keys(t.rows)), func(a, b troubleKey) int {
				return t.rows[a].last.Compare(t.rows[b].last)
			}))
		}
		if t.rows == nil {
			t.rows = map[troubleKey]*troubleRow{}
		}
		row = &troubleRow{last: now}
		t.rows[key] = row
	}
	row.forward(now)
	row.total++
	row.minutes[minuteOf(row.last)%int64(len(row.minutes))]++
}

// forward clears the minutes without an error.
func (r *troubleRow) forward(now time.Time) {
	from, to := minuteOf(r.last), minuteOf(now)
	if now.After(r.last) {
		r.last = now
	}
	for m := max(from+1, to-int64(len(r.minutes))+1); m <= to; m++ {
		r.minutes[m%int64(len(r.minutes))] = 0
	}
}

// list returns the rows, those with most recent errors first.
func (t *troubles) list(now time.Time) []Trouble {
	t.mu.Lock()
	defer t.mu.Unlock()
	out := make([]Trouble, 0, len(t.rows))
	for key, row := range t.rows {
		told := Trouble{Code: key.code, Host: key.host, Total: row.total, Last: row.last.UTC()}
		for ago := range int64(len(row.minutes)) {
			m := minuteOf(now) - ago
			if m > minuteOf(row.last) || m <= minuteOf(row.last)-int64(len(row.minutes)) {
				continue
			}
			if n := row.minutes[m%int64(len(row.minutes))]; ago < troubleSpan {
				told.Recent += n
			} else {
				told.Before += n
			}
		}
		out = append(out, told)
	}
	slices.SortFunc(out, func(a, b Trouble) int {
		return cmp.Or(cmp.Compare(b.Recent, a.Recent), b.Last.Compare(a.Last), cmp.Compare(a.Code, b.Code), cmp.Compare(a.Host, b.Host))
	})
	return out[:min(len(out), toldTroubles)]
}
