package prewarm

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/goldcrest/goldcrest/fault"
	"github.com/goldcrest/goldcrest/pipeline"
	"github.com/goldcrest/goldcrest/prewarm/ledger"
	"github.com/goldcrest/goldcrest/prewarm/unit"
	"github.com/goldcrest/goldcrest/variant"
)

// The URLs in the response are those of the variants that are made: each image of the unit within its share, even if
// the same source is in units with other shares. The verdicts report variants that are too large for it.
func TestBudgetIsKeptAndTold(t *testing.T) {
	var urls []string
	d := newDoor(t, func(cfg *Config, deps *Deps) {
		deps.Sign = func(_, source, options string, _, _ time.Duration) (string, error) {
			urls = append(urls, options+" "+source)
			return "https://img.example/" + options, nil
		}
	})
	made := map[string]int{}
	d.warm = func(ref variant.Ref, _ int) pipeline.Warmed {
		made[ref.Key()]++
		size := int64(ref.Spec.MaxBytes)
		if strings.Contains(ref.Source, "heavy") {
			size += 1000
		}
		return stored(ref, size)
	}
	stop := d.run(t)
	c := unit.Call{Budget: 20_000, Variants: []unit.VariantAsk{{Name: "one"}, {Name: "tiny", Options: "w:9/mb:5000/f:jpg"}}, Units: []unit.Unit{
		{Index: 0, ID: "two", Images: []unit.Image{{Source: "https://c.example/a.jpg"}, {Source: "https://c.example/heavy.jpg"}}},
		{Index: 1, ID: "alone", Images: []unit.Image{{Source: "https://c.example/a.jpg"}}},
		{Index: 2, ID: "bare"},
	}}
	a, err := d.Accept(t.Context(), "b", "", [32]byte{}, c)
	if err != nil {
		t.Fatal(err)
	}
	if b := units(a)[0].Budget; b == nil || *b != (UnitBudget{Bytes: 20_000, Share: 10_000}) || units(a)[2].Budget != nil {
		t.Errorf("before the work: got %+v, %+v", b, units(a)[2].Budget)
	}
	if _, err := d.Job(t.Context(), a.Job.ID, time.Minute); err != nil {
		t.Fatal(err)
	}
	a, err = d.Refresh(t.Context(), a, c)
	if err != nil || a.Job.Counts.Over != 1 {
		t.Fatalf("got %+v %v, want one over its share", a.Job.Counts, err)
	}
	if b := units(a)[0].Budget; b == nil || b.Used == nil || *b.Used != 21_000 || !b.Over {
		t.Errorf("after the work: got %+v, want 21000 of 20000 used", b)
	}
	if b := units(a)[1].Budget; b == nil || b.Used == nil || *b.Used != 20_000 || b.Over {
		t.Errorf("after the work: got %+v, want 20000 of 20000 used", b)
	}
	rows, _, err := d.Results(t.Context(), a.Job.ID, ledger.ResultFilter{For: everyone}, "", 100)
	if err != nil || len(rows) != 6 {
		t.Fatalf("got %d rows, %v", len(rows), err)
	}
	for _, r := range rows {
		want := map[int]int64{0: 10_000, 1: 20_000}[r.Unit]
		if over := strings.Contains(r.Source, "heavy") && r.Name == "one"; r.Budget != want || r.Over != over || made[r.Key] == 0 {
			t.Errorf("got %+v, made %d times; want it made, a share of %d, over %v", r, made[r.Key], want, over)
		}
	}
	stop()
	for _, u := range urls {
		options, source, _ := strings.Cut(u, " ")
		spec, _, err := d.deps.Parser().ParseOptions(options)
		if err != nil {
			t.Fatal(err)
		}
		ref, err := d.deps.Parser().Ref(source, spec.Resolve(variant.Accept{}))
		if err != nil || made[ref.Key()] == 0 {
			t.Errorf("%s of %s was made %d times, %v", options, source, made[ref.Key()], err)
		}
	}
}

// If URLs may contain only presets, they cannot contain a budget.
func TestBudgetNeedsOptionsInURLs(t *testing.T) {
	strict, err := variant.NewParser(map[string]string{"one": "w:100/f:webp"}, true)
	if err != nil {
		t.Fatal(err)
	}
	d := newDoor(t, func(_ *Config, deps *Deps) { deps.Parser = func() *variant.Parser { return strict } })
	defer d.Close()
	c := oneCall("https://c.example/a.jpg")
	c.Budget = 20_000
	a, err := d.Accept(context.Background(), "b", "", [32]byte{}, c)
	if err != nil || units(a)[0].Err == nil || units(a)[0].Err.Code != fault.BadOption {
		t.Errorf("got %+v %v, want the unit refused with bad_option", units(a), err)
	}
}
