package variant

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
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
		for _, m := range quoted.FindAllStringSubmatch(string(text), -1) {
			name, _, _ := strings.Cut(m[1], ":")
			if _, known := rules[name]; !known && name != "preset" && name != "pr" {
				continue
			}
			// These stand there as what is refused, what another product takes, and what a method is called.
			if slices.Contains([]string{"sm:0", "scp:0", "kcr:1", "trim:top-left:10", "autoquality:size"}, m[1]) {
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
