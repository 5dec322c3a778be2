package webhook

import (
	"fmt"
	"strings"
	"testing"

	"github.com/goldcrest/goldcrest/fault"
	"github.com/goldcrest/goldcrest/prewarm/ledger"
)

// A broken source lists the units in which it counts as broken: each once, at most maxUnits, and the number of the
// rest.
func TestBrokenTellsItsUnits(t *testing.T) {
	w := &ledger.Image{Source: "https://c.example/a", Verdicts: []*ledger.Outcome{{State: ledger.Made}, {State: ledger.Broken, Reason: fault.NotAnImage}}}
	w.Spots = []ledger.Spot{{ID: "a"}, {ID: "guessed", Auto: true}, {ID: "a", Pointer: "/b"}}
	for i := range maxUnits {
		w.Spots = append(w.Spots, ledger.Spot{ID: fmt.Sprint("u", i)})
	}
	b, ok := brokenImage(w, 0)
	if !ok || b.Reason != fault.NotAnImage || len(b.Units) != maxUnits || b.Units[0] != "a" || b.Units[1] != "u0" || b.Omitted != 1 {
		t.Errorf("%+v, %t", b, ok)
	}
	one := BrokenImage{Units: []string{"a"}}
	one.merge(BrokenImage{Units: []string{"a", "b"}, Omitted: 2})
	if strings.Join(one.Units, " ") != "a b" || one.Omitted != 2 {
		t.Errorf("merged: %+v", one)
	}
}
