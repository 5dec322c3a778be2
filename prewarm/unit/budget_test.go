package unit

import (
	"fmt"
	"strings"
	"testing"

	"github.com/goldcrest/goldcrest/fault"
)

func TestBudgetIsSharedEvenlyWithAMinimum(t *testing.T) {
	for _, tt := range []struct {
		call, unit int64
		images     int
		bad        int
		want       int
	}{
		{0, 0, 3, 0, 0},
		{200_000, 0, 4, 0, 50_000},
		{200_000, 0, 3, 0, 66_666},
		{200_000, 0, 3, 1, 66_666}, // a value that is not a URL gets no share
		{200_000, 90_000, 3, 0, 30_000},
		{0, 90_000, 1, 0, 90_000},
		{10_000, 0, 100, 0, leastShare},
		{1, 0, 1, 0, leastShare},
		{200_000, 0, 0, 2, 0},
	} {
		u := Unit{Budget: tt.unit}
		for i := range tt.images + tt.bad {
			img := Image{Source: fmt.Sprintf("https://c.example/%d.jpg", i)}
			if i >= tt.images {
				img.Bad = fault.BadSource
			}
			u.Images = append(u.Images, img)
		}
		if got := (Call{Budget: tt.call}).Share(u); got != tt.want {
			t.Errorf("%+v: got %d", tt, got)
		}
	}
}

func TestBudgetOfAUnitIsItsOwn(t *testing.T) {
	c, err := parseCall(strings.NewReader(`{"budget":9000,"data_units":[{"data":{},"budget":5000},{"data":{},"budget":"x"},{"data":{},"budget":7,"more":1}]}`), "", "", nil, Rules{})
	if err != nil {
		t.Fatal(err)
	}
	if u := c.Units; c.Budget != 9000 || u[0].Budget != 5000 || u[1].Err == nil || u[1].Err.Pointer != "/budget" || u[2].Budget != 0 || u[2].Err != nil {
		t.Errorf("got %+v", c)
	}
}
