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

// A login page in place of an image is broken if the name or the key says that it is an image, and skipped if that was
// only one of many guesses.
func TestHTMLInThePlaceOfAnImage(t *testing.T) {
	const page = "https://c.example/1"
	for _, tt := range []struct {
		unit string
		want ledger.State
	}{
		{`{"x":"https://c.example/1.jpg"}`, ledger.Broken},
		{`{"link":{"a_url":"` + page + `"}}`, ledger.Skipped},
		{`{"PRODUCTIMG":"` + page + `"}`, ledger.Skipped},
		{`{"topic_url":"` + page + `"}`, ledger.Skipped},
		{`{"image":{"link":"` + page + `"}}`, ledger.Skipped},
		{`{"images":[{"meta":{"url":"` + page + `"}}]}`, ledger.Skipped},
		{`{"photo":"` + page + `"}`, ledger.Broken},
		{`{"photoUrl":"` + page + `"}`, ledger.Broken},
		{`{"images":["` + page + `"]}`, ledger.Broken},
		{`{"images":[{"url":"` + page + `"}]}`, ledger.Broken},
		{`{"raw":"{\"image\":\"` + page + `\"}"}`, ledger.Broken},
		{`{"link_url":"` + page + `","image":"` + page + `"}`, ledger.Broken},
	} {
		call, err := unit.ParseText(t.Context(), []byte(tt.unit), "", nil, unit.Rules{})
		if err != nil || len(call.Units[0].Images) != 1 {
			t.Fatalf("%s: %+v %v", tt.unit, call.Units, err)
		}
		img := call.Units[0].Images[0]
		at := ledger.Spot{Auto: img.Auto, Sure: img.Sure}
		if got := (&ledger.Outcome{State: ledger.Broken, Reason: fault.NotAnImage}).In(at); got != tt.want {
			t.Errorf("%s: %s, want %s", tt.unit, got, tt.want)
		}
		if got := (&ledger.Outcome{State: ledger.Broken, Reason: fault.UnsupportedFormat}).In(at); got != ledger.Skipped {
			t.Errorf("%s: a format that is not read is %s, want skipped", tt.unit, got)
		}
	}
}

// Verdicts that depend on the configuration are tried again at once, because it may have changed. Then the source
// leaves the feed.
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
