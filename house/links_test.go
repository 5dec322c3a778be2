package house

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// markdown lists the documents of the repository.
func markdown(t *testing.T) (files []string) {
	t.Helper()
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && path != "." && (strings.HasPrefix(d.Name(), ".") || d.Name() == "data" || d.Name() == "build" || d.Name() == "node_modules") {
			return fs.SkipDir
		}
		if filepath.Ext(path) == ".md" {
			files = append(files, path)
		}
		return nil
	})
	if err != nil || len(files) < 20 {
		t.Fatalf("%d documents, %v", len(files), err)
	}
	return files
}

// fenced is code: no links, no headings.
var fenced = regexp.MustCompile("(?ms)^```.*?^```$")

// anchors are the names that GitHub gives a document's headings.
func anchors(text string) map[string]bool {
	found := map[string]bool{}
	for _, h := range regexp.MustCompile(`(?m)^#+ (.+)$`).FindAllStringSubmatch(text, -1) {
		name := strings.ToLower(h[1])
		name = regexp.MustCompile(`[^a-z0-9 _-]`).ReplaceAllString(name, "")
		found[strings.ReplaceAll(name, " ", "-")] = true
	}
	return found
}

// Every relative link leads to a file that exists, and to a heading in it where it names one. Every document can be
// reached from README.
func TestLinks(t *testing.T) {
	link := regexp.MustCompile(`\]\(([^)\s]+)\)`)
	texts, reached := map[string]string{}, map[string][]string{}
	for _, file := range markdown(t) {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		texts[file] = fenced.ReplaceAllString(string(text), "")
	}
	for file, text := range texts {
		for _, m := range link.FindAllStringSubmatch(text, -1) {
			target, anchor, _ := strings.Cut(m[1], "#")
			if strings.Contains(target, "://") || strings.HasPrefix(target, "mailto:") {
				continue
			}
			to := file
			if target != "" {
				to = filepath.Join(filepath.Dir(file), target)
			}
			if _, err := os.Stat(to); err != nil {
				t.Errorf("%s: the link %s leads nowhere", file, m[1])
			}
			if anchor != "" && !anchors(texts[to])[anchor] {
				t.Errorf("%s: the link %s names no heading", file, m[1])
			}
			if info, err := os.Stat(to); err == nil && info.IsDir() {
				to = filepath.Join(to, "README.md")
			}
			reached[file] = append(reached[file], to)
		}
	}
	seen, next := map[string]bool{"README.md": true}, []string{"README.md"}
	for len(next) > 0 {
		for _, to := range reached[next[0]] {
			if !seen[to] {
				seen[to], next = true, append(next, to)
			}
		}
		next = next[1:]
	}
	for file := range texts {
		if !seen[file] {
			t.Errorf("no way leads from README.md to %s", file)
		}
	}
}

// Each alert has its heading in the runbook, and each heading its alert.
func TestRunbookHasEveryAlert(t *testing.T) {
	alerts, err := os.ReadFile("deploy/prometheus/alerts.yaml")
	if err != nil {
		t.Fatal(err)
	}
	book, err := os.ReadFile("docs/operate.md")
	if err != nil {
		t.Fatal(err)
	}
	names := func(pattern, text string) (out []string) {
		for _, m := range regexp.MustCompile(pattern).FindAllStringSubmatch(text, -1) {
			out = append(out, m[1])
		}
		return out
	}
	want, got := names(`(?m)^\s*- alert: (\w+)$`, string(alerts)), names(`(?m)^### (Goldcrest\w+)$`, string(book))
	if len(want) < 15 || strings.Join(got, " ") != strings.Join(want, " ") {
		t.Errorf("the runbook has\n%v\nthe alerts are, in their order,\n%v", got, want)
	}
}
