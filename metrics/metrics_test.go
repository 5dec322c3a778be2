package metrics

import (
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

// exercised is a Metrics of which every method was called, so that every metric shows.
func exercised() *Metrics {
	m := New()
	m.Request(Request{Door: "public", Status: 200, Outcome: "hit", Tier: "memory", Format: "webp", Elapsed: time.Millisecond, Bytes: 100, Original: 1000})
	m.Request(Request{Door: "public", Status: 404, Kind: "source_not_found"})
	m.Filled(Fill{Format: "webp", Lookup: 1, Queue: 1, Fetch: 1, Transform: 1})
	m.Refused("fetch")
	m.Remade("ok")
	m.Observe("s3", "put", "ok", time.Second, 10)
	m.Observe("store", "put", "dropped", 0, 10)
	m.Fetched("", time.Second, 10)
	m.Noted("retry")
	m.Transformed("", time.Second, time.Second)
	m.Admitted(time.Second)
	m.WorkerStarted(time.Second)
	m.WorkerEnded("deadline")
	m.Accepted(2, 3)
	m.Judged("made", "", 1)
	m.Told("ok")
	m.Reloaded("ok")
	m.Lost("logs", 1)
	m.Build("v1", "go1.26", "8.14.1")
	return m
}

func TestNamesAndHelp(t *testing.T) {
	m := exercised()
	families, err := m.registry.Gather() // refuses two metrics of one name
	if err != nil {
		t.Fatal(err)
	}
	ours := 0
	for _, f := range families {
		if !strings.HasPrefix(f.GetName(), "goldcrest_") {
			continue
		}
		ours++
		if f.GetHelp() == "" {
			t.Errorf("%s has no help", f.GetName())
		}
	}
	if ours < 30 {
		t.Errorf("%d metrics show, want at least 30", ours)
	}
	problems, err := testutil.GatherAndLint(m.registry)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
}

// moved is the sum of a metric's samples (counts, for histograms) whose labels all contain want.
func moved(t *testing.T, m *Metrics, name string, want map[string]string) float64 {
	t.Helper()
	families, err := m.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	sum := 0.0
	for _, f := range families {
		if f.GetName() != "goldcrest_"+name {
			continue
		}
	samples:
		for _, s := range f.GetMetric() {
			got := map[string]string{}
			for _, l := range s.GetLabel() {
				got[l.GetName()] = l.GetValue()
			}
			for k, v := range want {
				if got[k] != v {
					continue samples
				}
			}
			sum += s.GetCounter().GetValue() + s.GetGauge().GetValue() + float64(s.GetHistogram().GetSampleCount())
		}
	}
	return sum
}

func TestEveryMethodMovesItsMetric(t *testing.T) {
	type labels = map[string]string
	tests := []struct {
		do     func(m *Metrics)
		metric string
		labels labels
		want   float64
	}{
		{func(m *Metrics) {
			m.Request(Request{Door: "public", Status: 200, Outcome: "hit", Tier: "memory"})
		}, "requests_total", labels{"door": "public", "status": "200", "outcome": "hit", "tier": "memory"}, 1},
		{func(m *Metrics) { m.Request(Request{Door: "private", Status: 204}) }, "requests_total", labels{"outcome": "none", "tier": "none"}, 1},
		{func(m *Metrics) { m.Request(Request{Door: "public", Status: 502, Outcome: "miss", Kind: "dns_failed"}) }, "requests_total", labels{"status": "502", "outcome": "error"}, 1},
		{func(m *Metrics) { m.Request(Request{Door: "public", Kind: "dns_failed"}) }, "errors_total", labels{"kind": "dns_failed"}, 1},
		{func(m *Metrics) { m.Request(Request{Door: "public", Outcome: "miss"}) }, "request_seconds", labels{"outcome": "miss"}, 1},
		{func(m *Metrics) { m.Request(Request{Format: "webp", Bytes: 30, Original: 100}) }, "served_bytes_total", labels{"format": "webp"}, 30},
		{func(m *Metrics) { m.Request(Request{Format: "webp", Bytes: 30, Original: 100}) }, "replaced_bytes_total", labels{"format": "webp"}, 100},
		{func(m *Metrics) { m.Request(Request{Format: "webp", Bytes: 30, Original: 100}) }, "replacing_bytes_total", labels{"format": "webp"}, 30},
		{func(m *Metrics) { m.Request(Request{Format: "png", Bytes: 300, Original: 100}) }, "replacing_bytes_total", nil, 300},
		{func(m *Metrics) { m.Request(Request{Format: "png", Bytes: 300}) }, "replaced_bytes_total", nil, 0},
		{func(m *Metrics) { m.Filled(Fill{Format: "avif", Kind: "poison"}) }, "fills_total", labels{"format": "avif", "kind": "poison"}, 1},
		{func(m *Metrics) { m.Filled(Fill{Fetch: time.Second}) }, "phase_seconds", labels{"phase": "fetch"}, 1},
		{func(m *Metrics) { m.Filled(Fill{Fetch: time.Second}) }, "phase_seconds", nil, 1},
		{func(m *Metrics) { m.Refused("transform") }, "gate_refused_total", labels{"gate": "transform"}, 1},
		{func(m *Metrics) { m.Remade("error") }, "remakes_total", labels{"outcome": "error"}, 1},
		{func(m *Metrics) { m.Upgraded("made") }, "upgrades_total", labels{"outcome": "made"}, 1},
		{func(m *Metrics) { m.Lightened("made", 7) }, "hot_total", labels{"outcome": "made"}, 1},
		{func(m *Metrics) { m.Lightened("made", 7) }, "hot_spared_bytes_total", nil, 7},
		{func(m *Metrics) { m.Observe("dir", "get", "miss", time.Second, 0) }, "store_operations_total", labels{"tier": "dir", "op": "get", "outcome": "miss"}, 1},
		{func(m *Metrics) { m.Observe("dir", "get", "hit", time.Second, 7) }, "store_bytes_total", labels{"tier": "dir", "op": "get"}, 7},
		{func(m *Metrics) { m.Observe("dir", "get", "hit", time.Second, 7) }, "store_seconds", labels{"tier": "dir", "op": "get"}, 1},
		{func(m *Metrics) { m.Observe("memory", "get", "hit", 0, 7) }, "store_seconds", nil, 0},
		{func(m *Metrics) { m.Observe("store", "put", "dropped", 0, 7) }, "store_writes_dropped_total", nil, 1},
		{func(m *Metrics) { m.Observe("store", "put", "dropped", 0, 7) }, "store_bytes_total", nil, 0},
		{func(m *Metrics) { m.Observe("store", "get", "open", 0, 0) }, "store_writes_dropped_total", nil, 0},
		{func(m *Metrics) { m.Fetched("source_timeout", time.Second, 0) }, "fetches_total", labels{"kind": "source_timeout"}, 1},
		{func(m *Metrics) { m.Fetched("", time.Second, 5) }, "fetch_seconds", labels{"kind": "none"}, 1},
		{func(m *Metrics) { m.Fetched("", time.Second, 5) }, "fetch_bytes", nil, 1},
		{func(m *Metrics) { m.Fetched("source_timeout", time.Second, 0) }, "fetch_bytes", nil, 0},
		{func(m *Metrics) { m.Filled(Fill{Format: "avif", Transform: 1}) }, "fill_transform_seconds", labels{"format": "avif"}, 1},
		{func(m *Metrics) { m.Filled(Fill{Format: "avif", Fetch: 1}) }, "fill_transform_seconds", nil, 0},
		{func(m *Metrics) { m.Noted("retry") }, "origin_events_total", labels{"event": "retry"}, 1},
		{func(m *Metrics) { m.Transformed("poison", 0, 0) }, "transforms_total", labels{"kind": "poison"}, 1},
		{func(m *Metrics) { m.Transformed("", time.Second, 0) }, "transform_seconds", nil, 1},
		{func(m *Metrics) { m.Transformed("", time.Second, 2*time.Second) }, "transform_cpu_seconds_total", nil, 2},
		{func(m *Metrics) { m.Transformed("timeout", time.Second, -1) }, "transform_cpu_seconds_total", nil, 0},
		{func(m *Metrics) { m.Admitted(time.Second) }, "admission_seconds", nil, 1},
		{func(m *Metrics) { m.WorkerStarted(time.Second) }, "worker_start_seconds", nil, 1},
		{func(m *Metrics) { m.WorkerEnded("crashed") }, "workers_ended_total", labels{"reason": "crashed"}, 1},
		{func(m *Metrics) { m.Accepted(2, 3) }, "prewarm_units_total", nil, 2},
		{func(m *Metrics) { m.Accepted(2, 3) }, "prewarm_images_total", nil, 3},
		{func(m *Metrics) { m.Judged("broken", "decode_failed", 4) }, "prewarm_verdicts_total", labels{"state": "broken", "kind": "decode_failed"}, 4},
		{func(m *Metrics) { m.Used("shop", Used{Units: 2}) }, "usage_units_total", labels{"token": "shop"}, 2},
		{func(m *Metrics) { m.Used("shop", Used{Images: 2}) }, "usage_images_total", labels{"token": "shop"}, 2},
		{func(m *Metrics) { m.Used("shop", Used{Refused: 2}) }, "usage_refused_total", labels{"token": "shop"}, 2},
		{func(m *Metrics) { m.Used("shop", Used{Made: 2}) }, "usage_made_total", labels{"token": "shop"}, 2},
		{func(m *Metrics) { m.Used("shop", Used{Broken: 2}) }, "usage_broken_total", labels{"token": "shop"}, 2},
		{func(m *Metrics) { m.Used("shop", Used{Fetched: 2}) }, "usage_fetched_bytes_total", labels{"token": "shop"}, 2},
		{func(m *Metrics) { m.Used("shop", Used{Stored: 2}) }, "usage_stored_bytes_total", labels{"token": "shop"}, 2},
		{func(m *Metrics) { m.Used("shop", Used{Replaced: 2}) }, "usage_replaced_bytes_total", labels{"token": "shop"}, 2},
		{func(m *Metrics) { m.ExpectTokens([]string{"a", "\xffb"}) }, "usage_units_total", labels{"token": "b"}, 0},
		{func(m *Metrics) { m.Told("given_up") }, "prewarm_callbacks_total", labels{"outcome": "given_up"}, 1},
		{func(m *Metrics) { m.ConnectionClosed("connections") }, "connections_closed_total", labels{"bound": "connections"}, 1},
		{func(m *Metrics) { m.Lost("logs", 3) }, "telemetry_lost_total", labels{"signal": "logs"}, 3},
		{func(m *Metrics) { m.Reloaded("error") }, "config_reloads_total", labels{"outcome": "error"}, 1},
		{func(m *Metrics) { m.Build("v1", "go", "8"); m.Build("v2", "go", "8") }, "build_info", labels{"version": "v2"}, 1},
		{func(m *Metrics) { m.Build("v1", "go", "8"); m.Build("v2", "go", "8") }, "build_info", nil, 1},
		{func(m *Metrics) { m.Sandbox(true, false) }, "worker_sandbox", labels{"part": "landlock"}, 1},
		{func(m *Metrics) { m.QualityOffset("avif9", "photo", -5.5) }, "quality_offset", labels{"coder": "avif9", "kind": "photo"}, -5.5},
		{func(m *Metrics) { m.Sandbox(true, false) }, "worker_sandbox", labels{"part": "seccomp"}, 0},
	}
	for _, tt := range tests {
		m := New()
		tt.do(m)
		if got := moved(t, m, tt.metric, tt.labels); got != tt.want {
			t.Errorf("%s%v = %v, want %v", tt.metric, tt.labels, got, tt.want)
		}
	}
}

func TestLevelsAreReadAtEachScrape(t *testing.T) {
	m := New()
	now := Levels{}
	m.Watch(func() Levels { return now })
	tests := []struct {
		metric string
		labels map[string]string
		set    func()
	}{
		{"memory_bytes", nil, func() { now.MemoryBytes = 1 }},
		{"memory_entries", nil, func() { now.MemoryEntries = 1 }},
		{"store_pending_bytes", nil, func() { now.PendingBytes = 1 }},
		{"fills_in_flight", nil, func() { now.Fills = 1 }},
		{"gate_running", map[string]string{"gate": "fetch"}, func() { now.FetchRunning = 1 }},
		{"gate_waiting", map[string]string{"gate": "fetch"}, func() { now.FetchWaiting = 1 }},
		{"gate_running", map[string]string{"gate": "transform"}, func() { now.TransformRunning = 1 }},
		{"gate_waiting", map[string]string{"gate": "transform"}, func() { now.TransformWaiting = 1 }},
		{"gate_held", nil, func() { now.TransformHeld = 1 }},
		{"upgrades_pending", nil, func() { now.UpgradesPending = 1 }},
		{"workers", nil, func() { now.Workers = 1 }},
		{"workers_busy", nil, func() { now.WorkersBusy = 1 }},
		{"image_bytes", nil, func() { now.ImageBytes = 1 }},
		{"negative_entries", nil, func() { now.NegativeEntries = 1 }},
		{"origin_breakers_open", nil, func() { now.BreakersOpen = 1 }},
		{"memory_step", nil, func() { now.PressureStep = 1 }},
		{"memory_used_bytes", nil, func() { now.PressureUsed = 1 }},
		{"memory_limit_bytes", nil, func() { now.PressureLimit = 1 }},
		{"store_hung_calls", nil, func() { now.StoreHung = 1 }},
		{"prewarm_jobs", nil, func() { now.Jobs = 1 }},
		{"prewarm_variants_pending", nil, func() { now.JobVariants = 1 }},
		{"prewarm_images_working", nil, func() { now.JobWorking = 1 }},
		{"prewarm_queue_waiting", nil, func() { now.JobWaiting = 1 }},
		{"prewarm_queue_silent", nil, func() { now.QueueSilent = true }},
		{"store_breaker_open", nil, func() { now.StoreOpen = true }},
	}
	if len(tests) != len(levels) {
		t.Errorf("%d levels are tested, want %d", len(tests), len(levels))
	}
	for _, tt := range tests {
		if got := moved(t, m, tt.metric, tt.labels); got != 0 {
			t.Errorf("%s%v = %v before, want 0", tt.metric, tt.labels, got)
		}
		tt.set()
		if got := moved(t, m, tt.metric, tt.labels); got != 1 {
			t.Errorf("%s%v = %v, want 1", tt.metric, tt.labels, got)
		}
	}
}

// A label that a stranger could fill would let strangers fill our memory, and show hosts to anyone who reads the
// metrics.
func TestLabelsHoldOurWordsOnly(t *testing.T) {
	tests := map[string]string{
		"": "none", "hit": "hit", "source_not_found": "source_not_found", "2g": "2g",
		"images.example.com": "other", "https://a/b": "other", "Host": "other", "a b": "other", "é": "other",
		strings.Repeat("a", 41): "other",
	}
	for in, want := range tests {
		if got := word(in); got != want {
			t.Errorf("word(%q) = %q, want %q", in, got, want)
		}
	}
	m := New()
	m.Fetched("images.example.com", 0, 0)
	if got := moved(t, m, "fetches_total", map[string]string{"kind": "other"}); got != 1 {
		t.Errorf("fetches_total{kind=other} = %v, want 1", got)
	}
}

func TestHandler(t *testing.T) {
	w := httptest.NewRecorder()
	exercised().Handler().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	body := w.Body.String()
	for _, want := range []string{"goldcrest_memory_bytes 0\n", `goldcrest_fetches_total{kind="none"} 1`, "go_goroutines", "process_open_fds"} {
		if !strings.Contains(body, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
}

var _ prometheus.Collector = levelCollector{}

func BenchmarkRequest(b *testing.B) {
	m := New()
	b.ReportAllocs()
	for b.Loop() {
		m.Request(Request{Door: "public", Status: 200, Outcome: "hit", Tier: "memory", Format: "webp", Elapsed: time.Millisecond, Bytes: 30_000, Original: 300_000})
	}
}
