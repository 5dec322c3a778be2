package house

import (
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// licenceTexts are words that only the text of a licence has.
var licenceTexts = map[string]string{
	"Apache-2.0":   "Apache License",
	"BSD-3-Clause": "used to endorse or promote products",
	"BSD-2-Clause": "list of conditions and the following disclaimer in the documentation and/or other materials provided with the distribution. THIS SOFTWARE",
	"MIT":          "Permission is hereby granted, free of charge",
	"MPL-2.0":      "Mozilla Public License",
}

// modulesOf are the modules that the program is built of, and where they lie.
func modulesOf(t *testing.T) map[string]string {
	t.Helper()
	out, err := exec.Command("go", "list", "-deps", "-f", "{{with .Module}}{{if not .Main}}{{.Path}} {{.Dir}}{{end}}{{end}}", ".").Output()
	if err != nil {
		t.Fatal(err)
	}
	modules := map[string]string{}
	for line := range strings.Lines(string(out)) {
		if path, dir, ok := strings.Cut(strings.TrimSpace(line), " "); ok {
			modules[path] = dir
		}
	}
	if len(modules) < 40 {
		t.Fatalf("%d modules", len(modules))
	}
	return modules
}

// licenceOf is the text of a module's licence files.
func licenceOf(t *testing.T, dir string) string {
	t.Helper()
	var all strings.Builder
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if name := strings.ToLower(e.Name()); strings.HasPrefix(name, "licen") || strings.HasPrefix(name, "copying") {
			text, err := os.ReadFile(filepath.Join(dir, e.Name()))
			if err != nil {
				t.Fatal(err)
			}
			all.Write(text)
		}
	}
	return strings.Join(strings.Fields(all.String()), " ")
}

// NOTICE has every module that the program is built of, and no other, under the licences that the module has.
func TestNoticeHasEveryModule(t *testing.T) {
	notice, err := os.ReadFile("NOTICE")
	if err != nil {
		t.Fatal(err)
	}
	_, list, _ := strings.Cut(string(notice), "In the program:")
	list, _, _ = strings.Cut(list, "\nIn the ") // the next part
	named, licences := map[string]string{}, []string(nil)
	for line := range strings.Lines(list) {
		if path, ok := strings.CutPrefix(line, "  "); ok {
			named[strings.TrimSpace(path)] = strings.Join(licences, " and ")
		} else if strings.TrimSpace(line) != "" {
			licences = strings.Split(strings.TrimSpace(line), " and ")
		}
	}
	modules := modulesOf(t)
	if got, want := slices.Sorted(maps.Keys(named)), slices.Sorted(maps.Keys(modules)); !slices.Equal(got, want) {
		t.Errorf("NOTICE has\n%s\nthe program is built of\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	for path, dir := range modules {
		text := licenceOf(t, dir)
		var found []string
		for _, name := range slices.Sorted(maps.Keys(licenceTexts)) {
			if strings.Contains(text, licenceTexts[name]) {
				found = append(found, name)
			}
		}
		if got := strings.Join(found, " and "); got != named[path] {
			t.Errorf("%s: NOTICE says %q, its licence files %q", path, named[path], got)
		}
	}
}

// NOTICE has every package that the image installs, and the image carries LICENSE and NOTICE.
func TestNoticeHasTheImagesPackages(t *testing.T) {
	notice, err := os.ReadFile("NOTICE")
	if err != nil {
		t.Fatal(err)
	}
	docker, err := os.ReadFile("Dockerfile")
	if err != nil {
		t.Fatal(err)
	}
	_, image, _ := strings.Cut(string(docker), "FROM ${RUN_BASE}")
	installed := regexp.MustCompile(`(?s)--no-install-recommends(.*?)&&`).FindStringSubmatch(image)
	if installed == nil {
		t.Fatal("the image installs nothing")
	}
	packages := strings.Fields(strings.ReplaceAll(installed[1], "\\\n", " "))
	if len(packages) < 4 {
		t.Fatalf("packages %v", packages)
	}
	for _, p := range packages {
		if !regexp.MustCompile(`(?m)^  ` + regexp.QuoteMeta(p) + ` +\S`).Match(notice) {
			t.Errorf("NOTICE does not name the package %s", p)
		}
	}
	if !strings.Contains(string(docker), ".ci/licenses /licenses") || !strings.Contains(image, "COPY --from=build /licenses ") {
		t.Error("the image does not carry the licences")
	}
	if text, err := os.ReadFile("LICENSE"); err != nil || !strings.Contains(string(text), licenceTexts["Apache-2.0"]) {
		t.Errorf("LICENSE is not the Apache License: %v", err)
	}
}
