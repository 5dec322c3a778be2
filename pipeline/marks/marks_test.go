package marks

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/goldcrest/goldcrest/cache"
	"github.com/goldcrest/goldcrest/fault"
	"github.com/goldcrest/goldcrest/pipeline/fetch"
	"github.com/goldcrest/goldcrest/pipeline/gate"
	"github.com/goldcrest/goldcrest/reach"
	"github.com/goldcrest/goldcrest/variant"
)

// fakeSource supplies what a test lays down, and keeps what it was asked.
type fakeSource struct {
	supply fetch.Supply
	err    error
	asked  []fetch.Ask
	back   int
}

func (f *fakeSource) Get(_ context.Context, ask fetch.Ask) (fetch.Supply, error) {
	f.asked = append(f.asked, ask)
	got := f.supply
	got.Back = func() { f.back++ }
	return got, f.err
}

// rig is a Source with fakes.
type rig struct {
	*Source
	originals, marks fakeSource
	purges           *cache.Purges
	clock            time.Time
}

func newRig() *rig {
	r := &rig{purges: cache.NewPurges(cache.Generation{Epoch: 1}), clock: time.Unix(1e9, 0)}
	r.originals.supply.Body = []byte("original")
	r.marks.supply.Body = []byte("mark")
	r.Source = New(&r.originals, &r.marks, r.purges, func() time.Time { return r.clock })
	return r
}

// get asks for variants with marks; "" = a variant without.
func (r *rig) get(t *testing.T, within reach.Hosts, sources ...string) fetch.Supply {
	t.Helper()
	ask := fetch.Ask{Key: "v1/ab/hash/full.png", Generation: r.purges.Now(), Urgency: gate.At(gate.Viewing)}
	ask.Limits.Within = within
	for _, s := range sources {
		ask.Specs = append(ask.Specs, spec(s))
	}
	got, err := r.Get(t.Context(), ask)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func spec(source string) variant.Spec {
	if source == "" {
		return variant.Spec{}
	}
	return variant.Spec{Watermark: variant.Watermark{Opacity: 1, Source: source, Mark: "id of " + source}}
}

// A mark is fetched once for all variants and kept for a while, with limits of its own. Its download is given back.
func TestMarksAreFetchedAndKept(t *testing.T) {
	r := newRig()
	const logo, other = "https://cdn.example/logo.png", "https://cdn.example/other.png"
	for range 3 {
		got := r.get(t, "", logo, "", logo, other)
		if len(got.Marks) != 2 || string(got.Marks["id of "+logo]) != "mark" || string(got.Body) != "original" {
			t.Fatalf("got %+v", got)
		}
	}
	if r.get(t, ""); len(r.marks.asked) != 2 || r.marks.back != 2 || r.originals.back != 0 {
		t.Errorf("%d fetched, %d given back", len(r.marks.asked), r.marks.back)
	}
	ask := r.marks.asked[0]
	if ask.Source != logo || ask.Limits.Bytes != maxBytes || !ask.Limits.Unless.None() || ask.Slot != nil {
		t.Errorf("asked %+v", ask)
	}
	r.clock = r.clock.Add(keep)
	if r.get(t, "", logo); len(r.marks.asked) != 3 {
		t.Error("an old mark was used")
	}
	g := r.purges.Next()
	r.purges.Begin(g, []string{"v1/ab/"}, 0)
	if r.get(t, "", logo); len(r.marks.asked) != 4 {
		t.Error("a mark from before the purge of the variant was used")
	}
	if r.get(t, "", logo); len(r.marks.asked) != 4 {
		t.Error("the mark fetched after the purge was not kept")
	}
	if r.originals.supply.Same = true; len(r.get(t, "", other).Marks) != 0 {
		t.Error("an unchanged original needs no mark")
	}
}

// The bytes of kept marks are bounded, and replacing one counts once.
func TestKeptMarksAreBounded(t *testing.T) {
	r := newRig()
	r.marks.supply.Body = make([]byte, maxBytes)
	for i := range 40 {
		r.clock = r.clock.Add(keep / 2)
		r.get(t, "", "https://cdn.example/"+strings.Repeat("a", i%9))
		sum := 0
		for _, m := range r.kept {
			sum += len(m.Body)
		}
		if sum != r.bytes || sum > maxKept {
			t.Fatalf("%d bytes are kept, %d counted", sum, r.bytes)
		}
	}
}

// A kept mark is given only to callers that may have its host and the hosts it came through, and so is the variant.
func TestMarksStayWithinReach(t *testing.T) {
	r := newRig()
	r.originals.supply.From.Via = "far.example"
	r.marks.supply.From.Via = "redirect.example"
	const logo = "https://cdn.example/logo.png"
	got := r.get(t, "", logo)
	if got.From.Via != "far.example redirect.example cdn.example" {
		t.Errorf("the variant came through %q", got.From.Via)
	}
	for i, patterns := range [][]string{{"cdn.example"}, {"redirect.example"}, {"cdn.example", "redirect.example"}} {
		within, err := reach.Of(patterns)
		if err != nil {
			t.Fatal(err)
		}
		r.get(t, within, logo)
		if want := min(2+i, 3); len(r.marks.asked) != want {
			t.Errorf("%v: %d fetches, want %d", patterns, len(r.marks.asked), want)
		}
	}
	if within := r.marks.asked[1].Limits.Within; within == "" {
		t.Error("the fetch was not limited to the caller's hosts")
	}
}

// What the mark's origin says about caching applies to the variant, and a mark that must not be stored is not kept.
func TestMarksObeyTheirOrigin(t *testing.T) {
	for name, tt := range map[string]struct {
		original, mark, want variant.Provenance
	}{
		"none":          {variant.Provenance{}, variant.Provenance{}, variant.Provenance{}},
		"mark shorter":  {life(9), life(5), life(5)},
		"mark longer":   {life(5), life(9), life(5)},
		"mark alone":    {variant.Provenance{}, life(5), life(5)},
		"original's":    {life(5), variant.Provenance{}, life(5)},
		"for no time":   {life(5), life(0), life(0)},
		"original none": {life(0), life(5), life(0)},
	} {
		r := newRig()
		r.originals.supply.From, r.marks.supply.From = tt.original, tt.mark
		got := r.get(t, "", "https://a/m.png").From
		if got.Via = ""; got != tt.want {
			t.Errorf("%s: %+v", name, got)
		}
	}
	r := newRig()
	r.marks.supply.NoStore = true
	for range 2 {
		if !r.get(t, "", "https://a/m.png").NoStore {
			t.Error("the variant may be stored")
		}
	}
	if len(r.marks.asked) != 2 {
		t.Error("the mark was kept")
	}
}

func life(seconds time.Duration) variant.Provenance {
	return variant.Provenance{Life: seconds * time.Second, HasLife: true}
}

// A mark that cannot be fetched fails the variants that name it, and not with a kind that would condemn the original.
func TestFailuresOfMarks(t *testing.T) {
	for kind, want := range map[fault.Kind]fault.Kind{
		fault.SourceNotFound: fault.BadOption, fault.SourceTooLarge: fault.BadOption, fault.NotAnImage: fault.BadOption,
		fault.AddressBlocked: fault.BadOption, fault.SourceTimeout: fault.SourceError,
		fault.DNSFailed: fault.SourceError, fault.SourceForbidden: fault.SourceError,
		fault.Overloaded: fault.Overloaded, fault.Canceled: fault.Canceled,
	} {
		r := newRig()
		r.marks.err = fault.New(kind, "origin.Fetch", "the host said no", nil).After(time.Minute)
		other := errors.New("too small a master")
		r.originals.supply.Lacks = func(s variant.Spec) error {
			if s.Width > 0 {
				return other
			}
			return nil
		}
		got := r.get(t, "", "https://a/m.png", "")
		f := fault.Of(got.Lacks(spec("https://a/m.png")))
		if f == nil || f.Kind != want || want == fault.SourceError && f.RetryAfter != time.Minute {
			t.Errorf("%s becomes %v, want %s", kind, f, want)
		}
		if got.Lacks(spec("")) != nil || !errors.Is(got.Lacks(variant.Spec{Width: 5}), other) {
			t.Errorf("%s: variants without the mark: %v", kind, got.Lacks(spec("")))
		}
	}
	r := newRig()
	r.originals.err = errors.New("gone")
	ask := fetch.Ask{Specs: []variant.Spec{spec("https://a/m.png")}}
	if _, err := r.Get(t.Context(), ask); !errors.Is(err, r.originals.err) {
		t.Errorf("without an original: %v", err)
	}
	if len(r.marks.asked) != 0 {
		t.Error("a mark was fetched for no original")
	}
}
