package prewarm

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/goldcrest/goldcrest/fault"
	"github.com/goldcrest/goldcrest/pipeline"
	"github.com/goldcrest/goldcrest/prewarm/ledger"
	"github.com/goldcrest/goldcrest/prewarm/unit"
	"github.com/goldcrest/goldcrest/variant"
)

// ended posts a call and waits until its job has ended.
func (d *door) ended(t *testing.T, c unit.Call) ledger.Job {
	t.Helper()
	a, err := d.Accept(t.Context(), "b", "", [32]byte{}, c)
	if err != nil {
		t.Fatal(err)
	}
	j, err := d.Job(t.Context(), a.Job.ID, time.Hour)
	if err != nil || !j.State.Final() {
		t.Fatalf("got %+v %v", j, err)
	}
	return j
}

const broken = "https://c.example/gone.jpg"

// For an hour a broken source is answered without another try, also by a restarted process. Then it is tried again, and
// leaves the feed if it was repaired.
func TestBrokenIsKnownForAnHour(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDoor(t, nil)
		d.warm = func(ref variant.Ref, _ int) pipeline.Warmed { return refused(ref, fault.SourceNotFound) }
		stop := d.run(t)
		for range 2 {
			if j := d.ended(t, oneCall(broken)); j.Counts.Broken != 1 || len(d.tries) != 1 {
				t.Fatalf("got %+v after %d tries, want one", j.Counts, len(d.tries))
			}
		}
		stop()
		records := d.memory
		d = newDoor(t, func(_ *Config, deps *Deps) { deps.Ledger, deps.Queue = records, records })
		d.memory = records
		d.warm = func(ref variant.Ref, _ int) pipeline.Warmed { return stored(ref, 100) }
		defer d.run(t)()
		j := d.ended(t, oneCall(broken))
		rows, _, err := d.Results(t.Context(), j.ID, ledger.ResultFilter{For: everyone}, "", 1)
		if err != nil || len(d.tries) != 0 || rows[0].State != ledger.Broken || rows[0].Reason != fault.SourceNotFound {
			t.Errorf("after a restart: got %+v after %d tries, %v", rows, len(d.tries), err)
		}
		if feed, err := d.Broken(t.Context(), everyone, time.Time{}, 10); err != nil || len(feed) != 1 || feed[0].Count != 1 {
			t.Errorf("got the feed %+v %v, want the source found once", feed, err)
		}
		time.Sleep(time.Hour)
		if j := d.ended(t, oneCall(broken)); j.Counts.Made != 1 || len(d.tries) != 1 {
			t.Errorf("after an hour: got %+v after %d tries", j.Counts, len(d.tries))
		}
		synctest.Wait()
		if feed, err := d.Broken(t.Context(), everyone, time.Time{}, 10); err != nil || len(feed) != 0 {
			t.Errorf("got the feed %+v %v, want the mended source gone", feed, err)
		}
	})
}

// A source that was found broken under limits that have changed since, even during the job, is tried again, as a whole
// and in single variants.
func TestBrokenIsNotKnownUnderOtherLimits(t *testing.T) {
	for _, tt := range []struct {
		kind fault.Kind
		ask  string
	}{{fault.TooManyPixels, "w:9/f:jpg"}, {fault.SourceTooLarge, "w:9/f:jpg"}, {fault.ResultTooLarge, "w:9/f:jpg"}, {fault.TooCostly, "w:9/f:jpg"}} {
		synctest.Test(t, func(t *testing.T) {
			basis, during := "small", ""
			d := newDoor(t, func(_ *Config, deps *Deps) { deps.Basis = func() string { return basis } })
			d.warm = func(ref variant.Ref, _ int) pipeline.Warmed {
				if during != "" {
					basis = during
				}
				return refused(ref, tt.kind)
			}
			defer d.run(t)()
			c := oneCall(broken)
			c.Variants = []unit.VariantAsk{{Name: tt.ask}}
			ask := func(what string, tries int) {
				t.Helper()
				if j := d.ended(t, c); j.Counts.Broken != 1 || len(d.tries) != tries {
					t.Errorf("%s: %s: got %+v after %d tries, want %d", tt.kind, what, j.Counts, len(d.tries), tries)
				}
			}
			checked := func(want ledger.State) {
				t.Helper()
				err := d.Check(t.Context(), []CheckAsk{{Source: broken, Variants: c.Variants}}, func(got Checked) error {
					if got.State != want {
						t.Errorf("%s: check tells %+v, want %s", tt.kind, got, want)
					}
					return nil
				})
				if err != nil {
					t.Error(err)
				}
			}
			ask("first", 1)
			ask("known", 1)
			checked(ledger.Broken)
			basis = "large"
			checked(ledger.Unknown)
			ask("raised", 2)
			basis, during = "larger", "largest"
			ask("raised during the job", 3)
			during = ""
			ask("after that", 4)
			ask("known again", 4)
			checked(ledger.Broken)
		})
	}
}

// A retry and a purge each cause another try.
func TestRetryAndPurgeLookAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDoor(t, nil)
		d.warm = func(ref variant.Ref, _ int) pipeline.Warmed { return refused(ref, fault.SourceNotFound) }
		defer d.run(t)()
		j := d.ended(t, oneCall(broken))
		if _, err := d.Retry(t.Context(), j.ID); err != nil {
			t.Fatal(err)
		}
		if j, err := d.Job(t.Context(), j.ID, time.Hour); err != nil || j.Counts.Broken != 1 || len(d.tries) != 2 {
			t.Fatalf("retried: got %+v after %d tries, %v", j.Counts, len(d.tries), err)
		}
		ref, err := d.deps.Parser().Ref(broken, variant.Spec{})
		if err != nil {
			t.Fatal(err)
		}
		source := ref.SourcePrefix()
		for i, tt := range []struct {
			prefix string
			looked bool
		}{{source, true}, {"v1/", true}, {source[:len("v1/ab/")], true}, {source[:len("v1/ab/cdef")], true}, {"v1/zz/", false}} {
			if err := d.Forget(t.Context(), tt.prefix); err != nil {
				t.Fatal(err)
			}
			before := len(d.tries)
			if d.ended(t, oneCall(broken)); len(d.tries) > before != tt.looked {
				t.Errorf("%d: after a purge of %s it was looked at: %v, want %v", i, tt.prefix, !tt.looked, tt.looked)
			}
		}
	})
}

// A failure of one variant applies only to that variant. A value that only looked like an image is remembered too, but
// is not in the feed.
func TestKnownOfOneVariantAndOfGuesses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDoor(t, nil)
		d.warm = func(ref variant.Ref, _ int) pipeline.Warmed {
			switch {
			case ref.Source != broken:
				return refused(ref, fault.NotAnImage)
			case ref.Spec.Width == 9:
				return refused(ref, fault.ResultTooLarge)
			}
			return stored(ref, 100)
		}
		defer d.run(t)()
		c := oneCall(broken)
		c.Variants = []unit.VariantAsk{{Name: "w:9/f:jpg"}}
		for range 2 {
			if j := d.ended(t, c); j.Counts.Broken != 1 || len(d.tries) != 1 {
				t.Errorf("got %+v after %d tries, want one", j.Counts, len(d.tries))
			}
		}
		c.Variants = []unit.VariantAsk{{Name: "w:9/f:jpg"}, {Name: "w:8/f:jpg"}}
		if j := d.ended(t, c); j.Counts.Broken != 1 || j.Counts.Made != 1 || len(d.tries) != 2 {
			t.Errorf("got %+v after %d tries, want the other variant made", j.Counts, len(d.tries))
		}
		guess := oneCall("https://c.example/page")
		guess.Units[0].Images[0].Auto = true
		for range 2 {
			if j := d.ended(t, guess); j.Counts.Skipped != 1 || len(d.tries) != 3 {
				t.Errorf("got %+v after %d tries, want one more", j.Counts, len(d.tries))
			}
		}
		if feed, err := d.Broken(t.Context(), everyone, time.Time{}, 10); err != nil || len(feed) != 1 || feed[0].Reason != fault.ResultTooLarge {
			t.Errorf("got the feed %+v %v", feed, err)
		}
	})
}

// A call with "again" tries known broken sources again, and removes repaired ones from the feed.
func TestAgainLooksAtBrokenSources(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDoor(t, nil)
		mended := false
		d.warm = func(ref variant.Ref, _ int) pipeline.Warmed {
			if mended {
				return stored(ref, 100)
			}
			return refused(ref, fault.SourceNotFound)
		}
		defer d.run(t)()
		again := oneCall(broken)
		again.Again = true
		for n, want := range []struct {
			call        unit.Call
			mended      bool
			tries, feed int
		}{{oneCall(broken), false, 1, 1}, {again, false, 2, 1}, {oneCall(broken), true, 2, 1}, {again, true, 3, 0}, {oneCall(broken), true, 4, 0}} {
			mended = want.mended
			d.ended(t, want.call)
			feed, err := d.Broken(t.Context(), everyone, time.Time{}, 10)
			if err != nil || len(d.tries) != want.tries || len(feed) != want.feed {
				t.Errorf("call %d: got %d tries and the feed %+v %v, want %+v", n, len(d.tries), feed, err, want)
			}
		}
	})
}
