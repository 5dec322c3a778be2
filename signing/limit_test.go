package signing

import (
	"maps"
	"strings"
	"testing"
)

func TestLimitsByID(t *testing.T) {
	key := strings.Repeat("00", 32)
	ring, err := New(Config{Rate: 10, Keys: []Key{
		{Key: key}, {ID: "a", Key: key, Rate: 3}, {ID: "a", Key: key, Rate: 5, Burst: 5}, {ID: "b", Key: key}, {ID: "b", Key: key, Rate: 7, Burst: 1},
	}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]Limit{"": {10, 20}, "a": {3, 6}, "b": {7, 1}}
	if got := ring.Limits(); !maps.Equal(got, want) {
		t.Errorf("limits %v, want %v", got, want)
	}
}

func TestLimitsAreValidated(t *testing.T) {
	for l, want := range map[Limit]string{
		{}: "", {1, 0}: "", {maxRate, 10 * maxRate}: "", {-1, 0}: "rate: -1", {maxRate + 1, 0}: "rate: 1000001",
		{1, -1}: "burst: -1", {1, 10*maxRate + 1}: "burst: 10000001", {0, 5}: "burst: 5 has no meaning",
	} {
		if err := l.Validate(); (want == "") != (err == nil) || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v, want %q", l, err, want)
		}
	}
	key := Key{Key: strings.Repeat("00", 32), Rate: -2}
	if err := (Config{Keys: []Key{key}}).Validate(); err == nil || !strings.Contains(err.Error(), "pair 1") {
		t.Errorf("a pair with a wrong rate: %v", err)
	}
	if err := (Config{Rate: -2}).Validate(); err == nil || !strings.Contains(err.Error(), "signing.rate: -2") {
		t.Errorf("a wrong rate of all: %v", err)
	}
}
