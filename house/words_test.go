package house

import (
	"go/ast"
	"go/token"
	"io/fs"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// mannered are words that have a plain equivalent: who, the caller that; so that not; by this; again; that can be had.
var mannered = regexp.MustCompile(`(?i)\b(whoever|whomever|whom|lest|thereby|thereof|whence|betimes|nought|` +
	`own accord|be had|that which|anew)\b`)

// manneredTexts are turns of phrase in texts that users and operators read, such as errors and log lines. "X is no Y" is
// "X is not a Y", but "there is no Y" is plain; the others have a technical term.
var manneredTexts = regexp.MustCompile(`(?i)([^e] is no [a-z]|\b(holds? (a|no)|looked after|written down|foretold|came about|` +
	`sign of life|left in peace|given a pause|begins? again|does not go with|mend (it|them)|rightly)\b)`)

// manneredLines are the lines with such words that may still exist below a folder. The numbers only go down.
var manneredLines = map[string]int{"pipeline": 5, "prewarm": 4}

// Comments, documents and texts are in plain technical English, as CONTRIBUTING.md says. This finds only the words
// that give the other manner away.
func TestBarsOfWords(t *testing.T) {
	lines := map[string]int{}
	err := filepath.WalkDir(".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && name != "." && (strings.HasPrefix(d.Name(), ".") || skippedDir(d.Name())):
			return fs.SkipDir
		case d.IsDir() || !hasWords(name):
			return nil
		}
		top, _, _ := strings.Cut(name, "/")
		n := 0
		for line := range strings.Lines(document(t, name)) {
			n++
			word := mannered.FindString(line)
			if word == "" {
				continue
			}
			if lines[top]++; manneredLines[top] == 0 {
				t.Errorf("%s:%d: %q: write plain technical English (CONTRIBUTING.md)", name, n, word)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for top, most := range manneredLines {
		if got := lines[top]; got > most {
			t.Errorf("%d lines below %s have words such as whoever, lest, anew; %d are known", got, top, most)
		}
	}
}

// hasWords reports whether a file is text of ours. Decisions and the changelog are records of their time,
// CONTRIBUTING.md quotes the words, and docs/config.md is generated.
func hasWords(name string) bool {
	for _, other := range []string{"docs/adr/", "CHANGELOG.md", "CONTRIBUTING.md", "docs/config.md", "house/words_test.go"} {
		if strings.HasPrefix(name, other) {
			return false
		}
	}
	switch filepath.Ext(name) {
	case ".go", ".h", ".c", ".md", ".js", ".ts", ".py", ".html", ".css", ".yaml", ".yml", ".sh", ".conf":
		return !strings.Contains(name, "uplot/")
	}
	return filepath.Base(name) == "Makefile" || filepath.Base(name) == "Dockerfile"
}

// Texts in the program are in plain technical English too.
func TestBarsOfTexts(t *testing.T) {
	for _, s := range readTree(t, ".").files {
		if s.parsed == nil || strings.HasPrefix(s.dir, "bench") {
			continue
		}
		ast.Inspect(s.parsed, func(n ast.Node) bool {
			lit, ok := n.(*ast.BasicLit)
			if !ok || lit.Kind != token.STRING {
				return true
			}
			if word := manneredTexts.FindString(lit.Value); word != "" {
				t.Errorf("%s/%s: %q in %.80s: write plain technical English (CONTRIBUTING.md)", s.dir, s.name, word, lit.Value)
			}
			return true
		})
	}
}

func TestManneredWordsAreFound(t *testing.T) {
	for _, x := range []struct {
		text, want string
	}{
		{"Whoever comes first", "Whoever"}, {"it is made anew", "anew"}, {"which cannot be had", "be had"},
		{"a renewed lease", ""}, {"the lesson", ""}, {"among those that whisper", ""},
	} {
		if got := mannered.FindString(x.text); got != x.want {
			t.Errorf("%q: got %q, want %q", x.text, got, x.want)
		}
	}
	for text, want := range map[string]string{
		"%q is no port": "q is no p", "there is no port": "", "it holds no unit": "holds no", "it holds the lock": "", "an amendment": "",
	} {
		if got := manneredTexts.FindString(text); got != want {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
	}
}
