package natsqueue

import (
	"context"
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/goldcrest/goldcrest/fault"
	"github.com/goldcrest/goldcrest/prewarm"
	"github.com/goldcrest/goldcrest/prewarm/ledger"
	"github.com/goldcrest/goldcrest/prewarm/unit"
)

// A call is worked on completely: every variant is stored, each has a verdict, and nothing is done twice.
func TestJobStoresEachVariantOnceWithAVerdict(t *testing.T) {
	w := newWorld()
	i := start(t, open(t, t.TempDir(), nil), w, true, nil)
	a := accept(t, i, call(0, 50))
	if a.Job.State != ledger.Queued && a.Job.State != ledger.Running || a.Job.Counts.Variants != 100 || len(units(a)) != 50 {
		t.Errorf("got %+v with %d units", a.Job, len(units(a)))
	}
	if v := units(a)[7].Images[0].Variants[0]; !strings.HasPrefix(v.URL, "https://img.example/sig/pr:lite/") || v.State != ledger.Pending {
		t.Errorf("got %+v", v)
	}
	j := ended(t, i, a.Job.ID)
	if j.State != ledger.Done || j.Counts.Made != 100 || j.Counts.DataUnits != 50 || j.Counts.Images != 50 || j.StartedAt.IsZero() {
		t.Errorf("got %+v", j)
	}
	if want := (ledger.Bytes{Source: 50_000, Stored: 10_000, Saved: 90_000}); j.Bytes != want {
		t.Errorf("got %+v, want %+v", j.Bytes, want)
	}
	agree(t, i, j)
	again := accept(t, i, call(0, 50))
	if again.Job.State != ledger.Done || again.Job.Counts.Present != 100 || units(again)[3].Images[0].State != ledger.Present {
		t.Errorf("the same call again: got %+v", again.Job)
	}
	if n := w.warmed("https://c.example/3.jpg"); n != 1 {
		t.Errorf("an image was worked on %d times", n)
	}
	jobs, next, err := i.Jobs(t.Context(), everyone, 1, "")
	if err != nil || len(jobs) != 1 || jobs[0].ID != again.Job.ID {
		t.Errorf("got %+v %v", jobs, err)
	}
	if jobs, next, err = i.Jobs(t.Context(), everyone, 1, next); err != nil || next != "" || len(jobs) != 1 || jobs[0].ID != a.Job.ID {
		t.Errorf("second page: got %+v %q %v", jobs, next, err)
	}
}

// Each failure ends with the state that the contract gives it, and equal images are worked on once.
func TestVerdicts(t *testing.T) {
	t.Parallel()
	w := newWorld()
	var tries sync.Map
	w.onWarm = func(_ context.Context, source string) error {
		n, _ := tries.LoadOrStore(source, new(atomic.Int32))
		try := n.(*atomic.Int32).Add(1)
		switch kind, late, _ := strings.Cut(strings.TrimSuffix(source[len("https://c.example/"):], ".jpg"), "-"); {
		case kind == "good" || late != "" && try > 2: // two formats: the second try
			return nil
		default:
			return passing(fault.Kind(kind))
		}
	}
	i := start(t, open(t, t.TempDir(), nil), w, true, nil)
	at := func(name string, auto bool) unit.Image {
		return unit.Image{Pointer: "/" + name, Source: "https://c.example/" + name + ".jpg", Auto: auto}
	}
	c := unit.Call{Units: []unit.Unit{
		{Index: 0, ID: "a", Images: []unit.Image{
			at("good", false), at("source_not_found", false), at("not_an_image", true), at("source_timeout", false), at("dns_failed", false),
			at("source_error-late", false), {Pointer: "/text", Source: "my secret words", Bad: fault.BadSource},
		}},
		{Index: 1, ID: "a", Images: []unit.Image{at("good", true), at("not_an_image", false), {Pointer: "/u", Source: "ftp://x/y.jpg", Auto: true}}},
		{Index: 2, ID: "c", Err: &unit.Error{Code: fault.BadUnit}},
		{Index: 3, ID: "d", Variants: []unit.VariantAsk{{Name: "nosuch"}}, Images: []unit.Image{at("good", false)}},
	}}
	a := accept(t, i, c)
	if units(a)[2].Err == nil || units(a)[3].Err == nil || units(a)[3].Err.Code != fault.BadOption {
		t.Errorf("got %+v", units(a))
	}
	j := ended(t, i, a.Job.ID)
	agree(t, i, j)
	got := map[string]string{}
	for _, v := range results(t, i, j.ID, ledger.ResultFilter{For: everyone}) {
		got[fmt.Sprintf("%d%s %s", v.Unit, v.Pointer, v.Format)] = strings.TrimSpace(string(v.State) + " " + string(v.Reason))
	}
	for place, want := range map[string]string{
		"0/good webp": "made", "1/good jpg": "made", "0/source_not_found webp": "broken source_not_found", "0/not_an_image jpg": "skipped not_an_image",
		"1/not_an_image jpg": "broken not_an_image", "0/source_timeout jpg": "failed source_timeout", "0/dns_failed webp": "broken dns_failed",
		"0/source_error-late jpg": "made", "0/text webp": "broken bad_source", "1/u jpg": "broken bad_source",
	} {
		if got[place] != want {
			t.Errorf("%s: got %q, want %q", place, got[place], want)
		}
	}
	if n := w.warmed("https://c.example/good.jpg"); n != 1 {
		t.Errorf("an image in two places was worked on %d times", n)
	}
	if n := w.warmed("https://c.example/source_timeout.jpg"); n != 3 {
		t.Errorf("a failing image was tried %d times, want 3", n)
	}
	if j.State != ledger.Partial {
		t.Errorf("got %s, want partial", j.State)
	}
	broken, err := i.Broken(t.Context(), everyone, time.Now().Add(-time.Minute), 100)
	if err != nil || len(broken) != 3 || broken[0].Count != 1 {
		t.Errorf("got %+v %v, want three broken sources", broken, err)
	}
	if only := results(t, i, j.ID, ledger.ResultFilter{State: ledger.Skipped}); len(only) != 2 {
		t.Errorf("got %d skipped, want 2", len(only))
	}
}

// One key identifies one job, even if the same call arrives many times at once at two instances.
func TestIdempotency(t *testing.T) {
	q, w := open(t, t.TempDir(), nil), newWorld()
	both := []*instance{start(t, q, w, false, nil), start(t, q, w, false, nil)}
	body := sha256.Sum256([]byte("a"))
	ids := make([]string, 20)
	var calling sync.WaitGroup
	for n := range ids {
		calling.Go(func() {
			a, err := both[n%2].Accept(t.Context(), "backend", "key", body, call(0, 20))
			if err != nil {
				t.Error(err)
			}
			ids[n] = a.Job.ID
		})
	}
	calling.Wait()
	for _, id := range ids {
		if id != ids[0] {
			t.Errorf("got the jobs %s and %s of one key", ids[0], id)
		}
	}
	a, err := both[0].Accept(t.Context(), "backend", "key", body, call(0, 20))
	if err != nil || !a.Replayed || len(units(a)) != 20 {
		t.Errorf("got %+v %v, want a replay", a.Job, err)
	}
	_, err = both[1].Accept(t.Context(), "backend", "key", sha256.Sum256([]byte("b")), call(0, 20))
	if fault.KindOf(err) != fault.IdempotencyConflict {
		t.Errorf("another body: got %v", err)
	}
	if a, err = both[1].Accept(t.Context(), "other", "key", sha256.Sum256([]byte("b")), call(0, 20)); err != nil || a.Replayed {
		t.Errorf("another token's key: got %+v %v", a.Job, err)
	}
}

// After a process has stopped in the middle of a job, nothing is left undone and nothing is done twice.
func TestRestartResumes(t *testing.T) {
	t.Parallel()
	dir, w := t.TempDir(), newWorld()
	q := open(t, dir, nil)
	reached := make(chan struct{}, 1000)
	w.onWarm = func(ctx context.Context, source string) error {
		if strings.HasSuffix(source, "7.jpg") {
			reached <- struct{}{}
			<-ctx.Done()
			return ctx.Err()
		}
		return nil
	}
	i := start(t, q, w, true, nil)
	a := accept(t, i, call(0, 60))
	<-reached
	i.stop()
	if err := q.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.onWarm = nil
	i = start(t, open(t, dir, nil), w, true, nil)
	j := ended(t, i, a.Job.ID)
	if j.State != ledger.Done || j.Counts.Made != 120 {
		t.Errorf("got %+v, want 120 made", j.Counts)
	}
	agree(t, i, j)
	for key, n := range w.keys() {
		if n != 1 {
			t.Errorf("%s was made %d times", key, n)
		}
	}
}

// A ticket that was lost or put twice changes nothing: two instances, each ticket delivered to both.
func TestCountsAreExactUnderDuplicates(t *testing.T) {
	t.Parallel()
	q, w := open(t, t.TempDir(), nil), newWorld()
	var doubled sync.WaitGroup
	twice := func(_ *prewarm.Config, d *prewarm.Deps) { d.Queue = &doubling{Queue: q, running: &doubled} }
	one, two := start(t, q, w, true, twice), start(t, q, w, true, twice)
	a := accept(t, one, call(0, 100))
	j := ended(t, two, a.Job.ID)
	doubled.Wait()
	if j, err := one.Job(t.Context(), a.Job.ID, 0); err != nil || j.Counts.Made+j.Counts.Present != 200 || j.Counts.Pending != 0 {
		t.Errorf("got %+v %v", j.Counts, err)
	}
	agree(t, one, j)
}

// doubling runs every handler twice at the same time, as after a lost heartbeat.
type doubling struct {
	ledger.Queue
	running *sync.WaitGroup
}

func (d *doubling) Consume(ctx context.Context, lanes []string, slots int, h ledger.Handler) error {
	return d.Queue.Consume(ctx, lanes, slots, func(ctx context.Context, k ledger.Ticket) time.Duration {
		var both sync.WaitGroup
		var again [2]time.Duration
		for i := range again {
			both.Go(func() { again[i] = h(ctx, k) })
		}
		both.Wait()
		return max(again[0], again[1])
	})
}

// Work that has not begun is cancelled, work past its deadline expires, and both end the job.
func TestCancelAndDeadline(t *testing.T) {
	q, w := open(t, t.TempDir(), nil), newWorld()
	idle := start(t, q, w, false, nil)
	a := accept(t, idle, call(0, 40))
	j, err := idle.Cancel(t.Context(), a.Job.ID)
	if err != nil || j.State != ledger.Cancelled || j.Counts.Cancelled != 80 {
		t.Errorf("got %+v %v", j, err)
	}
	late := call(100, 40)
	late.Deadline = time.Now().Add(-time.Second)
	a = accept(t, idle, late)
	i := start(t, q, w, true, nil)
	j = ended(t, i, a.Job.ID)
	if j.State != ledger.Expired || j.Counts.Expired != 80 {
		t.Errorf("got %+v", j)
	}
	agree(t, i, j)
	if len(w.keys()) != 0 {
		t.Errorf("%d variants were made all the same", len(w.keys()))
	}
}

// Retry repeats what failed or was broken once, and nothing else.
func TestRetry(t *testing.T) {
	q, w := open(t, t.TempDir(), nil), newWorld()
	w.onWarm = func(_ context.Context, source string) error {
		if strings.HasSuffix(source, "5.jpg") {
			return passing(fault.SourceNotFound)
		}
		return nil
	}
	i := start(t, q, w, true, nil)
	a := accept(t, i, call(0, 30))
	if j := ended(t, i, a.Job.ID); j.Counts.Broken != 6 || j.Counts.Made != 54 {
		t.Fatalf("got %+v", j.Counts)
	}
	w.mu.Lock()
	w.onWarm = nil
	w.mu.Unlock()
	if _, err := i.Retry(t.Context(), a.Job.ID); err != nil {
		t.Fatal(err)
	}
	j := ended(t, i, a.Job.ID)
	if j.State != ledger.Done || j.Counts.Made != 60 || j.Counts.Broken != 0 {
		t.Errorf("got %+v", j)
	}
	agree(t, i, j)
	if n := w.warmed("https://c.example/4.jpg"); n != 1 {
		t.Errorf("what was made is worked on %d times", n)
	}
	if broken, err := i.Broken(t.Context(), everyone, time.Time{}, 10); err != nil || len(broken) != 0 {
		t.Errorf("got %+v %v: mended sources are still in the feed", broken, err)
	}
}

// The queue's directory contains no text of units, and no other user may read it.
func TestDirectoryHoldsNoText(t *testing.T) {
	dir, w := t.TempDir(), newWorld()
	q := open(t, dir, nil)
	i := start(t, q, w, true, nil)
	c := call(0, 20)
	for n := range c.Units {
		c.Units[n].Data = []byte(`{"note":"MARKER-7f3a personal words"}`)
		c.Units[n].Images = append(c.Units[n].Images, unit.Image{Pointer: "/note", Source: "MARKER-7f3a no url", Bad: fault.BadSource})
	}
	a, err := i.Accept(t.Context(), "backend", "MARKER-7f3a key", sha256.Sum256(nil), c)
	if err != nil {
		t.Fatal(err)
	}
	ended(t, i, a.Job.ID)
	i.stop()
	if err := q.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	found, files := false, 0
	err = filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		files++
		text, err := os.ReadFile(path)
		if strings.Contains(string(text), "MARKER-7f3a") {
			t.Errorf("%s holds the marker", path)
		}
		found = found || strings.Contains(string(text), "https://c.example/3.jpg")
		return err
	})
	if err != nil || !found {
		t.Errorf("%v; %d files, none with a source: this test reads in the wrong place", err, files)
	}
	if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("got %v %v, want 0700", info.Mode(), err)
	}
}
