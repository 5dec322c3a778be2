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
