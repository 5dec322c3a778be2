// Package e2e tests the built binary as a black box: with a scripted origin that counts requests, a real S3 server and
// real signals. It only uses the program's public interface. Every test checks counters as well as responses.
package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// binary is the program under test: GOLDCREST_BINARY, or one built once for the whole run.
var binary string

// previous is another version of the program, which GOLDCREST_PREVIOUS names; "" = none.
var previous string

func TestMain(m *testing.M) {
	os.Exit(run(m))
}

// run builds the binary into a temporary folder and runs the tests.
func run(m *testing.M) int {
	given := os.Getenv("GOLDCREST_BINARY")
	previous = os.Getenv("GOLDCREST_PREVIOUS")
	os.Unsetenv("GOLDCREST_BINARY") // The program under test refuses unknown variables.
	os.Unsetenv("GOLDCREST_PREVIOUS")
	if given != "" {
		binary, _ = filepath.Abs(given)
		return m.Run()
	}
	dir, err := os.MkdirTemp("", "goldcrest-e2e-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	binary = filepath.Join(dir, "goldcrest")
	args := []string{"build", "-o", binary, "."}
	if os.Getenv("GOLDCREST_E2E_RACE") != "" {
		args = []string{"build", "-race", "-o", binary, "."}
	}
	build := exec.Command("go", args...)
	build.Dir = ".."
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "build: %v\n%s", err, out)
		return 1
	}
	return m.Run()
}
