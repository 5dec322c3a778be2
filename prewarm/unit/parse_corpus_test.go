package unit

import (
	"bytes"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/goldcrest/goldcrest/fault"
)

const lines = "application/x-ndjson"

// corpus reads a file of the test corpus and inserts the origin's address.
func corpus(t testing.TB, name string) []byte {
	t.Helper()
	dir := os.Getenv("GOLDCREST_CORPUS")
	if dir == "" {
		dir = "../../../shared/corpus"
	}
	text, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		t.Skipf("no test corpus: %v", err)
	}
	return bytes.ReplaceAll(text, []byte("{{ORIGIN}}"), []byte("http://127.0.0.1:9000"))
}

func parse(t testing.TB, body, contentType, query string) (Call, error) {
	t.Helper()
	q, err := url.ParseQuery(query)
	if err != nil {
		t.Fatal(err)
	}
	return parseCall(strings.NewReader(body), contentType, "", q, Rules{})
}

func sources(u Unit) []string {
	var list []string
	for _, img := range u.Images {
		list = append(list, img.Source)
	}
	return list
}

// Every URL that must be found is found. None that must never be fetched is found, and units without an image have
// none.
func TestCorpusUnits(t *testing.T) {
	call, err := parse(t, string(corpus(t, "data-units.jsonl")), lines, "")
	if err != nil {
		t.Fatal(err)
	}
	if len(call.Units) != 1000 {
		t.Fatalf("%d units", len(call.Units))
	}
	levels := map[string]int{}
	told := map[int]bool{}
	for row := range strings.Lines(string(corpus(t, "data-units.expected.tsv"))) {
		f := strings.Split(strings.TrimSuffix(row, "\n"), "\t")
		line, err := strconv.Atoi(f[0])
		if err != nil {
			continue // the header
		}
		told[line] = told[line] || f[2] != "none"
		u := call.Units[line-1]
		if u.Err != nil || u.Line != line || u.ID != f[1] {
			t.Fatalf("line %d: unit %q of line %d, %v", line, u.ID, u.Line, u.Err)
		}
		found := slices.Contains(sources(u), f[3])
		levels[f[2]]++
		if f[2] == "must" && !found || f[2] == "never" && found && !isAddress(f[3]) || f[2] == "none" && len(u.Images) > 0 {
			t.Errorf("line %d: %s %s (%s), found %v", line, f[2], f[3], f[4], sources(u))
		}
	}
	if levels["must"] < 3000 || levels["never"] < 50 {
		t.Errorf("the corpus has %v", levels)
	}
	for _, u := range call.Units {
		if !told[u.Line] && len(u.Images) > 0 {
			t.Errorf("line %d: an image in a unit of which none is told: %v", u.Line, sources(u))
		}
	}
}

// isAddress reports whether only the origin's address guard can refuse a URL: it looks like any other.
func isAddress(u string) bool { return strings.HasPrefix(u, "http://") }

func TestCorpusOddLines(t *testing.T) {
	call, err := parse(t, string(corpus(t, "data-units-odd.jsonl")), lines, "")
	if err != nil {
		t.Fatal(err)
	}
	byLine := map[int]Unit{}
	for _, u := range call.Units {
		byLine[u.Line] = u
	}
	if _, ok := byLine[5]; ok || len(byLine) != 17 {
		t.Errorf("%d lines have units; the empty one: %v", len(byLine), ok)
	}
	const long = "http://127.0.0.1:9000/"
	tests := []struct {
		line   int
		err    string // part of the error's detail
		id     string // "" = assigned
		images int
		bad    fault.Kind
	}{
		{line: 1, err: "not valid JSON"}, {line: 2, err: "a unit is a JSON object"}, {line: 3, err: "a unit is a JSON object"},
		{line: 4, err: "a unit is a JSON object"}, {line: 6}, {line: 7, id: "12345", images: 1}, {line: 8, id: "m2", images: 1},
		{line: 9, err: "not valid JSON"}, {line: 10, id: "m4"}, {line: 11, err: "deeper than 100 levels"}, {line: 12, id: "m6", images: 1},
		{line: 13, id: "m7", images: 2000}, {line: 14, err: "byte order mark"}, {line: 15, id: "m9", images: 1, bad: fault.BadSource},
		{line: 16, id: "m10", images: 1}, {line: 17, id: "m11", images: 1, bad: fault.BadSource}, {line: 18, id: "m12", images: 1},
	}
	for _, tt := range tests {
		u := byLine[tt.line]
		if tt.err != "" {
			if u.Err == nil || u.Err.Code != fault.BadUnit || !strings.Contains(u.Err.Detail, tt.err) {
				t.Errorf("line %d: error %+v, want %q", tt.line, u.Err, tt.err)
			}
			continue
		}
		if u.Err != nil || len(u.Images) != tt.images || tt.id != "" && u.ID != tt.id || tt.id == "" && !strings.HasPrefix(u.ID, "sha256-") {
			t.Errorf("line %d: id %q, %d images, %+v", tt.line, u.ID, len(u.Images), u.Err)
			continue
		}
		if tt.images == 1 && u.Images[0].Bad != tt.bad {
			t.Errorf("line %d: bad %q, want %q", tt.line, u.Images[0].Bad, tt.bad)
		}
	}
	if got := byLine[8].Images[0].Source; got != long+"photos/b.jpg" {
		t.Errorf("of a key that stands twice %q was taken", got)
	}
	if got := byLine[16].Images[0].Source; got != long+"photos/a%20b.jpg" {
		t.Errorf("a blank became %q", got)
	}
}
