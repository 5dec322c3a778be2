package house

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// A module whose tests fail as its environment says: ONCE those that pass when they are run again, ALWAYS those that do not.
const flakyModule = `package flaky

import (
	"os"
	"testing"
)

func first(name string) bool {
	_, err := os.Stat(name)
	_ = os.WriteFile(name, nil, 0o600)
	return err != nil
}

func TestMain(m *testing.M) {
	code := m.Run()
	if os.Getenv("MAIN") != "" && first("main") {
		code = 1
	}
	os.Exit(code)
}

func TestOnce(t *testing.T) {
	if os.Getenv("ONCE") != "" && first("once") {
		t.Fatal("the first time")
	}
}

func TestAlways(t *testing.T) {
	if os.Getenv("ALWAYS") != "" {
		t.Fatal("every time")
	}
}

func TestPanic(t *testing.T) {
	if os.Getenv("PANIC") != "" && first("panic") {
		panic("once")
	}
}
`

// .ci/retry runs what failed once more, names it, and hides neither what fails twice nor a panic.
func TestRetry(t *testing.T) {
	script, err := filepath.Abs(".ci/retry")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		environment, says string
		passes            bool
	}{
		{"", "ok", true},
		{"ONCE=1", "FLAKY: flaky ^(TestOnce)$ failed once", true},
		{"MAIN=1", "FLAKY: flaky . failed once", true},
		{"ALWAYS=1", "failed twice", false},
		{"PANIC=1", "panic: once", false},
	} {
		dir := t.TempDir()
		for name, text := range map[string]string{"go.mod": "module flaky\n\ngo 1.26\n", "flaky_test.go": flakyModule} {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		cmd := exec.CommandContext(t.Context(), script, "-count=1", "./...")
		cmd.Dir, cmd.Env = dir, append(os.Environ(), c.environment)
		out, err := cmd.CombinedOutput()
		if (err == nil) != c.passes || !strings.Contains(string(out), c.says) {
			t.Errorf("%s: %v, want passed %v and %q:\n%s", c.environment, err, c.passes, c.says, out)
		}
	}
}
