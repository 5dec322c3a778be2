package prewarm

import "testing"

// Saved is that of each variant against its original: with what is stored it comes to the originals in the variants'
// place, also where a variant is larger than its original, and wherever else the image stands.
func TestSavedIsPerVariant(t *testing.T) {
	tk := task{Works: []*work{
		{From: 1000, Spots: []spot{{}, {Unit: 1}}, Verdicts: []*outcome{{State: Made, Bytes: 300}, {State: Present, Bytes: 1200}, {State: Broken}}},
		{From: 50, Spots: []spot{{}}, Verdicts: []*outcome{{State: Made, Bytes: 20}, {State: Pending}}},
		{Spots: []spot{{}}, Verdicts: []*outcome{{State: Failed}}},
	}}
	if got, want := tk.tally().Bytes, (Bytes{Source: 1050, Stored: 1520, Saved: 530}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if sum := tk.tally(); sum.Stored+sum.Saved != 1000+1000+50 {
		t.Errorf("%d bytes in the place of the variants", sum.Stored+sum.Saved)
	}
	back, err := readTally(tk.tally().mark())
	if err != nil || back.Saved != 530 {
		t.Errorf("its mark says %d, %v", back.Saved, err)
	}
}
