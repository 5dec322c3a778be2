package house

import (
	"os"
	"testing"
)

// TestMain runs the tests in the module's root: they name files from there.
func TestMain(m *testing.M) {
	if err := os.Chdir(".."); err != nil {
		panic(err)
	}
	os.Exit(m.Run())
}
