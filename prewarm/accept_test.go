package prewarm

import (
	"context"
	"strings"
	"testing"

	"github.com/goldcrest/goldcrest/fault"
	"github.com/goldcrest/goldcrest/pipeline"
	"github.com/goldcrest/goldcrest/prewarm/ledger"
	"github.com/goldcrest/goldcrest/prewarm/unit"
	"github.com/goldcrest/goldcrest/variant"
)

// The response contains what the call's "return" requests.
func TestAnswerReturns(t *testing.T) {
	for _, tt := range []struct{ what, want string }{
		{"none", ""},
		{"urls", ""},
		{"rewritten", `{"t":"x","img":"https://img.example/pr:one"}`},
		{"enriched", `"url":"https://img.example/pr:one"`},
	} {
		d := newDoor(t, nil)
		c, err := unit.ParseText(t.Context(), []byte(`{"t":"x","img":"https://c.example/a.jpg"}`), "application/json",
			nil, unit.Rules{})
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

// Stored variants are reported with size and placeholder, in the unit and in the verdicts.
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
	c, err := unit.ParseText(t.Context(), []byte(`{"img":"https://c.example/a.jpg"}`), "application/json", nil, unit.Rules{})
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
	rows, _, err := d.Results(t.Context(), a.Job.ID, ledger.ResultFilter{For: everyone}, "", 10)
	if err != nil || len(rows) != 1 || rows[0].Placeholder != testBlur {
		t.Errorf("got %+v %v", rows, err)
	}
}

// Each invalid value is refused with the name of its key.
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

// A refused call does not hold its Idempotency-Key: the next try is a new call.
func TestRefusedCallGivesItsKeyBack(t *testing.T) {
	d := newDoor(t, nil)
	defer d.Close()
	for _, prefix := range []string{"task", "job"} {
		d.memory.OnWrite(func(r *ledger.Record) error {
			if strings.HasPrefix(r.Key, prefix) {
				return fault.New(fault.DiskFull, "test", "for a test", nil)
			}
			return nil
		})
		if _, err := d.Accept(t.Context(), "b", "key", [32]byte{}, oneCall("https://c.example/a.jpg")); fault.KindOf(err) != fault.DiskFull {
			t.Fatalf("got %v, want disk_full", err)
		}
	}
	d.memory.OnWrite(nil)
	if a, err := d.Accept(t.Context(), "b", "key", [32]byte{1}, oneCall("https://c.example/a.jpg")); err != nil || a.Replayed {
		t.Errorf("got %+v %v", a.Job, err)
	}
}

// Stored variants that a call finds are offered for improvement; those that a check finds are not.
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
