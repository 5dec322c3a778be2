package app

import (
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/goldcrest/goldcrest/config"
	"github.com/goldcrest/goldcrest/intake"
	"github.com/goldcrest/goldcrest/server/access"
)

// root is the repository's root, from this folder.
const root = ".."

// document returns the text of a file of the repository.
func document(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// scraped returns the first scrape of a new instance.
func scraped(t *testing.T, cfg config.Config) string {
	t.Helper()
	a := newApp("dev", cfg, newLog(t.Output(), cfg.Log, logLevel("error")))
	w := httptest.NewRecorder()
	a.metrics.Build("v1", "go", "8")
	a.metrics.Sandbox(true, true)
	a.metrics.Handler().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	return w.Body.String()
}

// hasSeries reports whether a scrape has a series of a metric with a label value; label "" means any series.
func hasSeries(scrape, metric, label, value string) bool {
	pattern := `(?m)^` + metric + `(_bucket)?[{ ]` // a text may name a histogram without its suffix
	if label != "" {
		pattern = `(?m)^` + metric + `\{([^}]*,)?` + label + `="` + regexp.QuoteMeta(value) + `"`
	}
	return regexp.MustCompile(pattern).MatchString(scrape)
}

// An alert on an increase needs a value before the first event, and a panel without a series shows "No data". So the
// first scrape must have every metric and every label value that the deployed files use.
func TestDashboardsAndAlertsHaveDataFromTheStart(t *testing.T) {
	cfg := config.Default()
	cfg.API.Tokens = []access.Token{{Name: "shop", Token: "a-token-of-the-shop", Scopes: []string{access.ScopePrewarm}}}
	cfg.Intakes = []intake.Config{{Name: "shop"}} // metrics of intakes exist only with an intake
	scrape := scraped(t, cfg)
	name := regexp.MustCompile(`\b(goldcrest_[a-z0-9_]+)(?:\{([^}]*)\})?`)
	label := regexp.MustCompile(`([a-z_]+)=~?"([a-z_|]+)"`)
	for file, least := range map[string]int{
		"deploy/grafana/goldcrest.json": 40, "deploy/prometheus/alerts.yaml": 15, "deploy/kubernetes/prewarm.yaml": 1,
	} {
		values := 0
		for _, f := range name.FindAllStringSubmatch(strings.ReplaceAll(document(t, file), `\"`, `"`), -1) {
			if !hasSeries(scrape, f[1], "", "") {
				t.Errorf("%s asks for %s, which has no series at the start", file, f[1])
			}
			values++
			for _, l := range label.FindAllStringSubmatch(f[2], -1) {
				for v := range strings.SplitSeq(l[2], "|") {
					if l[1] != "instance" && l[1] != "job" && !hasSeries(scrape, f[1], l[1], v) {
						t.Errorf("%s asks for %s with %s=%q, which has no series at the start", file, f[1], l[1], v)
					}
				}
			}
		}
		if values < least {
			t.Errorf("%s asks for %d metrics, want at least %d", file, values, least)
		}
	}
}

// 0 divided by 0 is NaN: a panel that divides must bound its divisor, or say what it shows without traffic.
func TestRatiosOfTheDashboardHaveAValueWhenIdle(t *testing.T) {
	var dashboard struct {
		Panels []struct {
			Title       string
			FieldConfig struct{ Defaults struct{ NoValue string } }
			Targets     []struct{ Expr string }
		}
	}
	if err := json.Unmarshal([]byte(document(t, "deploy/grafana/goldcrest.json")), &dashboard); err != nil {
		t.Fatal(err)
	}
	ratios := 0
	for _, p := range dashboard.Panels {
		for _, target := range p.Targets {
			_, divisor, ok := strings.Cut(target.Expr, " / ")
			if !ok {
				continue
			}
			ratios++
			filtered := strings.HasPrefix(divisor, "(") && strings.HasSuffix(divisor, " > 0)") && p.FieldConfig.Defaults.NoValue != ""
			if !strings.HasPrefix(divisor, "clamp_min(") && !filtered {
				t.Errorf("the panel %q divides by what may be 0: %s", p.Title, divisor)
			}
		}
	}
	if ratios < 4 {
		t.Errorf("%d panels divide, want at least 4", ratios)
	}
}

// counting lists the methods by which packages report words, with the metric and the label of the word.
var counting = map[string][2]string{
	"Remade": {"remakes_total", "outcome"}, "Mastered": {"masters_total", "outcome"},
	"Outcome":  {"masters_total", "outcome"},
	"Upgraded": {"upgrades_total", "outcome"},
	"Noted":    {"origin_events_total", "event"}, "Told": {"prewarm_callbacks_total", "outcome"},
	"Reloaded":  {"config_reloads_total", "outcome"},
	"closedFor": {"connections_closed_total", "bound"},
}

// Every word that a package reports must have its series at the first scrape, so that a new word is not forgotten.
func TestEveryWordIsThereFromTheStart(t *testing.T) {
	scrape, found := scraped(t, config.Default()), map[string]int{}
	check := func(where, metric, label string, e ast.Expr) {
		lit, ok := e.(*ast.BasicLit)
		if !ok || lit.Kind != token.STRING {
			return
		}
		value, err := strconv.Unquote(lit.Value)
		if err != nil || value == "" {
			return
		}
		if found[metric]++; !hasSeries(scrape, "goldcrest_"+metric, label, value) {
			t.Errorf("%s counts %q, which %s does not have at the start", where, value, metric)
		}
	}
	for _, dir := range []string{"app", "origin", "pipeline", "pipeline/master", "prewarm/webhook", "server", "transform"} {
		for _, file := range sources(t, dir) {
			ast.Inspect(file, func(n ast.Node) bool {
				switch n := n.(type) {
				case *ast.CallExpr:
					if to, ok := counting[called(n)]; ok && len(n.Args) > 0 {
						check(dir, to[0], to[1], n.Args[0])
					}
				case *ast.CompositeLit:
					s, ok := n.Type.(*ast.SelectorExpr)
					if !ok || s.Sel.Name != "Config" || !strings.HasPrefix(dir, "pipeline") {
						break
					}
					for _, e := range n.Elts { // of a gate.Config
						if kv := e.(*ast.KeyValueExpr); kv.Key.(*ast.Ident).Name == "Name" {
							check(dir, "gate_refused_total", "gate", kv.Value)
						}
					}
				case *ast.ValueSpec: // transform's causes for the end of a worker
					if id, ok := n.Type.(*ast.Ident); ok && id.Name == "cause" && len(n.Values) == 1 {
						check(dir, "workers_ended_total", "reason", n.Values[0])
					}
				case *ast.FuncDecl: // an upgrade returns its outcome
					if n.Name.Name != "upgrade" && n.Name.Name != "improved" || dir != "pipeline" {
						break
					}
					ast.Inspect(n, func(n ast.Node) bool {
						if r, ok := n.(*ast.ReturnStmt); ok && len(r.Results) > 0 {
							check(dir, "upgrades_total", "outcome", r.Results[len(r.Results)-1])
							check(dir, "hot_total", "outcome", r.Results[len(r.Results)-1])
						}
						return true
					})
				}
				return true
			})
		}
	}
	for metric, least := range map[string]int{
		"remakes_total": 3, "masters_total": 3, "upgrades_total": 5, "hot_total": 5, "origin_events_total": 4, "prewarm_callbacks_total": 3,
		"config_reloads_total": 2, "gate_refused_total": 2, "connections_closed_total": 2, "workers_ended_total": 10,
	} {
		if found[metric] < least {
			t.Errorf("%d words of %s were found in the sources, want at least %d", found[metric], metric, least)
		}
	}
}

// called returns the name of the function or method that is called.
func called(c *ast.CallExpr) string {
	switch f := c.Fun.(type) {
	case *ast.Ident:
		return f.Name
	case *ast.SelectorExpr:
		return f.Sel.Name
	}
	return ""
}

// sources parses the files of a package, except tests.
func sources(t *testing.T, dir string) (files []*ast.File) {
	t.Helper()
	names, err := fs.Glob(os.DirFS(filepath.Join(root, dir)), "*.go")
	if err != nil {
		t.Fatal(err)
	}
	names = slices.DeleteFunc(names, func(n string) bool { return strings.HasSuffix(n, "_test.go") })
	for _, name := range names {
		file, err := parser.ParseFile(token.NewFileSet(), filepath.Join(root, dir, name), nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, file)
	}
	return files
}
