package prewarm

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/goldcrest/goldcrest/fault"
	"github.com/goldcrest/goldcrest/pipeline"
	"github.com/goldcrest/goldcrest/prewarm/ledger"
	"github.com/goldcrest/goldcrest/prewarm/unit"
	"github.com/goldcrest/goldcrest/reach"
	"github.com/goldcrest/goldcrest/variant"
)

// farDoor is a door whose originals all come through a host other than their source's.
type farDoor struct {
	*door
	made bool // they are stored
}

func newFarDoor(t *testing.T) *farDoor {
	const via = reach.Via("far.example")
	f := &farDoor{}
	judge := func(ref variant.Ref) pipeline.Warmed {
		w := stored(ref, 100)
		if !ref.Within.AllowsAll(via) {
			w.Err = reach.Refused("test")
		}
		return w
	}
	f.door = newDoor(t, func(_ *Config, deps *Deps) {
		deps.Known = func(_ context.Context, refs []variant.Ref) []pipeline.Warmed {
			out := make([]pipeline.Warmed, len(refs))
			for i, ref := range refs {
				if f.made {
					out[i] = judge(ref)
					out[i].Present = out[i].Err == nil
				}
			}
			return out
		}
		deps.KnownKey = func(_ context.Context, _ string, within reach.Hosts) (bool, error) {
			if !within.AllowsAll(via) {
				return false, reach.Refused("test")
			}
			return f.made, nil
		}
	})
	f.warm = func(ref variant.Ref, _ int) pipeline.Warmed { return judge(ref) }
	return f
}

// job checks the state and reason of every image of a job.
func (f *farDoor) job(t *testing.T, what string, rights unit.Rights, state ledger.State, reason fault.Kind) {
	t.Helper()
	c := oneCall("https://c.example/a.jpg")
	c.Variants, c.Rights = []unit.VariantAsk{{Name: "lite"}}, rights
	a, err := f.Accept(t.Context(), what, "", [32]byte{}, c)
	if err != nil {
		t.Fatal(err)
	}
	if a.Job.ID == "" { // there was nothing to do
		if img := units(a)[0].Images[0]; img.State != state || img.Reason != reason {
			t.Errorf("%s: %s %s, want %s %s", what, img.State, img.Reason, state, reason)
		}
		return
	}
	if _, err := f.Job(t.Context(), a.Job.ID, time.Hour); err != nil {
		t.Fatal(err)
	}
	rows, _, err := f.Results(t.Context(), a.Job.ID, ledger.ResultFilter{For: everyone}, "", 10)
	if err != nil || len(rows) == 0 {
		t.Fatalf("%s: %d results, %v", what, len(rows), err)
	}
	for _, row := range rows {
		if row.State != state || row.Reason != reason {
			t.Errorf("%s: %s %s, want %s %s", what, row.State, row.Reason, state, reason)
		}
	}
}

// check checks the result of Check.
func (f *farDoor) check(t *testing.T, within reach.Hosts, ask CheckAsk, state ledger.State, reason fault.Kind) {
	t.Helper()
	ask.Within = within
	err := f.Check(t.Context(), []CheckAsk{ask}, func(c Checked) error {
		if c.State != state || c.Reason != reason {
			t.Errorf("within %q: %s %s, want %s %s", within, c.State, c.Reason, state, reason)
		}
		return nil
	})
	if err != nil {
		t.Errorf("within %q: %v", within, err)
	}
}

// A source that redirects to a host outside a token's rights is broken in that token's job, and in no other. It is
// neither in the feed nor recorded as known; a check by other tokens does not report it, and their jobs make it.
func TestJobsStayWithinReach(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFarDoor(t)
		defer f.run(t)()
		source, key := CheckAsk{Source: "https://c.example/a.jpg"}, CheckAsk{Key: "v1/ab/abcd/w.webp"}
		bounded := onlyThose{"c.example", "lite"}
		f.job(t, "bounded", bounded, ledger.Broken, fault.SourceNotAllowed)
		if feed, err := f.Broken(t.Context(), everyone, time.Time{}, 10); err != nil || len(feed) != 0 {
			t.Errorf("the feed has %+v, %v", feed, err)
		}
		f.check(t, "", source, ledger.Unknown, "")
		f.job(t, "free", nil, ledger.Made, "")
		f.made = true
		f.job(t, "free again", nil, ledger.Present, "")
		f.job(t, "bounded again", bounded, ledger.Broken, fault.SourceNotAllowed)
		for _, ask := range []CheckAsk{source, key} {
			f.check(t, bounded.Hosts(), ask, ledger.Broken, fault.SourceNotAllowed)
			f.check(t, "", ask, ledger.Present, "")
		}
	})
}
