package metrics

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
)

// described are the metrics that exist, with their labels. Histograms stand there under the names of their series too.
func described(t *testing.T) map[string][]string {
	t.Helper()
	descs := make(chan *prometheus.Desc, 1024)
	m := New()
	m.registry.Describe(descs)
	close(descs)
	pattern := regexp.MustCompile(`fqName: "([^"]+)".*variableLabels: \{([^}]*)\}`)
	known := map[string][]string{}
	for d := range descs {
		found := pattern.FindStringSubmatch(d.String())
		if found == nil {
			t.Fatalf("the description %s cannot be read", d)
		}
		labels := strings.FieldsFunc(found[2], func(r rune) bool { return r == ',' })
		known[found[1]] = labels
		if strings.HasSuffix(found[1], "_seconds") || strings.HasSuffix(found[1], "_bytes") {
			known[found[1]+"_bucket"] = append(slices.Clone(labels), "le")
		}
	}
	return known
}

// Every metric that an alert, a chart, an autoscaler or the runbook names exists, and has the labels that it is asked
// by.
func TestDeployNamesMetrics(t *testing.T) {
	known := described(t)
	name := regexp.MustCompile(`\b(goldcrest_[a-z_]+)(?:\{([^}]*)\})?`)
	label := regexp.MustCompile(`([a-z_]+)\s*(?:=~|!=|!~|=)`)
	by := regexp.MustCompile(`by \(([a-z_, ]+)\) \([a-z]*\(?(goldcrest_[a-z_]+)`)
	for file, least := range map[string]int{
		"../deploy/prometheus/alerts.yaml": 15, "../deploy/grafana/goldcrest.json": 40, "../deploy/kubernetes/prewarm.yaml": 1, "../deploy/README.md": 1,
		"../docs/operate.md": 9,
	} {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		found := name.FindAllStringSubmatch(strings.ReplaceAll(string(text), `\"`, `"`), -1)
		if len(found) < least {
			t.Errorf("%s names %d metrics, want at least %d", file, len(found), least)
		}
		has := func(metric, l string) bool { return l == "instance" || l == "job" || slices.Contains(known[metric], l) }
		for _, f := range found {
			if _, ok := known[f[1]]; !ok {
				t.Errorf("%s names %s, which does not exist", file, f[1])
			}
			for _, l := range label.FindAllStringSubmatch(f[2], -1) {
				if !has(f[1], l[1]) {
					t.Errorf("%s asks %s by %s; its labels are %v", file, f[1], l[1], known[f[1]])
				}
			}
		}
		for _, f := range by.FindAllStringSubmatch(string(text), -1) {
			for l := range strings.SplitSeq(f[1], ", ") {
				if !has(f[2], l) {
					t.Errorf("%s sums %s by %s; its labels are %v", file, f[2], l, known[f[2]])
				}
			}
		}
	}
}

// What is counted for each token is on the dashboard, by token.
func TestDashboardShowsWhatTokensUse(t *testing.T) {
	text, err := os.ReadFile("../deploy/grafana/goldcrest.json")
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for name := range described(t) {
		if !strings.HasPrefix(name, "goldcrest_usage_") {
			continue
		}
		if n++; !strings.Contains(string(text), "sum by (token) (rate("+name+"{") {
			t.Errorf("no panel shows %s by token", name)
		}
	}
	if n < 8 {
		t.Errorf("there are %d metrics of usage, want at least 8", n)
	}
}
