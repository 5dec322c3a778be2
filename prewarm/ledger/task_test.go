package ledger

import (
	"slices"
	"testing"
	"time"

	"github.com/goldcrest/goldcrest/fault"
)

// Saved is summed per variant. Stored + Saved is the total of the originals in place of their variants, also if a
// variant is larger than its original, and regardless of how many places the image has.
func TestSavedIsPerVariant(t *testing.T) {
	tk := Task{Images: []*Image{
		{From: 1000, Spots: []Spot{{}, {Unit: 1}}, Verdicts: []*Outcome{{State: Made, Bytes: 300}, {State: Present, Bytes: 1200}, {State: Broken}}},
		{From: 50, Spots: []Spot{{}}, Verdicts: []*Outcome{{State: Made, Bytes: 20}, {State: Pending}}},
		{Spots: []Spot{{}}, Verdicts: []*Outcome{{State: Failed}}},
	}}
	if got, want := tk.Tally().Bytes, (Bytes{Source: 1050, Stored: 1520, Saved: 530}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if sum := tk.Tally(); sum.Stored+sum.Saved != 1000+1000+50 {
		t.Errorf("%d bytes in the place of the variants", sum.Stored+sum.Saved)
	}
	back, err := ReadTally(tk.Tally().mark())
	if err != nil || back.Saved != 530 {
		t.Errorf("its mark says %d, %v", back.Saved, err)
	}
}

// The first verdict counts, whichever instance wrote it.
func TestMergeKeepsFirstVerdicts(t *testing.T) {
	of := func(states ...State) *Task {
		w := &Image{Spots: []Spot{{}}}
		for _, s := range states {
			w.Verdicts = append(w.Verdicts, &Outcome{State: s, Ours: s != Failed})
		}
		return &Task{Images: []*Image{w}}
	}
	mine, theirs := of(Made, Made, Pending, Broken, Failed), of(Cancelled, Pending, Made, Pending, Pending)
	theirs.Revision = 7
	mine.Merge(theirs)
	var got []State
	for _, o := range mine.Images[0].Verdicts {
		got = append(got, o.State)
	}
	// An outcome that had failed before this try was reopened meanwhile, and stays open.
	if want := []State{Cancelled, Made, Made, Broken, Pending}; !slices.Equal(got, want) || mine.Revision != 7 {
		t.Errorf("got %v at %d, want %v", got, mine.Revision, want)
	}
}

// A mark contains the tally of its task.
func TestMarkRoundTrip(t *testing.T) {
	w := &Image{Source: "s", Hash: "0123456789abcdef", From: 1000, Share: 99, Spots: []Spot{{Auto: true}, {}}}
	w.Verdicts = []*Outcome{{State: Made, Bytes: 100}, {State: Broken, Reason: fault.NotAnImage}, {State: Pending}}
	t1 := (&Task{Started: time.Unix(1000, 0), Images: []*Image{w}}).Tally()
	t2, err := ReadTally(t1.mark())
	if err != nil || t2.Counts != t1.Counts || t2.Bytes != t1.Bytes || t2.started != 1000 || !slices.Equal(t2.hashes, []string{"0123456789ab"}) {
		t.Errorf("got %+v %v, want %+v", t2, err, t1)
	}
	if want := (Counts{Variants: 6, Made: 2, Broken: 1, Skipped: 1, Pending: 2, Over: 2}); t1.Counts != want {
		t.Errorf("got %+v, want %+v", t1.Counts, want)
	}
	for _, bad := range []string{"", "x", "1 2 3", "0 a 0 0 0 0 0 0 0 0 0 0 0", "0 1 0 0 0 0 1 0 0 0 0 0 0 over=x"} {
		if _, err := ReadTally(bad); err == nil {
			t.Errorf("%q was read as a mark", bad)
		}
	}
}
