package natsqueue

import (
	"testing"

	"github.com/goldcrest/goldcrest/fault"
	"github.com/goldcrest/goldcrest/prewarm"
)

// Where no URLs are wanted, the answer still names every unit that is not worked, or in which nothing was found; those alone.
func TestReturnNoneTellsErrorsAndNotes(t *testing.T) {
	i := start(t, open(t, t.TempDir(), nil), newWorld(), true, nil)
	c := call(0, 4)
	c.Return = "none"
	c.Units[1].Err, c.Units[1].Images = &prewarm.UnitError{Code: fault.BadUnit, Detail: "it is cut off"}, nil
	c.Units[2].Images = nil
	c.Units[3].Variants = []prewarm.VariantAsk{{Name: "nobody"}}
	a := accept(t, i, c)
	if len(a.Units) != 3 || a.Units[0].Index != 1 || a.Units[0].Err == nil || a.Units[1].Index != 2 || a.Units[1].Note == nil || a.Units[2].Err == nil {
		t.Errorf("got %+v", a.Units)
	}
	if j := ended(t, i, a.Job.ID); j.Counts.Images != 1 {
		t.Errorf("got %+v", j)
	}
}
