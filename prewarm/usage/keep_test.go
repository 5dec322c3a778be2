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

// List lists nothing, as a server does that lags behind.
func (writes) List(context.Context, ledger.Scan, func(ledger.Record) bool) error { return nil }

// What another instance has counted on a new day is reported before this instance loads that day, from a server that
// lags behind. Reports of earlier days are not kept.
func TestCountsReportedBeforeTheirDayIsLoaded(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	views, err := ledger.NewViews(ledger.Deps{Store: writes{}})
	if err != nil {
		t.Fatal(err)
	}
	a := New(Deps{Views: views, Now: func() time.Time { return now }})
	a.Follow(true)
	mark := ledger.OwnerMark("anna")
	report := func(day time.Time, images string, revision uint64) {
		a.Noticed(ledger.Record{
			Key: prefix + ledger.DayOf(day) + "." + mark + ".other", Mark: images, Revision: revision,
		})
	}
	for day := range 3 {
		report(now.AddDate(0, 0, -1), "100", 1)
		report(now, "7", 2)
		report(now, "9", 3)
		if err := a.load(t.Context()); err != nil {
			t.Fatal(err)
		}
		if n := a.others.images[mark]; n != 9 || !a.others.whole || len(a.others.early) != 0 {
			t.Errorf("day %d: %d images, want 9; %+v", day, n, a.others)
		}
		now = now.AddDate(0, 0, 1)
	}
}

// An instance without quotas loads no day: reports of days that have passed are dropped.
func TestReportsOfPassedDaysAreDropped(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	a := New(Deps{Now: func() time.Time { return now }})
	for range 10 {
		for _, ahead := range []int{0, 1} { // The clock of another instance may be ahead.
			day := ledger.DayOf(now.AddDate(0, 0, ahead))
			a.Noticed(ledger.Record{Key: prefix + day + ".anna.other", Mark: "7", Revision: 1})
		}
		if n := len(a.others.early); n != 2 {
			t.Fatalf("%d reports are kept, want 2", n)
		}
		now = now.AddDate(0, 0, 1)
	}
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
