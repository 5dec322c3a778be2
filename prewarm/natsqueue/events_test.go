package natsqueue

import (
	"context"
	"crypto/sha256"
	"strings"
	"testing"

	"github.com/goldcrest/goldcrest/fault"
	"github.com/goldcrest/goldcrest/prewarm"
	"github.com/goldcrest/goldcrest/prewarm/ledger"
	"github.com/goldcrest/goldcrest/prewarm/ledger/ledgertest"
	"github.com/goldcrest/goldcrest/prewarm/unit"
	"github.com/goldcrest/goldcrest/prewarm/webhook"
	"github.com/goldcrest/goldcrest/reach"
)

// teller passes events to a test, which decides the result.
type teller struct {
	told   chan webhook.Event
	answer chan error
}

func (l *teller) Tell(ctx context.Context, e webhook.Event) error {
	select {
	case l.told <- e:
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case err := <-l.answer:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

func telling(l *teller) func(*prewarm.Config, *prewarm.Deps) {
	return func(_ *prewarm.Config, d *prewarm.Deps) {
		d.Tell, d.CheckCallback = l, func(unit.Callback) error { return nil }
	}
}

// A backend is told of broken images and of the job's end, again after a restart, and not after it has accepted them.
func TestEvents(t *testing.T) {
	dir, w := t.TempDir(), newWorld()
	w.onWarm = func(_ context.Context, source string) error {
		if strings.HasSuffix(source, "3.jpg") {
			return passing(fault.SourceNotFound)
		}
		return nil
	}
	l := &teller{told: make(chan webhook.Event), answer: make(chan error)}
	q := open(t, dir, nil)
	i := start(t, q, w, true, telling(l))
	c := call(0, 10)
	c.Tags, c.Callback = []string{"campaign"}, &unit.Callback{URL: "https://b.example/hook"}
	a := accept(t, i, c)
	first := <-l.told
	i.stop() // in the middle of a delivery
	if err := q.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	q = open(t, dir, nil)
	start(t, q, w, true, telling(l))
	seen := map[string]webhook.Event{}
	for range 2 {
		e := <-l.told
		seen[e.Type] = e
		l.answer <- nil
	}
	if again := seen[first.Type]; again.ID != first.ID || !again.At.Equal(first.At) {
		t.Errorf("the event %s at %v came again as %s at %v", first.ID, first.At, again.ID, again.At)
	}
	done, broken := seen[webhook.JobDone], seen[webhook.ImageBroken]
	if done.Job.ID != a.Job.ID || done.Job.State != ledger.Partial || done.Job.Callback == nil || done.Job.Tags[0] != "campaign" {
		t.Errorf("got %+v", done)
	}
	if len(broken.Broken) != 1 || broken.Broken[0].Reason != fault.SourceNotFound || broken.Broken[0].Source != "https://c.example/3.jpg" {
		t.Errorf("got %+v", broken)
	}
	ledgertest.WantWaiting(t, q, ledger.LaneTell, 0)
}

// Without an allowed host callbacks are refused before anything is written.
func TestCallbackIsChecked(t *testing.T) {
	i := start(t, open(t, t.TempDir(), nil), newWorld(), false, nil)
	c := call(0, 1)
	c.Callback = &unit.Callback{URL: "https://b.example/hook"}
	if _, err := i.Accept(t.Context(), "b", "", sha256.Sum256(nil), c); fault.KindOf(err) != fault.BadUnit {
		t.Errorf("got %v, want bad_unit", err)
	}
}

// A job can be watched until it ends.
func TestWatch(t *testing.T) {
	q, w := open(t, t.TempDir(), nil), newWorld()
	idle := start(t, q, w, false, nil)
	a := accept(t, idle, call(0, 40))
	watched, err := idle.Watch(t.Context(), a.Job.ID)
	if err != nil {
		t.Fatal(err)
	}
	if j := <-watched; j.State != ledger.Queued || j.Counts.Pending != 80 {
		t.Errorf("got %+v first", j)
	}
	start(t, q, w, true, nil)
	var last ledger.Job
	for last = range watched {
	}
	if last.State != ledger.Done || last.Counts.Made != 80 {
		t.Errorf("got %+v last", last)
	}
	if _, err := idle.Watch(t.Context(), "nosuch"); fault.KindOf(err) != fault.NoSuchJob {
		t.Errorf("got %v, want no_such_job", err)
	}
}

// Check reports present, pending, broken and unknown, and does no work.
func TestCheck(t *testing.T) {
	q, w := open(t, t.TempDir(), nil), newWorld()
	w.onWarm = func(_ context.Context, source string) error {
		if strings.HasSuffix(source, "1.jpg") {
			return passing(fault.SourceNotFound)
		}
		return nil
	}
	worker := start(t, q, w, true, nil)
	a := accept(t, worker, call(0, 2))
	ended(t, worker, a.Job.ID)
	present := results(t, worker, a.Job.ID, ledger.ResultFilter{State: ledger.Made})[0].Key
	ledgertest.WantWaiting(t, q, ledger.LaneNormal, 0)
	worker.stop()
	i := start(t, q, w, false, func(_ *prewarm.Config, d *prewarm.Deps) {
		d.KnownKey = func(_ context.Context, key string, _ reach.Hosts) (bool, error) { return key == present, nil }
	})
	accept(t, i, call(7, 1))
	asks := []prewarm.CheckAsk{
		{Source: source(0)}, {Source: source(1)}, {Source: source(7)}, {Source: source(8)}, {Source: source(0), Variants: []unit.VariantAsk{{Name: "std"}}},
		{Key: present}, {Key: "v1/00/0123/x.webp"}, {Source: "ftp://x"},
	}
	var got []prewarm.Checked
	err := i.Check(t.Context(), asks, func(c prewarm.Checked) error { got = append(got, c); return nil })
	if err != nil {
		t.Fatal(err)
	}
	for n, want := range []string{"present", "broken source_not_found", "pending", "unknown", "unknown", "present", "unknown", "broken bad_source"} {
		if s := strings.TrimSpace(string(got[n].State) + " " + string(got[n].Reason)); s != want {
			t.Errorf("%+v: got %s, want %s", asks[n], s, want)
		}
	}
	if stats, err := i.Stats(t.Context()); err != nil || stats.Jobs != 1 || stats.Variants != 2 || stats.Waiting["normal"] != 1 {
		t.Errorf("got %+v %v", stats, err)
	}
}

// A full backlog refuses calls, and purges find the sources of a unit and of a tag.
func TestBacklogAndSources(t *testing.T) {
	q := open(t, t.TempDir(), nil)
	i := start(t, q, newWorld(), false, func(c *prewarm.Config, _ *prewarm.Deps) { c.Backlog = 16 })
	c := call(0, 20)
	c.Tags = []string{"campaign"}
	if _, err := i.Accept(t.Context(), "b", "", sha256.Sum256(nil), c); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string][2]string{"one unit": {"du_3", ""}, "a tag": {"", "campaign"}, "no unit": {"du_99", ""}, "no tag": {"", "other"}} {
		refs, err := i.Sources(t.Context(), everyone, want[0], want[1])
		if n := map[string]int{"one unit": 1, "a tag": 20}[name]; err != nil || len(refs) != n {
			t.Errorf("%s: got %d sources %v, want %d", name, len(refs), err, n)
		}
	}
	// Another instance has not counted the waiting images yet.
	i = start(t, q, newWorld(), false, func(c *prewarm.Config, _ *prewarm.Deps) { c.Backlog = 16 })
	_, err := i.Accept(t.Context(), "b", "", sha256.Sum256(nil), call(50, 1))
	if f := fault.Of(err); err == nil || f.Kind != fault.QueueFull || f.RetryAfter == 0 {
		t.Errorf("got %v, want queue_full with a time", err)
	}
}
