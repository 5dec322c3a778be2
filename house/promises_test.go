package house

import (
	"fmt"
	"math"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

func document(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// Every row that promises something names what holds it: a test, a fuzz target, or a part of bench.
func TestPromisesNameWhatHoldsThem(t *testing.T) {
	held := regexp.MustCompile(`\b(Test|Fuzz)[A-Z]\w+|bench .\w+|make soak`)
	for _, x := range []struct{ file, row string }{
		{"docs/security.md", `(?m)^\| [^-|][^|]* \| [^|]+ \| .*$`}, {"docs/reliability.md", `(?m)^\| \d+ \|.*$`},
	} {
		text := document(t, x.file)
		if _, rows, ok := strings.Cut(text, "\n| threat |"); ok {
			text = "| threat |" + rows
		}
		text = regexp.MustCompile(`(?m)^.*\n\|---.*$`).ReplaceAllString(text, "") // heads of tables
		rows := regexp.MustCompile(x.row).FindAllString(text, -1)
		if len(rows) < 30 {
			t.Errorf("%s: only %d rows", x.file, len(rows))
		}
		for _, row := range rows {
			if !held.MatchString(row) {
				t.Errorf("%s: nothing holds the row %.100s", x.file, row)
			}
		}
	}
}

// Figures that other documents take from the table of docs/quality.md are those of the table.
func TestDocumentsQuoteFiguresOfTheQualityTable(t *testing.T) {
	quality := document(t, "docs/quality.md")
	first := func(way string) (photos, print string) {
		row := regexp.MustCompile(`(?m)^\| (?:\*\*)?` + regexp.QuoteMeta(way) + `(?:\*\*)? \| ([\d.]+), [^|]+ \| ([^,|]+)`).FindStringSubmatch(quality)
		if row == nil {
			t.Fatalf("docs/quality.md has no row %q", way)
		}
		return row[1], row[2]
	}
	atOnce, _ := first("normal, AVIF at once")
	final, print := first("normal, AVIF final")
	old, oldPrint := first("the predecessor, JPEG q90")
	whole := func(kib string) string {
		f, err := strconv.ParseFloat(kib, 64)
		if err != nil {
			t.Fatal(err)
		}
		return fmt.Sprint(math.Round(f))
	}
	for file, want := range map[string][]string{
		"docs/migrate.md": {old + " KiB against " + atOnce + " KiB"},
		"README.md": {
			whole(final) + " to " + whole(atOnce) + " KiB (AVIF) instead of " + whole(old) + " KiB",
			whole(print) + " KiB instead of " + whole(oldPrint) + " KiB",
		},
	} {
		for _, text := range want {
			if !strings.Contains(document(t, file), text) {
				t.Errorf("%s does not say %q", file, text)
			}
		}
	}
}

// The versions that packages ask for are those that the documents name.
func TestDocumentsNameTheVersions(t *testing.T) {
	clients := document(t, "docs/clients.md")
	for _, x := range []struct{ file, field, said string }{
		{"clients/js/package.json", `"node": ">=(\d+)"`, "node %s or later"},
		{"clients/python/pyproject.toml", `requires-python = ">=([\d.]+)"`, "Python %s or later"},
	} {
		m := regexp.MustCompile(x.field).FindStringSubmatch(document(t, x.file))
		if m == nil || !strings.Contains(clients, strings.Replace(x.said, "%s", m[1], 1)) {
			t.Errorf("%s asks for %v, docs/clients.md says something else", x.file, m)
		}
	}
	for _, file := range []string{"clients/js/goldcrest.js", "clients/js/README.md", "Makefile"} {
		if m := regexp.MustCompile(`node (\d+)`).FindStringSubmatch(document(t, file)); m == nil || !strings.Contains(clients, "node "+m[1]+" or later") {
			t.Errorf("%s names node %v, docs/clients.md another", file, m)
		}
	}
}
