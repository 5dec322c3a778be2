package app

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/goldcrest/goldcrest/config"
	"github.com/goldcrest/goldcrest/intake"
	"github.com/goldcrest/goldcrest/server/access"
)

// values are what the series have that match a pattern, in promtool's notation, a value for each minute.
type values struct{ series, are string }

// busy is a healthy instance under load.
var busy = []values{
	{`^up{`, "1x150"},
	{`^goldcrest_workers{`, "2x150"},
	{`^goldcrest_requests_total{.*door="public".*outcome="hit"`, "0+600x150"},
	{`^goldcrest_request_seconds_bucket{.*outcome="(hit|miss)".*le="(0\.[1-9]|[1-9+])`, "0+60x150"},
	{`^goldcrest_prewarm_verdicts_total{.*state="made"`, "0+60x150"},
}

// troubles has for each alert what one of two instances shows when it must fire.
var troubles = map[string][]values{
	"GoldcrestDown":       {{`^up{`, "1x140 0x10"}},
	"GoldcrestErrors":     {{`^goldcrest_errors_total{.*kind="overloaded"`, "0+60x150"}},
	"GoldcrestSlowHits":   {{`_request_seconds_bucket{.*outcome="hit".*le="(0|1")`, "0x150"}},
	"GoldcrestSlowMisses": {{`_request_seconds_bucket{.*outcome="miss".*le="[0-9]`, "0x150"}},
	"GoldcrestStoreFails": {{`^goldcrest_store_breaker_open{`, "1x150"}},
	"GoldcrestWritesDropped": {
		{`^goldcrest_store_writes_dropped_total{`, "0+1x150"},
	},
	"GoldcrestOriginsRest":   {{`^goldcrest_origin_breakers_open{`, "3x150"}},
	"GoldcrestFull":          {{`^goldcrest_gate_refused_total{.*gate="transform"`, "0+1x150"}},
	"GoldcrestWorkersDie":    {{`^goldcrest_workers_ended_total{.*reason="crash"`, "0+1x150"}},
	"GoldcrestTelemetryLost": {{`^goldcrest_telemetry_lost_total{.*signal="logs"`, "0+1x150"}},
	"GoldcrestNoWorkers":     {{`^goldcrest_workers{`, "0x150"}},
	"GoldcrestQueueSilent":   {{`^goldcrest_prewarm_queue_silent{`, "1x150"}},
	"GoldcrestQueueStands": {
		{`^goldcrest_prewarm_queue_waiting{`, "50x150"}, {`^goldcrest_prewarm_verdicts_total{.*state="made"`, "9x150"},
	},
	"GoldcrestQueueGrows":        {{`^goldcrest_prewarm_queue_waiting{`, "200000x150"}},
	"GoldcrestSourcesBroken":     {{`^goldcrest_prewarm_verdicts_total{.*state="broken"`, "0+60x150"}},
	"GoldcrestCallbacksGivenUp":  {{`^goldcrest_prewarm_callbacks_total{.*outcome="given_up"`, "0x120 1x30"}},
	"GoldcrestIntakeLost":        {{`^goldcrest_intake_waiting{`, "-1x150"}},
	"GoldcrestIntakeDeadLetters": {{`^goldcrest_intake_messages_total{.*outcome="dead"`, "0x120 1x30"}},
	"GoldcrestConfigRefused":     {{`^goldcrest_config_reloads_total{.*outcome="error"`, "0x140 1x10"}},
}

// bothShow are the troubles that the other instance must show as well: it would still do the work.
var bothShow = map[string]bool{"GoldcrestQueueStands": true, "GoldcrestIntakeLost": true}

// metricOf finds the metric of a pattern of values.
var metricOf = regexp.MustCompile(`[a-z]+_[a-z_]+|up`)

// rulesTest is what promtool reads: the series of some instances, and the alerts that fire in the end.
type rulesTest struct {
	Interval string
	Name     string
	Input    []ruleSeries `yaml:"input_series"`
	Queries  [1]ruleQuery `yaml:"promql_expr_test"`
}

type ruleSeries struct{ Series, Values string }

type ruleQuery struct {
	Expr    string
	EvalAt  string       `yaml:"eval_time"`
	Samples []ruleSample `yaml:"exp_samples"`
}

type ruleSample struct {
	Labels string
	Value  int
}

// newRulesTest tries rules on two instances, which have the series that the rules name.
func newRulesTest(t *testing.T, name, rules string, series []string, instances [2][]values, fires ...string) rulesTest {
	t.Helper()
	one := rulesTest{Interval: "1m", Name: name}
	one.Queries[0] = ruleQuery{Expr: `group by (alertname) (ALERTS{alertstate="firing"})`, EvalAt: "150m"}
	for _, alert := range fires {
		one.Queries[0].Samples = append(one.Queries[0].Samples, ruleSample{`{alertname="` + alert + `"}`, 1})
	}
	for n, all := range instances {
		matched := map[string]bool{}
		for _, s := range series {
			if metric, _, _ := strings.Cut(s, "{"); !strings.Contains(rules, metric) {
				continue
			}
			in := ruleSeries{fmt.Sprintf(`%sjob="goldcrest",instance="%d"}`, s, n), "0x150"}
			for _, v := range all {
				if regexp.MustCompile(v.series).MatchString(s) {
					in.Values, matched[v.series] = v.are, true
					break
				}
			}
			one.Input = append(one.Input, in)
		}
		for _, v := range all {
			if strings.Contains(rules, metricOf.FindString(v.series)) && !matched[v.series] {
				t.Errorf("%s: an instance has no series %s", name, v.series)
			}
		}
	}
	return one
}

// Prometheus evaluates the shipped alerts on the series that an instance has. None fires while two instances are idle
// or busy, and each fires on the trouble that it is for.
func TestAlertsFire(t *testing.T) {
	promtool, err := exec.LookPath("promtool")
	if err != nil {
		t.Skip("promtool is not installed (.ci/setup test installs it)")
	}
	alerts := document(t, "deploy/prometheus/alerts.yaml")
	cfg := config.Default()
	cfg.API.Tokens = []access.Token{{Name: "shop", Token: "a-token-of-the-shop", Scopes: []string{access.ScopePrewarm}}}
	cfg.Intakes = []intake.Config{{Name: "shop"}}
	series := []string{`up{`}
	line := regexp.MustCompile(`(?m)^(goldcrest_[a-z_]+)(?:\{(.*)\})? `)
	for _, m := range line.FindAllStringSubmatch(scraped(t, cfg), -1) {
		if strings.Contains(alerts, m[1]) {
			series = append(series, m[1]+"{"+strings.TrimPrefix(m[2]+",", ","))
		}
	}
	idle := busy[:2]
	tests := []rulesTest{
		newRulesTest(t, "idle", alerts, series, [2][]values{idle, idle}),
		newRulesTest(t, "busy", alerts, series, [2][]values{busy, busy}),
	}
	for _, rule := range strings.Split(alerts, "- alert: ")[1:] {
		name, _, _ := strings.Cut(rule, "\n")
		trouble, ok := troubles[name]
		if !ok {
			t.Errorf("troubles has nothing for %s", name)
		}
		in := [2][]values{slices.Concat(trouble, busy), busy}
		if bothShow[name] {
			in[1] = in[0]
		}
		tests = append(tests, newRulesTest(t, name, rule, series, in, name))
	}
	dir := t.TempDir()
	text, err := yaml.Marshal(map[string]any{
		"rule_files": []string{"alerts.yaml"}, "evaluation_interval": "1m", "tests": tests,
	})
	if err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string]string{"alerts.yaml": alerts, "tests.yaml": string(text)} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	out, err := exec.Command(promtool, "test", "rules", filepath.Join(dir, "tests.yaml")).CombinedOutput()
	if err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}
