package server

import (
	"encoding/json"
	"net/http"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/goldcrest/goldcrest/server/fields"
	"github.com/goldcrest/goldcrest/variant"
)

// edge is where the snippets for CDNs stand, with the tables that their tests read too.
const edge = "../deploy/cdn/testdata/"

func edgeRows(t *testing.T, name string) []map[string]string {
	t.Helper()
	text, err := os.ReadFile(edge + name)
	if err != nil {
		t.Fatal(err)
	}
	rows := tableRows(string(text))
	if len(rows) < 20 {
		t.Fatalf("%s has %d rows: it protects nothing", name, len(rows))
	}
	return rows
}

// The snippets compute folded; regular expressions, where a CDN has nothing better, give coarse.
func TestEdgeAccept(t *testing.T) {
	weighed := regexp.MustCompile(`(?i)(image/(avif|webp|png|jpe?g|gif|\*)\s*;[^,]*q\s*=|\*\s*;\s*q\s*=\s*0\s*(,|$))`)
	modern := variant.AcceptAVIF | variant.AcceptWebP
	for _, row := range edgeRows(t, "accept.tsv") {
		cfg := variant.Negotiation{Formats: strings.Split(row["formats"], ","), Unknown: row["unknown"]}
		want := variant.ParseAccept(row["accept"], cfg)
		if got := variant.ParseAccept(row["folded"], cfg); got != want {
			t.Errorf("%+v: %q means %+v, folded to %q it means %+v", cfg, row["accept"], want, row["folded"], got)
		}
		if row["coarse"] == "" {
			continue
		}
		got := variant.ParseAccept(row["coarse"], cfg)
		if got.Formats&modern&^want.Formats != 0 {
			t.Errorf("%q is folded coarsely to %q: the client might get a format that it does not take",
				row["accept"], row["coarse"])
		}
		if got != want && !weighed.MatchString(row["accept"]) {
			t.Errorf("%q means %+v, folded coarsely to %q it means %+v", row["accept"], want, row["coarse"], got)
		}
	}
}

func TestEdgeHints(t *testing.T) {
	for _, row := range edgeRows(t, "hints.tsv") {
		h := http.Header{}
		h.Set("Save-Data", row["save_data"])
		h.Set("ECT", row["ect"])
		want := row["slow"] == "yes"
		if got := fields.Slow(h); got != want && row["rtt"]+row["downlink"] == "" {
			t.Errorf("%v: slow is %t, the table says %t", row, got, want)
		} else if got && !want {
			t.Errorf("%v: the edge makes a slow client fast", row)
		}
	}
	if !fields.Slow(http.Header{"Ect": {"3g"}}) || fields.Slow(http.Header{}) {
		t.Error("what the edge sends for slow and for fast means something else here")
	}
}

// TestEdgePaths holds that the edge tells rightly from a path which headers matter.
func TestEdgePaths(t *testing.T) {
	text, err := os.ReadFile(edge + "presets.json")
	if err != nil {
		t.Fatal(err)
	}
	var presets map[string]string
	if err := json.Unmarshal(text, &presets); err != nil {
		t.Fatal(err)
	}
	parser, err := variant.NewParser(presets, false)
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range edgeRows(t, "paths.tsv") {
		path := strings.NewReplacer("%3A", ":", "/plain/https:/e", "/plain/https://e").Replace(strings.TrimPrefix(row["path"], "/S"))
		ref, _, err := parser.ParsePath(path)
		if err != nil {
			t.Errorf("%s: %v", row["path"], err)
			continue
		}
		open, hints := ref.Spec.IsOpen(), ref.Spec.VariesByHints()
		if row["open"] == "yes" != open || row["hints"] == "yes" != hints {
			t.Errorf("%v: open is %t, hints %t", row, open, hints)
		}
		if open && row["coarse_open"] != "yes" || hints && row["coarse_hints"] != "yes" {
			t.Errorf("%v: a header that matters would be dropped", row)
		}
	}
}
