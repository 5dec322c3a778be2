package unit

import "testing"

func TestCallbackWants(t *testing.T) {
	if c := (&Callback{Events: []string{"job.done"}}); !c.Wants("job.done") || c.Wants("image.broken") || !(&Callback{}).Wants("image.broken") {
		t.Error("a callback wants the events that it names, or all")
	}
	if (*Callback)(nil).Wants("job.done") {
		t.Error("without a callback no event is wanted")
	}
}
