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
// evaluates every alert, and answers every query of the dashboard.
func TestShippedPrometheus(t *testing.T) {
	program := installed(t, "prometheus")
	s, dir, addr := start(t), t.TempDir(), freePort(t)
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
		res, err := send("GET", "http://"+addr+"/api/v1/query?query="+url.QueryEscape(expr), nil)
		if err != nil || res.StatusCode != 200 {
			t.Errorf("%s: %v\n%s", expr, err, res.body)
		}
	}
}
