package prewarm

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/goldcrest/goldcrest/fault"
	"github.com/goldcrest/goldcrest/pipeline"
	"github.com/goldcrest/goldcrest/prewarm/unit"
	"github.com/goldcrest/goldcrest/variant"
)

// Ensure what is made ahead is what a client of each format gets later: the same keys.
func TestPlanMeetsClients(t *testing.T) {
	d := newDoor(t, nil)
	defer d.Close()
	for _, tt := range []struct {
		ask     unit.VariantAsk
		keys    int
		clients []string // Accept headers; those with "slow " are slow
	}{
		{unit.VariantAsk{Name: "lite"}, 3, []string{"image/avif,image/webp,image/apng,image/svg+xml,image/*,*/*;q=0.8", "image/webp,image/apng,*/*", "*/*", "image/jpeg,image/png", ""}},
		{unit.VariantAsk{Name: "auto"}, 6, []string{"image/avif,image/webp,*/*", "slow image/avif,image/webp,*/*", "slow */*"}},
		{unit.VariantAsk{Name: "one"}, 1, []string{"*/*", "image/avif"}},
		{unit.VariantAsk{Name: "mine", Options: "w:200/cb:7"}, 3, []string{"image/webp", "*/*"}},
		{unit.VariantAsk{Name: "w:200/f:png"}, 1, []string{"*/*"}},
	} {
		p, err := d.newPlan([]unit.VariantAsk{tt.ask})
		if err != nil {
			t.Fatal(err)
		}
		again := &plan{Asks: p.Asks, Targets: p.Targets}
		if err := again.resolve(d.bare); err != nil || fmt.Sprint(again.specs) != fmt.Sprint(p.specs) {
			t.Errorf("%v: the ledger gives %v %v, want %v", tt.ask, again.specs, err, p.specs)
		}
		refs, err := p.refs(d.deps.Parser(), "https://c.example/a.jpg", 0, "")
		if err != nil {
			t.Fatal(err)
		}
		keys := map[string]bool{}
		for _, r := range refs {
			keys[r.Key()] = true
		}
		if len(keys) != tt.keys {
			t.Errorf("%v: %d keys, want %d: %v", tt.ask, len(keys), tt.keys, keys)
		}
		for _, client := range tt.clients {
			header, slow := strings.CutPrefix(client, "slow ")
			a := variant.ParseAccept(header, variant.Default())
			a.Slow = slow
			ref, _, err := d.deps.Parser().ParsePath(variant.Path(p.Asks[0].Options, "https://c.example/a.jpg", variant.Open))
			if err != nil {
				t.Fatal(err)
			}
			ref.Spec = ref.Spec.Resolve(a)
			if !keys[ref.Key()] {
				t.Errorf("%v: the client %q asks for %s, which is not made", tt.ask, client, ref.Key())
			}
		}
	}
	if _, err := d.newPlan([]unit.VariantAsk{{Name: "nosuch"}}); fault.KindOf(err) != fault.BadOption {
		t.Errorf("got %v, want bad_option", err)
	}
}

// Where only presets are allowed, their names stand alone in URLs.
func TestPlanWithOnlyPresets(t *testing.T) {
	d := newDoor(t, func(_ *Config, deps *Deps) {
		parser, err := variant.NewParser(map[string]string{"lite": "w:480"}, true)
		if err != nil {
			t.Fatal(err)
		}
		deps.Parser = func() *variant.Parser { return parser }
	})
	defer d.Close()
	p, err := d.newPlan([]unit.VariantAsk{{Name: "lite"}})
	if err != nil || p.Asks[0].Options != "lite" {
		t.Errorf("got %+v %v", p, err)
	}
}

// Ensure equal images come together, tasks stay small, and the counts are those of all places.
func TestDraft(t *testing.T) {
	d := newDoor(t, nil)
	defer d.Close()
	var c unit.Call
	for i := range 200 {
		c.Units = append(c.Units, unit.Unit{Index: i, ID: "u", Images: []unit.Image{
			{Pointer: "/logo", Source: "https://c.example/logo.png"},
			{Pointer: "/a", Source: fmt.Sprintf("https://c.example/%d.jpg", i)},
		}})
	}
	got, err := d.draft(c)
	if err != nil {
		t.Fatal(err)
	}
	works, spots := 0, 0
	for _, task := range got.tasks {
		if len(task.Works) > taskImages {
			t.Errorf("a task has %d images", len(task.Works))
		}
		for _, w := range task.Works {
			works++
			spots += len(w.Spots)
		}
	}
	if want := 200 + 200/taskSpots + 1; works != want || spots != 400 || got.job.Counts.Images != 400 || got.job.Counts.Variants != 400 {
		t.Errorf("%d images in %d places, counted as %+v; want %d in 400", works, spots, got.job.Counts, want)
	}
	long := strings.Repeat("x", 15_000)
	c.Units = nil
	for i := range 60 {
		c.Units = append(c.Units, unit.Unit{Index: i, Images: []unit.Image{{Source: fmt.Sprintf("https://c.example/%s%d.jpg", long, i)}}})
	}
	if got, err = d.draft(c); err != nil {
		t.Fatal(err)
	}
	for n, task := range got.tasks {
		if r, err := task.record("job", n); err != nil || len(r.Body) > MaxBody {
			t.Errorf("a record of %d bytes, %v", len(r.Body), err)
		}
	}
}

// Ensure the answer has what the call asked to be returned.
func TestAnswerReturns(t *testing.T) {
	for _, tt := range []struct{ what, want string }{
		{"none", ""},
		{"urls", ""},
		{"rewritten", `{"t":"x","img":"https://img.example/pr:one"}`},
		{"enriched", `"url":"https://img.example/pr:one"`},
	} {
		d := newDoor(t, nil)
		c, err := unit.ParseCall(strings.NewReader(`{"t":"x","img":"https://c.example/a.jpg"}`), "application/json", "", nil, unit.Rules{})
		if err != nil {
			t.Fatal(err)
		}
		c.Return = tt.what
		a, err := d.Accept(t.Context(), "b", "", [32]byte{}, c)
		d.Close()
		switch {
		case err != nil:
			t.Errorf("%s: %v", tt.what, err)
		case tt.what == "none":
			if units(a) != nil || a.Job.Counts.Images != 1 {
				t.Errorf("none: got %+v", a)
			}
		case len(units(a)) != 1 || !strings.Contains(string(units(a)[0].Data), tt.want) || units(a)[0].Images[0].Variants[0].URL == "":
			t.Errorf("%s: got %s %+v", tt.what, units(a)[0].Data, units(a))
		}
	}
}

// What is stored is told with its size and a placeholder, in the unit and in the verdicts.
func TestEnrichedHasThePlaceholder(t *testing.T) {
	d := newDoor(t, func(_ *Config, deps *Deps) {
		deps.Known = func(_ context.Context, refs []variant.Ref) (out []pipeline.Warmed) {
			for _, ref := range refs {
				w := stored(ref, 100)
				w.Present = true
				out = append(out, w)
			}
			return out
		}
	})
	defer d.Close()
	c, err := unit.ParseCall(strings.NewReader(`{"img":"https://c.example/a.jpg"}`), "application/json", "", nil, unit.Rules{})
	if err != nil {
		t.Fatal(err)
	}
	c.Return = returnEnriched
	a, err := d.Accept(t.Context(), "b", "", [32]byte{}, c)
	if err != nil {
		t.Fatal(err)
	}
	want := `{"img":{"url":"https://img.example/pr:one","width":10,"height":20,"bytes":100,"placeholder":"` + testBlur + `","state":"present",` +
		`"variants":{"one":{"url":"https://img.example/pr:one","format":"webp","width":10,"height":20,"bytes":100,"placeholder":"` + testBlur + `"}}}}`
	if got := string(units(a)[0].Data); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	rows, _, err := d.Results(t.Context(), a.Job.ID, ResultFilter{For: everyone}, "", 10)
	if err != nil || len(rows) != 1 || rows[0].Placeholder != testBlur {
		t.Errorf("got %+v %v", rows, err)
	}
}

// Ensure each wrong value is refused, naming its key.
func TestConfigValidate(t *testing.T) {
	if err := Default().Validate(); err != nil {
		t.Fatal(err)
	}
	for want, change := range map[string]func(*Config){
		"formats": func(c *Config) { c.Formats = []string{"gif"} },
		"retry":   func(c *Config) { c.Retry = append(c.Retry, 0) },
		"workers": func(c *Config) { c.Workers = -1 },
		"keep":    func(c *Config) { c.Keep = 0 },
		"least":   func(c *Config) { c.Formats = nil },
	} {
		c := Default()
		change(&c)
		if err := c.Validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want a refusal with %q", err, want)
		}
	}
}

// A refused call does not hold its Idempotency-Key: the next try is a new one.
func TestRefusedCallGivesItsKeyBack(t *testing.T) {
	d := newDoor(t, nil)
	defer d.Close()
	for _, prefix := range []string{"task", "job"} {
		d.memory.onWrite = func(r *Record) error {
			if strings.HasPrefix(r.Key, prefix) {
				return fault.New(fault.DiskFull, "test", "for a test", nil)
			}
			return nil
		}
		if _, err := d.Accept(t.Context(), "b", "key", [32]byte{}, oneCall("https://c.example/a.jpg")); fault.KindOf(err) != fault.DiskFull {
			t.Fatalf("got %v, want disk_full", err)
		}
	}
	d.memory.onWrite = nil
	if a, err := d.Accept(t.Context(), "b", "key", [32]byte{1}, oneCall("https://c.example/a.jpg")); err != nil || a.Replayed {
		t.Errorf("got %+v %v", a.Job, err)
	}
}

// What a call finds stored is offered for improvement; a check is not.
func TestAcceptImprovesWhatIsStored(t *testing.T) {
	var offered []string
	d := newDoor(t, func(_ *Config, deps *Deps) {
		deps.Known = func(_ context.Context, refs []variant.Ref) (out []pipeline.Warmed) {
			for _, ref := range refs {
				w := stored(ref, 100)
				w.Present = true
				out = append(out, w)
			}
			return out
		}
		deps.Improve = func(found []pipeline.Warmed) {
			for _, w := range found {
				offered = append(offered, w.Key)
			}
		}
	})
	defer d.Close()
	if err := d.Check(t.Context(), []CheckAsk{{Source: "https://c.example/a.jpg", Variants: []unit.VariantAsk{{Name: "one"}}}}, func(Checked) error { return nil }); err != nil || len(offered) != 0 {
		t.Errorf("a check offered %v, %v", offered, err)
	}
	if _, err := d.Accept(t.Context(), "b", "", [32]byte{}, oneCall("https://c.example/a.jpg")); err != nil || len(offered) != 1 {
		t.Errorf("got %v offered, %v, want the one variant", offered, err)
	}
}
