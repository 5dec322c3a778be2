package variant

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/goldcrest/goldcrest/fault"
)

// docPresets are those that the documents name.
var docPresets = map[string]string{"lite": "w:9", "std": "w:10"}

// The table of options in docs/urls.md has every option under all its names, no other, and examples that can be read.
func TestDocsHaveEveryOption(t *testing.T) {
	text, err := os.ReadFile("../docs/urls.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(string(text), "\n## Options\n")
	table, _, _ = strings.Cut(table, "\n## ")
	quoted := regexp.MustCompile("`([^`]+)`")
	p := parser(t, docPresets, false)
	var got []string
	for line := range strings.Lines(table) {
		cells := strings.Split(line, " | ")
		if len(cells) != 3 || !strings.HasPrefix(line, "| `") {
			continue
		}
		var names []string
		for _, m := range quoted.FindAllStringSubmatch(cells[0], -1) {
			names = append(names, m[1])
		}
		got = append(got, names...)
		example := strings.Trim(cells[1], "`")
		name, _, _ := strings.Cut(example, ":")
		if !slices.Contains(names, name) {
			t.Errorf("the example %s stands beside the option %v", example, names)
		}
		if _, _, err := p.ParseOptions(example); err != nil {
			t.Errorf("the example %s: %v", example, err)
		}
	}
	want := []string{"preset", "pr"}
	for name := range rules {
		want = append(want, name)
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("the table has\n%v\nthe parser knows\n%v", got, want)
	}
}

// Options that stand anywhere in the documents are written as they are read.
func TestDocsWriteOptionsRightly(t *testing.T) {
	files, err := filepath.Glob("../docs/*.md")
	if err != nil || len(files) < 10 {
		t.Fatalf("%d documents, %v", len(files), err)
	}
	p := parser(t, docPresets, false)
	quoted := regexp.MustCompile("`([a-z_]+:[A-Za-z0-9][^ `{…]*)`")
	read := 0
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range quoted.FindAllStringSubmatch(refused.ReplaceAllString(string(text), ""), -1) {
			name, _, _ := strings.Cut(m[1], ":")
			if _, known := rules[name]; !known && name != "preset" && name != "pr" {
				continue
			}
			// These stand there as what is refused, what another product takes, and what a method is called.
			if slices.Contains([]string{"trim:top-left:10", "autoquality:size"}, m[1]) {
				continue
			}
			read++
			if _, _, err := p.ParseOptions(m[1]); err != nil {
				t.Errorf("%s: `%s`: %v", file, m[1], err)
			}
		}
	}
	if read < 60 {
		t.Errorf("only %d options were found", read)
	}
}

// refused is the table of docs/urls.md of what is not supported.
var refused = regexp.MustCompile(`(?s)\n\| of imgproxy \|.*?\n\n`)

// What docs/urls.md says to be refused is refused, with the code that it names.
func TestDocsListWhatIsRefused(t *testing.T) {
	text, err := os.ReadFile("../docs/urls.md")
	if err != nil {
		t.Fatal(err)
	}
	table := refused.FindString(string(text))
	p, err := parser(t, docPresets, false).Under(Policy{NoMetadata: true, NoRaw: true})
	if err != nil {
		t.Fatal(err)
	}
	code, read := "", 0
	for line := range strings.Lines(table) {
		cells := strings.Split(line, "|")
		if len(cells) != 4 || !strings.HasPrefix(line, "| `") {
			continue
		}
		if m := regexp.MustCompile("`([a-z_]+)`").FindStringSubmatch(cells[2]); m != nil {
			code = m[1]
		}
		for _, m := range regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(cells[1], -1) {
			var err error
			switch what := m[1]; {
			case strings.HasPrefix(what, "/"):
				_, _, err = p.ParsePath("/w:100" + what + "aHR0cHM6Ly9leGFtcGxlLmNvbS9hLmpwZw")
			case strings.Contains(what, ":"):
				_, _, err = p.ParseOptions(what)
			case strings.HasPrefix(what, "sk"):
				_, _, err = p.ParseOptions(what + ":jpg")
			default:
				_, _, err = p.ParseOptions(what + ":1")
			}
			read++
			if got := string(fault.KindOf(err)); err == nil || got != code {
				t.Errorf("%s: %v, %q, want %s", m[1], err, got, code)
			}
		}
	}
	if read < 20 {
		t.Errorf("only %d were tried", read)
	}
}
