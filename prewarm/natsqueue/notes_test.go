package natsqueue

import (
	"testing"

	"github.com/goldcrest/goldcrest/fault"
	"github.com/goldcrest/goldcrest/prewarm/unit"
)

// If no URLs are requested, the response still lists units with an error and units without images, and only those.
func TestReturnNoneTellsErrorsAndNotes(t *testing.T) {
	i := start(t, open(t, t.TempDir(), nil), newWorld(), true, nil)
	c := call(0, 4)
	c.Return = "none"
	c.Units[1].Err, c.Units[1].Images = &unit.Error{Code: fault.BadUnit, Detail: "it is cut off"}, nil
	c.Units[2].Images = nil
	c.Units[3].Variants = []unit.VariantAsk{{Name: "nobody"}}
	a := accept(t, i, c)
	if len(units(a)) != 3 || units(a)[0].Index != 1 || units(a)[0].Err == nil || units(a)[1].Index != 2 || units(a)[1].Note == nil || units(a)[2].Err == nil {
		t.Errorf("got %+v", units(a))
	}
	if j := ended(t, i, a.Job.ID); j.Counts.Images != 1 {
		t.Errorf("got %+v", j)
	}
}
