package cli

import (
	"os"
	"testing"
)

// asProgram makes this binary the program, for tests that need its exit codes.
const asProgram = "TEST_AS_PROGRAM"

// TestMain makes this binary its own worker, as the real one is.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "worker" || os.Getenv(asProgram) != "" {
		os.Unsetenv(asProgram)
		Main("dev")
	}
	os.Exit(m.Run())
}
