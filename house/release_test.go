package house

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// The changelog has the form of Keep a Changelog: Unreleased first, then dated versions, and below them known sections.
// Entries of Unreleased are sorted into sections at the release at the latest.
func TestChangelogHasItsForm(t *testing.T) {
	version := regexp.MustCompile(`^## \[\d+\.\d+\.\d+(-[0-9A-Za-z.-]+)?\] - \d{4}-\d\d-\d\d$`)
	sections := []string{"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}
	seen, section := []string(nil), false
	for line := range strings.Lines(document(t, "CHANGELOG.md")) {
		line = strings.TrimRight(line, "\n")
		switch {
		case strings.HasPrefix(line, "## "):
			if len(seen) == 0 && line != "## [Unreleased]" || len(seen) > 0 && !version.MatchString(line) ||
				slices.Contains(seen, line) {
				t.Errorf("the heading %q", line)
			}
			seen, section = append(seen, line), false
		case strings.HasPrefix(line, "### "):
			if section = slices.Contains(sections, line[4:]); !section {
				t.Errorf("the heading %q is none of %q", line, sections)
			}
		case strings.HasPrefix(line, "- ") && !section && len(seen) != 1:
			t.Errorf("an entry stands in no section: %.60s", line)
		}
	}
	if len(seen) == 0 {
		t.Error("CHANGELOG.md has no headings")
	}
}

// releaseRepo is a repository with the scripts of a release and a changelog.
func releaseRepo(t *testing.T) (dir string, run func(name string, args ...string) (string, error)) {
	t.Helper()
	dir = t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, ".ci"), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{".ci/notes", ".ci/release"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(document(t, name)), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	changes := `# Changelog

## [Unreleased]

### Added

- d

## [1.2.3] - 2027-01-31

### Added

- c
- b

## [1.2.2] - 2027-01-01

### Fixed

- a

## [1.2.1] - soon

- x

## [1.2.0] - 2026-12-01

[1.2.3]: https://x
`
	if err := os.WriteFile(filepath.Join(dir, "CHANGELOG.md"), []byte(changes), 0o600); err != nil {
		t.Fatal(err)
	}
	run = func(name string, args ...string) (string, error) {
		cmd := exec.Command(name, args...)
		cmd.Dir = dir
		cmd.Env = append(cmd.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_AUTHOR_NAME=x", "GIT_AUTHOR_EMAIL=x@x",
			"GIT_COMMITTER_NAME=x", "GIT_COMMITTER_EMAIL=x@x")
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	for _, args := range [][]string{{"init", "-q"}, {"add", "."}, {"commit", "-qm", "x"}} {
		if out, err := run("git", args...); err != nil {
			t.Fatalf("git %q: %v\n%s", args, err, out)
		}
	}
	return dir, run
}

// A target that builds the program installs what that takes: a bare machine has no Go.
func TestTargetsThatBuildInstallFirst(t *testing.T) {
	building := 0
	for _, target := range strings.Split(document(t, "Makefile"), "\n\n") {
		name, recipe, _ := strings.Cut(target, "\n")
		if !strings.Contains(recipe, "go build") && !strings.Contains(recipe, ".ci/release") {
			continue
		}
		building++
		if !strings.Contains(recipe, "$(call SETUP,") {
			t.Errorf("%s installs nothing:\n%s", name, recipe)
		}
	}
	if building < 4 {
		t.Errorf("%d targets build the program", building)
	}
}

func TestNotesAreThoseOfTheVersion(t *testing.T) {
	_, run := releaseRepo(t)
	for version, want := range map[string]string{
		"1.2.3": "### Added\n\n- c\n- b\n", "v1.2.2": "### Fixed\n\n- a\n", "1.2.1": "", "1.2.0": "", "1.2": "",
		"Unreleased": "", "2.0.0": "",
	} {
		out, err := run("bash", ".ci/notes", version)
		if want == "" && (err == nil || !strings.HasPrefix(out, "notes: ")) || want != "" && (err != nil ||
			out != want) {
			t.Errorf("%s: %v, %q, want %q", version, err, out, want)
		}
	}
}

// What must not be released is refused before anything is built.
func TestReleaseRefuses(t *testing.T) {
	dir, run := releaseRepo(t)
	refused := func(version, want string) {
		t.Helper()
		out, err := run("env", "VERSION="+version, "bash", ".ci/release")
		if _, built := os.Stat(filepath.Join(dir, "build")); err == nil || !strings.Contains(out, want) ||
			built == nil {
			t.Errorf("VERSION=%q: %v, built %v, %q, want %q", version, err, built == nil, out, want)
		}
	}
	refused("", "usage: VERSION=1.2.3")
	refused("2.0.0", "CHANGELOG.md has no text below a heading")
	if out, err := run("git", "tag", "v1.2.2"); err != nil {
		t.Fatal(out)
	}
	refused("1.2.2", "the tag v1.2.2 exists")
	if err := os.WriteFile(filepath.Join(dir, "new"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	refused("1.2.3", "the working tree has changes")
}
