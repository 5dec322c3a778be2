package console

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// Every file that the pages name is there, and is used from here alone: nothing comes from another host.
func TestPagesUseTheirOwnFiles(t *testing.T) {
	named := regexp.MustCompile(`(?:src|href)="([^"#]+)"`)
	var login bytes.Buffer
	if err := Login(&login, "why"); err != nil {
		t.Fatal(err)
	}
	index, _, ok := File("index.html")
	if !ok {
		t.Fatal("there is no page")
	}
	for name, page := range map[string]string{"index.html": string(index), "login.html": login.String()} {
		links := named.FindAllStringSubmatch(page, -1)
		if len(links) < 2 {
			t.Errorf("%s names %d files only", name, len(links))
		}
		for _, l := range links {
			file, ok := strings.CutPrefix(l[1], "/console/files/")
			if body, _, found := File(file); !ok || !found || len(body) == 0 {
				t.Errorf("%s names %s, which is not here", name, l[1])
			}
		}
	}
}

// The chart library stands with its licence and the version that the Makefile fetches.
func TestChartLibraryIsThePinnedOne(t *testing.T) {
	body, _, _ := File("uplot.js")
	makefile, err := os.ReadFile(filepath.Join("..", "..", "Makefile"))
	if err != nil {
		t.Fatal(err)
	}
	version := regexp.MustCompile(`(?m)^UPLOT\s*:= (\S+)$`).FindSubmatch(makefile)
	if version == nil || !bytes.Contains(body[:200], append([]byte("(v"), version[1]...)) {
		t.Errorf("the Makefile fetches %q, the file begins %q", version, body[:80])
	}
	if licence, err := files.ReadFile("uplot/LICENSE"); err != nil || !bytes.Contains(licence, []byte("MIT")) {
		t.Errorf("its licence: %v", err)
	}
}

func TestOnlyFilesOfTheConsoleAreServed(t *testing.T) {
	for _, name := range []string{"", "login.html", "console.go", "../console.go", "uplot/LICENSE", "/index.html"} {
		if _, _, ok := File(name); ok {
			t.Errorf("%q is given", name)
		}
	}
}
