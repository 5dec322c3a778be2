package draft

import (
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/goldcrest/goldcrest/fault"
	"github.com/goldcrest/goldcrest/prewarm/ledger"
	"github.com/goldcrest/goldcrest/prewarm/unit"
	"github.com/goldcrest/goldcrest/reach"
	"github.com/goldcrest/goldcrest/variant"
)

// rules returns those of a configuration with the presets lite (open, 2g), auto (both classes) and one (webp).
func rules(t *testing.T, onlyPresets bool) *Rules {
	t.Helper()
	parser, err := variant.NewParser(map[string]string{"lite": "rs:fit:480:0/net:2g", "auto": "w:100/net:auto", "one": "w:100/f:webp"}, onlyPresets, "X-Amz-*")
	if err == nil {
		parser, err = parser.Under(variant.Policy{Mark: "fingerprint"})
	}
	if err != nil {
		t.Fatal(err)
	}
	return &Rules{
		Presets: []string{"one"}, Formats: []string{"avif", "webp", "jpeg"}, CallVariants: 1000,
		Parser: func() *variant.Parser { return parser }, Negotiation: variant.Default, Now: time.Now,
	}
}

// A client of JPEG XL gets what was prewarmed for it, whatever its place in the order.
func TestPlanMeetsClientsOfJXL(t *testing.T) {
	const safari = "image/webp,image/avif,image/jxl,image/png,image/*;q=0.8,*/*;q=0.5"
	for _, order := range [][]string{{"jxl", "avif", "webp"}, {"avif", "jxl", "webp"}} {
		n := variant.Negotiation{Formats: order}
		d := rules(t, false)
		d.Formats, d.Negotiation = []string{"avif", "jxl", "webp", "jpeg"}, func() variant.Negotiation { return n }
		p, err := d.newPlan([]unit.VariantAsk{{Options: "w:100"}})
		if err != nil {
			t.Fatal(err)
		}
		asked := variant.Spec{Width: 100}.Resolve(variant.ParseAccept(safari, n))
		if asked.Format != variant.Format(order[0]) || !slices.Contains(p.Specs, asked) {
			t.Errorf("%v: %s is not among the %d that are made", order, asked.Format, len(p.Specs))
		}
	}
}

// Prewarmed variants have the same keys as those that a client of each format requests later.
func TestPlanMeetsClients(t *testing.T) {
	bare, err := variant.NewParser(nil, false)
	if err != nil {
		t.Fatal(err)
	}
	mark := base64.RawURLEncoding.EncodeToString([]byte("https://c.example/mark.png?X-Amz-Date=1"))
	d := rules(t, false)
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
		{unit.VariantAsk{Name: "raw:1"}, 1, []string{"*/*", "image/avif"}},
		{unit.VariantAsk{Name: "w:200/skp:jpg:jxl"}, 3, []string{"image/webp", "*/*"}},
		{unit.VariantAsk{Name: "w:200/kcr:1/scp:0/f:jpg"}, 1, []string{"*/*"}},
		{unit.VariantAsk{Name: "w:200/wm:1/f:jpg"}, 1, []string{"*/*"}},
		{unit.VariantAsk{Name: "wm:1/f:jpg/wmu:" + mark}, 1, []string{"*/*"}},
		{unit.VariantAsk{Name: "f:jpg/wmu:" + mark}, 1, []string{"*/*"}},
	} {
		p, err := d.newPlan([]unit.VariantAsk{tt.ask})
		if err != nil {
			t.Fatal(err)
		}
		again := &ledger.Plan{Asks: p.Asks, Targets: p.Targets}
		if err := again.Resolve(bare); err != nil || fmt.Sprint(again.Specs) != fmt.Sprint(p.Specs) {
			t.Errorf("%v: the ledger gives %v %v, want %v", tt.ask, again.Specs, err, p.Specs)
		}
		refs, err := p.Refs(d.Parser(), "https://c.example/a.jpg", 0, "")
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
			ref, _, err := d.Parser().ParsePath(variant.Path(p.Asks[0].Options, "https://c.example/a.jpg", variant.Open))
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

// If only presets are allowed, URLs contain their bare names.
func TestPlanWithOnlyPresets(t *testing.T) {
	d := rules(t, true)
	p, err := d.newPlan([]unit.VariantAsk{{Name: "lite"}})
	if err != nil || p.Asks[0].Options != "lite" {
		t.Errorf("got %+v %v", p, err)
	}
}

// Equal images are combined, tasks stay small, and the counts include all places.
func TestDraft(t *testing.T) {
	d := rules(t, false)
	var c unit.Call
	for i := range 200 {
		c.Units = append(c.Units, unit.Unit{Index: i, ID: "u", Images: []unit.Image{
			{Pointer: "/logo", Source: "https://c.example/logo.png"},
			{Pointer: "/a", Source: fmt.Sprintf("https://c.example/%d.jpg", i)},
		}})
	}
	got, err := d.Draft(c)
	if err != nil {
		t.Fatal(err)
	}
	works, spots := 0, 0
	for _, task := range got.Tasks {
		if len(task.Images) > ledger.TaskImages {
			t.Errorf("a task has %d images", len(task.Images))
		}
		for _, w := range task.Images {
			works++
			spots += len(w.Spots)
		}
	}
	if want := 200 + 200/ledger.TaskSpots + 1; works != want || spots != 400 || got.Job.Counts.Images != 400 || got.Job.Counts.Variants != 400 {
		t.Errorf("%d images in %d places, counted as %+v; want %d in 400", works, spots, got.Job.Counts, want)
	}
	long := strings.Repeat("x", 15_000)
	c.Units = nil
	for i := range 60 {
		c.Units = append(c.Units, unit.Unit{Index: i, Images: []unit.Image{{Source: fmt.Sprintf("https://c.example/%s%d.jpg", long, i)}}})
	}
	if got, err = d.Draft(c); err != nil {
		t.Fatal(err)
	}
	for n, task := range got.Tasks {
		if r, err := task.Record("job", n); err != nil || len(r.Body) > ledger.MaxBody {
			t.Errorf("a record of %d bytes, %v", len(r.Body), err)
		}
	}
}

// The error for a variant that is neither a preset nor options suggests what may be meant.
func TestVariantThatIsNeitherPresetNorOptions(t *testing.T) {
	for name, want := range map[string]string{
		"w=300": `variant "w=300" is neither the name of a preset nor options such as w:300/f:webp; is "w:300" meant?`,
		"lit":   `variant "lit" is neither the name of a preset nor options such as w:300/f:webp; is "lite" meant?`,
		"zzzzz": `variant "zzzzz" is neither the name of a preset nor options such as w:300/f:webp; the presets are lite, std`,
	} {
		if got := noPreset(name, []string{"lite", "std"}); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
	c := unit.Call{Variants: []unit.VariantAsk{{Name: "w=300"}}}
	if _, err := rules(t, false).Draft(c); fault.KindOf(err) != fault.BadOption || fault.Of(err).Public != noPreset("w=300", nil) {
		t.Errorf("got %v", err)
	}
}

// only are Rights to one host.
type only string

func (o only) AllowsSource(source string) bool {
	return strings.HasPrefix(source, "https://"+string(o)+"/")
}
func (o only) AllowsPreset(string) bool { return true }
func (o only) Hosts() reach.Hosts       { return reach.Hosts(o) }

// A token may have watermarks only from sources that it may ask for.
func TestWatermarksAreHeldToRights(t *testing.T) {
	mark := base64.RawURLEncoding.EncodeToString([]byte("https://c.example/mark.png"))
	for host, want := range map[only]fault.Kind{"c.example": "", "d.example": fault.SourceNotAllowed} {
		p := rules(t, false).NewPlanner([]unit.VariantAsk{{Name: "wm:1/f:jpg/wmu:" + mark}})
		p.rights = host
		if _, err := p.Plan(nil); fault.KindOf(err) != want {
			t.Errorf("%s: %v, want %q", host, err, want)
		}
	}
}
