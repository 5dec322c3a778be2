package e2e

import (
	"encoding/json"
	"net/url"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// Prometheus runs with the shipped configuration, as far as addresses and intervals allow. It reads a server's metrics,
// evaluates every alert, and has a value for every query of the dashboard once the server has worked.
func TestShippedPrometheus(t *testing.T) {
	program := installed(t, "prometheus")
	corpus(t)
	s, dir, addr := start(t, prewarmEnv...), t.TempDir(), freePort(t)
	conf := strings.NewReplacer(
		`"proxy-1:8081", "proxy-2:8081", "prewarm:8081"`, `"`+strings.TrimPrefix(s.admin, "http://")+`"`, "15s", "1s").
		Replace(readFile(t, "../deploy/prometheus/prometheus.yaml"))
	write(t, filepath.Join(dir, "prometheus.yaml"), conf)
	write(t, filepath.Join(dir, "alerts.yaml"), readFile(t, "../deploy/prometheus/alerts.yaml"))
	command := regexp.MustCompile(`command: \["--config.file=/etc/prometheus/(\S+)", "--storage`).FindStringSubmatch(
		readFile(t, "../deploy/compose.yaml"))
	if command == nil {
		t.Fatal("compose.yaml starts Prometheus in another way")
	}
	prometheus := exec.Command(program,
		"--config.file="+filepath.Join(dir, command[1]),
		"--storage.tsdb.path="+filepath.Join(dir, "data"), "--web.listen-address="+addr)
	var log strings.Builder
	prometheus.Stderr = &log
	if err := prometheus.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		prometheus.Process.Kill()
		prometheus.Wait()
		if t.Failed() {
			t.Log(log.String())
		}
	})
	get := func(path string, into any) bool {
		res, err := send("GET", "http://"+addr+path, nil)
		return err == nil && res.StatusCode == 200 && json.Unmarshal(res.body, into) == nil
	}
	within(t, 60e9, "Prometheus read the metrics", func() bool {
		var up struct{ Data struct{ Result []any } }
		return get("/api/v1/query?query="+url.QueryEscape(`up{job="goldcrest"} == 1`), &up) && len(up.Data.Result) == 1
	})
	s.works()
	type rule struct{ Name, Health, LastError string }
	var rules struct {
		Data struct{ Groups []struct{ Rules []rule } }
	}
	within(t, 60e9, "Prometheus evaluated every alert", func() bool {
		if !get("/api/v1/rules", &rules) || len(rules.Data.Groups) == 0 {
			return false
		}
		for _, r := range rules.Data.Groups[0].Rules {
			if r.Health == "unknown" {
				return false
			}
		}
		return true
	})
	alerts := rules.Data.Groups[0].Rules
	if want := strings.Count(readFile(t, "../deploy/prometheus/alerts.yaml"), "- alert: "); len(alerts) != want {
		t.Errorf("Prometheus has %d alerts of %d", len(alerts), want)
	}
	for _, r := range alerts {
		if r.Health != "ok" {
			t.Errorf("%s: %s", r.Name, r.LastError)
		}
	}
	showsAll(t, get)
}

// showsAll waits until every query of the dashboard has a value that is a number.
func showsAll(t *testing.T, get func(path string, into any) bool) {
	t.Helper()
	queries := regexp.MustCompile(`"expr": ("(?:[^"\\]|\\.)*")`).FindAllStringSubmatch(
		readFile(t, "../deploy/grafana/goldcrest.json"), -1)
	if len(queries) < 20 {
		t.Errorf("the dashboard has %d queries", len(queries))
	}
	for _, q := range queries {
		var expr string
		if err := json.Unmarshal([]byte(q[1]), &expr); err != nil {
			t.Fatal(err)
		}
		expr = strings.NewReplacer("$__rate_interval", "1m", "$__range", "1h", "$instance", ".*").Replace(expr)
		within(t, 30e9, expr+" has a value", func() bool {
			var found struct {
				Data struct{ Result []struct{ Value [2]any } }
			}
			if !get("/api/v1/query?query="+url.QueryEscape(expr), &found) {
				return false
			}
			for _, r := range found.Data.Result {
				if r.Value[1] != "NaN" {
					return true
				}
			}
			return false
		})
	}
}

// works gives a server some of everything that the dashboard shows.
func (s *server) works() {
	s.t.Helper()
	o := startOrigin(s.t)
	good, bad := o.URL+"/photos/product-saw.jpg", o.URL+"/missing/x.jpg"
	s.ended(s.prewarm("", `{"id":"a","photo":"`+good+`","image":"`+bad+`"}`).Job)
	miss, broken := signed("w:60", good), signed("w:60", bad)
	for _, path := range []string{miss, miss, broken, "/forged/plain/" + good} {
		s.get(path)
	}
}
