package choose

import (
	"testing"

	"github.com/goldcrest/goldcrest/transform/codec/codectest"
	"github.com/goldcrest/goldcrest/transform/codec/render"
	"github.com/goldcrest/goldcrest/transform/codec/vips"
	"github.com/goldcrest/goldcrest/variant"
)

// TestInLevelsMeasuresFewTimes has each number of levels as the fewest that keep the target. Pictures that none suits,
// which are most, cost one trial.
func TestInLevelsMeasuresFewTimes(t *testing.T) {
	if err := vips.Boot(); err != nil {
		t.Fatal(err)
	}
	a, err := New(vips.AOMVersion())
	if err != nil {
		t.Fatal(err)
	}
	pic, err := render.Alone(codectest.PNG(t, codectest.Scan(400, 300)), variant.Spec{Width: 300}, codectest.Limits)
	if err != nil {
		t.Fatal(err)
	}
	defer pic.Free()
	for fewest, most := range map[int]int{2: 4, 3: 4, 4: 3, 5: 4, 6: 4, 8: 4, 9: 1} {
		measured := 0
		few, n, err := a.InLevels(pic.Im, 70, false, func(few *vips.Image) (bool, error) {
			measured++
			samples, err := few.View()
			seen := map[byte]bool{}
			for _, v := range samples {
				seen[v] = true
			}
			return len(seen) >= fewest, err
		})
		if err != nil {
			t.Fatal(err)
		}
		if want := fewest % 9; n != want || measured > most {
			t.Errorf("%d levels, measured %d times; want %d levels, at most %d times", n, measured, want, most)
		}
		few.Free()
	}
}
