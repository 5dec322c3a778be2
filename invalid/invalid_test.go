package invalid

import (
	"errors"
	"testing"
)

func TestValues(t *testing.T) {
	var v Values
	v.If(false, "size: %d is not positive", 1)
	v.Add("name", nil)
	if err := v.Err(nil); err != nil {
		t.Errorf("got %v for valid values", err)
	}
	cause, other := errors.New("it is empty"), errors.New("rate: -2 is negative")
	v.If(true, "size: %d is not positive", -1)
	v.Add("name", cause)
	err := v.Err(nil, other)
	want := "size: -1 is not positive\nname: it is empty\nrate: -2 is negative"
	if err == nil || err.Error() != want || !errors.Is(err, cause) || !errors.Is(err, other) {
		t.Errorf("got %v, want %q with its causes", err, want)
	}
}
