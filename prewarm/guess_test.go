package prewarm

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/goldcrest/goldcrest/fault"
	"github.com/goldcrest/goldcrest/pipeline"
	"github.com/goldcrest/goldcrest/prewarm/unit"
	"github.com/goldcrest/goldcrest/variant"
)

// A login page in the place of an image is broken where the name or the key says image, and skipped where that was only
// one of many guesses.
func TestHTMLInThePlaceOfAnImage(t *testing.T) {
	const page = "https://c.example/1"
	for _, tt := range []struct {
		unit string
		want State
	}{
		{`{"x":"https://c.example/1.jpg"}`, Broken},
		{`{"link":{"a_url":"` + page + `"}}`, Skipped},
		{`{"PRODUCTIMG":"` + page + `"}`, Skipped},
		{`{"topic_url":"` + page + `"}`, Skipped},
		{`{"image":{"link":"` + page + `"}}`, Skipped},
		{`{"images":[{"meta":{"url":"` + page + `"}}]}`, Skipped},
		{`{"photo":"` + page + `"}`, Broken},
		{`{"photoUrl":"` + page + `"}`, Broken},
		{`{"images":["` + page + `"]}`, Broken},
		{`{"images":[{"url":"` + page + `"}]}`, Broken},
		{`{"raw":"{\"image\":\"` + page + `\"}"}`, Broken},
		{`{"link_url":"` + page + `","image":"` + page + `"}`, Broken},
	} {
		call, err := unit.ParseCall(strings.NewReader(tt.unit), "", "", nil, unit.Rules{})
		if err != nil || len(call.Units[0].Images) != 1 {
			t.Fatalf("%s: %+v %v", tt.unit, call.Units, err)
		}
		img := call.Units[0].Images[0]
		at := spot{Auto: img.Auto, Sure: img.Sure}
		if got := (&outcome{State: Broken, Reason: fault.NotAnImage}).state(at); got != tt.want {
			t.Errorf("%s: %s, want %s", tt.unit, got, tt.want)
		}
		if got := (&outcome{State: Broken, Reason: fault.UnsupportedFormat}).state(at); got != Skipped {
			t.Errorf("%s: a format that is not read is %s, want skipped", tt.unit, got)
		}
	}
}

// What the configuration forbade is looked at again at once: it may allow it by now. Then it leaves the feed.
func TestVerdictsOfTheConfigurationAreNotRemembered(t *testing.T) {
	for _, kind := range []fault.Kind{fault.SourceNotAllowed, fault.AddressBlocked} {
		synctest.Test(t, func(t *testing.T) {
			d := newDoor(t, nil)
			d.warm = func(ref variant.Ref, try int) pipeline.Warmed {
				if try > 1 {
					return stored(ref, 100)
				}
				return refused(ref, kind)
			}
			defer d.run(t)()
			if j := d.ended(t, oneCall(broken)); j.Counts.Broken != 1 {
				t.Fatalf("got %+v", j.Counts)
			}
			if j := d.ended(t, oneCall(broken)); j.Counts.Made != 1 {
				t.Errorf("%s: after a change of the configuration: %+v", kind, j.Counts)
			}
			synctest.Wait()
			if feed, err := d.Broken(t.Context(), everyone, time.Time{}, 10); err != nil || len(feed) != 0 {
				t.Errorf("%s: the feed still has %+v, %v", kind, feed, err)
			}
		})
	}
}

// A variant that is neither a preset nor options is told so, with what was perhaps meant.
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
	synctest.Test(t, func(t *testing.T) {
		d := newDoor(t, nil)
		defer d.run(t)()
		c := oneCall(broken)
		c.Variants = []unit.VariantAsk{{Name: "w=300"}}
		if _, err := d.Accept(t.Context(), "b", "", [32]byte{}, c); fault.KindOf(err) != fault.BadOption || fault.Of(err).Public != noPreset("w=300", nil) {
			t.Errorf("got %v", err)
		}
	})
}
