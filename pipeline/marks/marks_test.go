package marks

import (
	"context"
	"errors"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
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
	onGet  func()
	hang   bool
}

func (f *fakeSource) Get(ctx context.Context, ask fetch.Ask) (fetch.Supply, error) {
	f.asked = append(f.asked, ask)
	if f.hang {
		<-ctx.Done()
		return fetch.Supply{}, ctx.Err()
	}
	if f.onGet != nil {
		f.onGet()
	}
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

// While a mark is fetched, its caller holds neither the original nor a fetch slot: it may wait for those of others.
// The mark is given back before the original is fetched. A caller that needs no fetch of a mark keeps its slot.
func TestMarksAreFetchedBeforeTheOriginal(t *testing.T) {
	r := newRig()
	released := 0
	ask := fetch.Ask{Key: "v1/ab/hash/full.png", Urgency: gate.At(gate.Viewing)}
	ask.Specs = []variant.Spec{spec("https://a/1.png"), spec(""), spec("https://a/2.png")}
	r.marks.onGet = func() {
		if len(r.originals.asked) != 0 || released != 1 {
			t.Errorf("at the fetch of a mark: %d originals, %d slots released", len(r.originals.asked), released)
		}
	}
	r.originals.onGet = func() {
		if r.marks.back != 2 {
			t.Errorf("at the fetch of the original: %d marks are given back", r.marks.back)
		}
	}
	for n := range 2 {
		ask.Slot = func() { released++ }
		if _, err := r.Get(t.Context(), ask); err != nil {
			t.Fatal(err)
		}
		if kept := r.originals.asked[n].Slot != nil; released != 1 || kept != (n == 1) {
			t.Errorf("fill %d: %d slots released; the original got one: %v", n, released, kept)
		}
	}
}

// The memory of kept marks is bounded, and replacing one counts once. Nothing of their downloads is kept.
func TestKeptMarksAreBounded(t *testing.T) {
	for _, bytes := range []int{1, maxBytes - 2000} {
		r := newRig()
		r.marks.supply.Body = make([]byte, bytes)
		most := 0
		for i := range 40 {
			r.clock = r.clock.Add(keep / 2)
			r.get(t, "", "https://cdn.example/"+strings.Repeat("a", i%9*100))
			most = max(most, len(r.kept))
			sum := 0
			for source, m := range r.kept {
				sum += len(m.body) + len(source) + 1024
			}
			if sum != r.bytes || sum > maxKept {
				t.Fatalf("%d bytes are kept, %d counted", sum, r.bytes)
			}
		}
		if most < 3 {
			t.Errorf("%d marks of %d bytes are kept", most, bytes)
		}
	}
	for _, f := range reflect.VisibleFields(reflect.TypeFor[kept]()) {
		if k := f.Type.Kind(); k == reflect.Func || k == reflect.Pointer {
			t.Errorf("%s may hold the download or the original", f.Name)
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
	if via := got.For(spec(logo)).From.Via; via != "far.example redirect.example cdn.example" {
		t.Errorf("the variant came through %q", via)
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
		got := r.get(t, "", "https://a/m.png").For(spec("https://a/m.png")).From
		if got.Via = ""; got != tt.want {
			t.Errorf("%s: %+v", name, got)
		}
	}
	r := newRig()
	r.marks.supply.NoStore = true
	for range 2 {
		if !r.get(t, "", "https://a/m.png").For(spec("https://a/m.png")).NoStore {
			t.Error("the variant may be stored")
		}
	}
	if len(r.marks.asked) != 2 || len(r.kept) != 0 {
		t.Error("the mark was kept")
	}
}

// The terms of a mark are those of its own variants: not of the plain ones, of the master, or of another mark's.
func TestTermsOfMarksAreTheirOwn(t *testing.T) {
	r := newRig()
	r.originals.supply.From = life(9)
	r.marks.supply.Terms = fetch.Terms{From: life(5), NoStore: true}
	r.marks.onGet = func() {
		if len(r.marks.asked) == 2 {
			r.marks.supply.Terms = fetch.Terms{}
		}
	}
	got := r.get(t, "", "https://a/private.png", "", "https://b/public.png")
	private, public := got.For(spec("https://a/private.png")), got.For(spec("https://b/public.png"))
	if private.From.Via != "a" || private.From.Life != 5*time.Second || !private.NoStore {
		t.Errorf("with the private mark: %+v", private)
	}
	if public.From.Via != "b" || public.From.Life != 9*time.Second || public.NoStore {
		t.Errorf("with the public mark: %+v", public)
	}
	if want := (fetch.Terms{From: life(9)}); got.Terms != want || got.For(spec("")) != want {
		t.Errorf("the original: %+v, and a plain variant: %+v", got.Terms, got.For(spec("")))
	}
}

// A mark is not kept longer than its origin allows, and its variants get what is left of that.
func TestMarksAreKeptAsLongAsTheirOriginAllows(t *testing.T) {
	const logo = "https://a/m.png"
	for _, allowed := range []time.Duration{0, time.Minute, time.Hour} {
		r := newRig()
		r.marks.supply.From = variant.Provenance{Life: allowed, HasLife: true}
		lasts := min(allowed, keep)
		for _, step := range []struct {
			age     time.Duration
			fetched int
		}{{0, 1}, {lasts / 2, 1}, {lasts, 2}} {
			r.clock = time.Unix(1e9, 0).Add(step.age)
			left := allowed - step.age
			if lasts == 0 {
				step.fetched = len(r.marks.asked) + 1
			}
			if step.fetched == 2 {
				left = allowed
			}
			got := r.get(t, "", logo).For(spec(logo)).From.Life
			if got != left || len(r.marks.asked) != step.fetched {
				t.Errorf("%v allowed, %v old: %d fetches, %v left", allowed, step.age, len(r.marks.asked), got)
			}
		}
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
}

// Variants without a mark do not wait long for a mark's host that hangs. Those with the mark may be tried again, and
// alone they wait for as long as their caller does.
func TestPlainVariantsDoNotWaitForMarks(t *testing.T) {
	const mark = "https://slow.example/logo.png"
	for name, c := range map[string]struct {
		sources []string
		took    time.Duration
	}{
		"beside a plain variant": {[]string{mark, ""}, patience},
		"alone":                  {[]string{mark, mark}, time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig()
				r.marks.hang = true
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				ask := fetch.Ask{Key: "v1/ab/hash/full.png", Generation: r.purges.Now(), Urgency: gate.At(gate.Warming)}
				for _, source := range c.sources {
					ask.Specs = append(ask.Specs, spec(source))
				}
				start := time.Now()
				got, err := r.Get(ctx, ask)
				if took := time.Since(start); err != nil || took != c.took || len(r.marks.asked) != 1 {
					t.Fatalf("%v after %v, %d fetches of the mark", err, took, len(r.marks.asked))
				}
				for i, source := range c.sources {
					if err := got.Lacks(ask.Specs[i]); (err != nil) != (source != "") {
						t.Errorf("%q: %v", source, err)
					} else if kind := fault.KindOf(err); ctx.Err() == nil && err != nil && kind != fault.SourceError {
						t.Errorf("%q: %s", source, kind)
					}
				}
			})
		})
	}
}
