package prewarm

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/goldcrest/goldcrest/fault"
	"github.com/goldcrest/goldcrest/pipeline"
	"github.com/goldcrest/goldcrest/prewarm/ledger"
	"github.com/goldcrest/goldcrest/prewarm/ledger/ledgertest"
	"github.com/goldcrest/goldcrest/prewarm/usage"
	"github.com/goldcrest/goldcrest/variant"
)

// usage returns the usage of the last week.
func (d *door) usage(t *testing.T, who ledger.Caller, owner string) []usage.Owner {
	t.Helper()
	all, err := d.Usage(t.Context(), who, owner, 7)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// Usage matches the jobs: the same counts and bytes, per day, without what was stored before.
func TestUsageIsThatOfTheJobs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, q := ledgertest.New(), &quotas{all: map[string]usage.Quota{"anna": {UnitsQueued: 10, ImagesADay: 10}, "idle": {}}}
		d, other := newQuotaDoor(t, m, q), newQuotaDoor(t, m, q)
		defer other.Close()
		d.warm = func(ref variant.Ref, _ int) pipeline.Warmed {
			switch {
			case strings.HasSuffix(ref.Source, "/0.jpg"):
				return refused(ref, fault.SourceNotFound)
			case strings.HasSuffix(ref.Source, "/1.jpg"):
				w := stored(ref, 300)
				w.Present = true
				return w
			case strings.HasSuffix(ref.Source, "/2.jpg"):
				return stored(ref, 1200) // larger than its original, which has 1000 bytes
			}
			return stored(ref, 100)
		}
		defer d.run(t)()
		synctest.Wait()
		id := other.mustAsk(t, "anna", "a", 5) // accepted by one instance, worked on by the other
		j, err := d.Job(t.Context(), id, time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		d.mustAsk(t, "bob", "b", 1)
		synctest.Wait()
		time.Sleep(2 * counting)
		want := usage.Usage{Units: 5, Images: 5, Made: 3, Present: 1, Broken: 1, Bytes: ledger.Bytes{Source: 3000, Stored: 1400, Saved: 1600}}
		if j.Bytes.Stored != want.Bytes.Stored+300 || j.Bytes.Saved != want.Bytes.Saved+700 {
			t.Fatalf("the job says %+v", j.Bytes)
		}
		for _, at := range []*door{d, other} {
			got := at.usage(t, anna, "")
			if len(got) != 1 || got[0].Owner != "anna" || len(got[0].Days) != 1 || got[0].Days[0].Usage != want {
				t.Fatalf("got %+v, want %+v", got, want)
			}
			if got[0].Days[0].Day != time.Now().UTC().Format(time.DateOnly) {
				t.Error(got[0].Days[0].Day)
			}
			if quota := got[0].Quota; *quota.ImagesADay != (usage.Remaining{Limit: 10, Used: 5, Remaining: 5}) || *quota.UnitsQueued != (usage.Remaining{Limit: 10, Remaining: 10}) {
				t.Errorf("left is %+v, %+v", quota.ImagesADay, quota.UnitsQueued)
			}
		}
	})
}

// counting is the delay until counts are written.
const counting = 2 * time.Second

// Usage survives a stop, per day, and is shown to its owner and to admins.
func TestUsageIsKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, q := ledgertest.New(), &quotas{all: map[string]usage.Quota{"anna": {}, "idle": {}}}
		d := newQuotaDoor(t, m, q)
		stop := d.run(t)
		d.mustAsk(t, "anna", "a", 1)
		synctest.Wait()
		time.Sleep(24 * time.Hour)
		d.mustAsk(t, "anna", "b", 2)
		d.mustAsk(t, "bob", "c", 3) // a token that was removed since
		d.mustAsk(t, "", "d", 4)
		synctest.Wait()
		stop() // at once: Close writes the last counts
		again := newQuotaDoor(t, m, q)
		defer again.Close()
		owners := func(who ledger.Caller, owner string) (text string) {
			for _, u := range again.usage(t, who, owner) {
				text += u.Owner + ":"
				for _, d := range u.Days {
					text += " " + string(rune('0'+d.Units)) + "/" + string(rune('0'+d.Made))
				}
				text += "; "
			}
			return text
		}
		for _, x := range []struct {
			who         ledger.Caller
			owner, want string
		}{
			{anna, "", "anna: 2/2 1/1; "},
			{bob, "", "bob: 3/3; "},
			{ledger.Caller{}, "", ""},
			{admin, "", ": 4/4; anna: 2/2 1/1; bob: 3/3; idle:; "},
			{admin, "anna", "anna: 2/2 1/1; "},
			{admin, "idle", "idle:; "},
			{admin, "nobody", ""},
		} {
			if got := owners(x.who, x.owner); got != x.want {
				t.Errorf("%+v, %q: got %q, want %q", x.who, x.owner, got, x.want)
			}
		}
		today, err := again.Usage(t.Context(), anna, "", 1)
		if err != nil || len(today) != 1 || len(today[0].Days) != 1 || today[0].Days[0].Units != 2 {
			t.Errorf("today: %+v, %v", today, err)
		}
	})
}

// The counts survive a lost response of the ledger, and a lost ledger.
func TestUsageOutlivesConflicts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := ledgertest.New()
		d := newQuotaDoor(t, m, &quotas{})
		defer d.Close()
		var r ledger.Record // the only one, once it exists
		for n, harm := range []func() error{
			func() error { return nil },
			func() error { r.Mark = "0"; return m.Write(t.Context(), &r) },
			func() error { return m.Write(t.Context(), &ledger.Record{Key: r.Key, Revision: r.Revision}) },
		} {
			if err := harm(); err != nil {
				t.Fatal(err)
			}
			d.accounts.Add("anna", usage.Usage{Made: 1})
			synctest.Wait()
			time.Sleep(2 * counting)
			scan := ledger.Scan{Prefix: "usage", Bodies: true}
			err := m.List(t.Context(), scan, func(now ledger.Record) bool { r = now; return true })
			if err != nil || !strings.Contains(string(r.Body), `"made":`+string(rune('1'+n))) {
				t.Errorf("%d: %s, %v", n, r.Body, err)
			}
		}
	})
}
