package usage

import (
	"context"
	"testing"
	"time"

	"github.com/goldcrest/goldcrest/prewarm/ledger"
)

// writes is a store that accepts every record.
type writes struct{ ledger.Store }

func (writes) Write(_ context.Context, records ...*ledger.Record) error {
	for _, r := range records {
		r.Revision++
	}
	return nil
}

// Written counts of earlier days are not kept in memory.
func TestWrittenDaysAreForgotten(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	views, err := ledger.NewViews(ledger.Deps{Store: writes{}})
	if err != nil {
		t.Fatal(err)
	}
	a := New(Deps{Views: views, Used: func(string, Usage) {}, Now: func() time.Time { return now }})
	for day, owners := range [][]string{{"anna"}, {"anna", "bob"}} {
		now = now.Add(time.Duration(day) * 24 * time.Hour)
		for _, owner := range owners {
			a.Add(owner, Usage{Made: 1})
		}
		for range 2 {
			if err := a.write(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if len(a.own) != len(owners) {
			t.Errorf("day %d: %d counts are in memory, want %d", day, len(a.own), len(owners))
		}
	}
}
