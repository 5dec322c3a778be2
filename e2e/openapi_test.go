package e2e

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// toolAt is the program named by an environment variable. Without the variable the test is skipped.
func toolAt(t *testing.T, variable string) string {
	t.Helper()
	program := os.Getenv(variable)
	if _, err := os.Stat(program); err != nil {
		t.Skipf("%s names no program (make test installs it, where it can)", variable)
	}
	return program
}

// A third-party linter finds no fault in openapi.yaml.
func TestOpenAPILint(t *testing.T) {
	lint := exec.Command(toolAt(t, "REDOCLY"), "lint", "openapi.yaml", "--config", ".ci/redocly.yaml", "--format", "json")
	lint.Dir = ".."
	lint.Env = append(os.Environ(), "REDOCLY_TELEMETRY=off", "REDOCLY_SUPPRESS_UPDATE_NOTICE=true")
	var stderr strings.Builder
	lint.Stderr = &stderr
	out, err := lint.Output()
	var report struct {
		Totals *struct{ Errors, Warnings, Ignored int }
	}
	if bad := json.Unmarshal(out, &report); bad != nil || report.Totals == nil {
		t.Fatalf("%v, %v\n%s%s", err, bad, out, &stderr)
	}
	if err != nil || report.Totals.Errors+report.Totals.Warnings+report.Totals.Ignored != 0 {
		t.Errorf("%v\n%s", err, out)
	}
}

// A client generated from openapi.yaml by a third-party tool compiles, and works with a server.
func TestOpenAPIClient(t *testing.T) {
	generator := toolAt(t, "OAPI_CODEGEN")
	dir := t.TempDir()
	program, err := os.ReadFile("testdata/openapi/main.go.txt")
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "main.go"), string(program))
	write(t, filepath.Join(dir, "go.mod"), "module client\n\ngo 1.26.0\n\nrequire github.com/oapi-codegen/runtime v1.9.0\n")
	generate := exec.Command(generator, "-generate", "types,client", "-package", "main", "-o", filepath.Join(dir, "api.go"), "../openapi.yaml")
	if out, err := generate.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	build := exec.Command("go", "build", "-mod=mod", "-o", "client", ".")
	build.Dir = dir
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}

	o, s := httptest.NewServer(http.HandlerFunc(docOrigin)), start(t, `GOLDCREST_API_TOKENS=[{name: generated, token: generated-token-0001, scopes: [sign, prewarm]}]`)
	t.Cleanup(o.Close)
	out, err := exec.Command(filepath.Join(dir, "client"), s.admin, "generated-token-0001", o.URL+"/shoe.jpg").CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s\n%s", err, out, s.log)
	}
	urls := strings.Fields(string(out))
	if len(urls) != 2 {
		t.Fatalf("it printed %q", out)
	}
	for _, url := range urls {
		_, path, _ := strings.Cut(strings.TrimPrefix(url, "http://"), "/")
		if a := s.do("GET", s.public+"/"+path); a.StatusCode != 200 || !strings.HasPrefix(a.Header.Get("Content-Type"), "image/") {
			t.Errorf("%s: %d %s", url, a.StatusCode, a.Header.Get("Content-Type"))
		}
	}
}
