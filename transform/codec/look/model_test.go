package look

import (
	"testing"
)

func TestModelIsChecked(t *testing.T) {
	for name, file := range map[string]string{
		"no JSON": "{", "nothing": "{}", "short lists": `{"mean":[1],"spread":[1],"kinds":[{"kind":"photo","weights":[1]}],"sets":{}}`,
		"an empty set": `{"sets":{"3.12":{"predictors":[]}}}`,
	} {
		if _, err := readModel([]byte(file)); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestReadLevels(t *testing.T) {
	if _, err := readLevels(levelsFile); err != nil {
		t.Error(err)
	}
	for _, file := range []string{"", "{}", `{"base":1,"weights":[1,2]}`} {
		if _, err := readLevels([]byte(file)); err == nil {
			t.Errorf("%q was taken", file)
		}
	}
}

// TestKindWhereTheModelIsUnsure has traits as measured of two pictures 800 pixels wide. The model gives a screen with
// windows on a wallpaper a hundredth for print, and dark foliage nearly a half.
func TestKindWhereTheModelIsUnsure(t *testing.T) {
	m, _, err := Models()
	if err != nil {
		t.Fatal(err)
	}
	screen := Traits{
		Flat: 0.440, Busy: 2.901, Busy4: 6.578, Dark: 0.0227, Mean: 146.5, Chroma: 1.097,
		Equal: 0.551, Steep: 0.0246, Strokes: 0.428,
		Print: 0.0708, Plain: 0.460, Colourful: 45.86, Rate: 0.0477, Luma: 3.428, Luma4: 9.854,
		Loss: 0.0994, Loss4: 0.243, Half: 0.0782,
		Half4: 0.152, Blue: 3.623, Red: 3.059, Blue4: 7.438, Red4: 7.480, Soft: 0.0886, Ring: 0.0182,
	}
	foliage := Traits{
		Flat: 0.0132, Busy: 8.773, Busy4: 9.459, Dark: 0.621, Mean: 43.02, Chroma: 3.805,
		Equal: 0.0884, Steep: 0.215, Strokes: 0.451,
		Print: 0.164, Plain: 0.0078, Colourful: 16.41, Rate: 0.114, Luma: 11.76, Luma4: 14.14,
		Loss: 0.161, Loss4: 0.287, Half: 0.0399,
		Half4: 0.0979, Blue: 6.899, Red: 2.600, Blue4: 8.355, Red4: 4.047, Soft: 0.106, Ring: 0.0048,
	}
	bare, paper := screen, foliage
	bare.Print = 0.02 // an empty desktop
	paper.Plain = 0.2 // print lies on something
	for _, tt := range []struct {
		name   string
		traits Traits
		want   Kind
	}{{"screen", screen, Mixed}, {"bare", bare, Photo}, {"foliage", foliage, Photo}, {"paper", paper, Mixed}} {
		if got := m.Kind(tt.traits); got != tt.want {
			t.Errorf("%s: %s by %v, want %s", tt.name, got, m.Shares(tt.traits), tt.want)
		}
	}
}
