// Package metrics declares every metric, and nothing else does.
package metrics

import (
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	dto "github.com/prometheus/client_model/go"

	"github.com/goldcrest/goldcrest/fault"
)

// The buckets of the histograms: a hit takes well under a millisecond, an AVIF of 12 MP several seconds.
var (
	scoreBuckets   = []float64{30, 40, 45, 50, 55, 60, 65, 68, 69.5, 71, 73, 76, 80, 85, 90, 95, 100}
	secondsBuckets = []float64{.0002, .001, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30}
	bytesBuckets   = []float64{1 << 10, 4 << 10, 16 << 10, 64 << 10, 256 << 10, 1 << 20, 4 << 20, 16 << 20, 64 << 20}
)

// Metrics counts and times what the parts report. It implements their Observer interfaces if these use plain types;
// package app translates the others. Safe for concurrent use.
//
// No label contains a host, a URL or anything else that a caller chooses: a value that does not look like one of our
// own words is counted as "other".
type Metrics struct {
	registry *prometheus.Registry
	levels   atomic.Pointer[func() Levels]
	answers  memo[answerLabels, *answerSeries]
	tiers    memo[tierLabels, *tierSeries]

	requests       *prometheus.CounterVec
	requestSeconds *prometheus.HistogramVec
	errors         *prometheus.CounterVec
	bounds         struct{ limited, closed *prometheus.CounterVec }

	servedBytes    *prometheus.CounterVec
	replacedBytes  *prometheus.CounterVec
	replacingBytes *prometheus.CounterVec

	fills         *prometheus.CounterVec
	phaseSeconds  *prometheus.HistogramVec
	formatSeconds *prometheus.HistogramVec
	scores        *prometheus.HistogramVec
	refused       *prometheus.CounterVec
	remakes       *prometheus.CounterVec
	stages        stages
	masters       *prometheus.CounterVec

	storeOps      *prometheus.CounterVec
	storeSeconds  *prometheus.HistogramVec
	storeBytes    *prometheus.CounterVec
	writesDropped prometheus.Counter

	fetches      *prometheus.CounterVec
	fetchSeconds *prometheus.HistogramVec
	fetchBytes   prometheus.Histogram
	originEvents *prometheus.CounterVec

	transforms       *prometheus.CounterVec
	transformSeconds prometheus.Histogram
	transformCPU     prometheus.Counter
	admissionSeconds prometheus.Histogram
	startSeconds     prometheus.Histogram
	workersEnded     *prometheus.CounterVec

	units    prometheus.Counter
	images   prometheus.Counter
	verdicts *prometheus.CounterVec
	told     told
	usage    usage

	watch   struct{ reloads, lost *prometheus.CounterVec }
	build   *prometheus.GaugeVec
	sandbox *prometheus.GaugeVec
	offset  *prometheus.GaugeVec
}

// stages count variants that are made again at a better stage.
type stages struct {
	upgrades, hot *prometheus.CounterVec
	spared        prometheus.Counter
}

// New declares all metrics in a registry of its own.
func New() *Metrics {
	m := &Metrics{registry: prometheus.NewRegistry()}
	m.declareAnswers()
	m.declareFills()
	m.declareStores()
	m.declareWork()
	m.declarePrewarm()
	m.declareUsage()
	m.registry.MustRegister(levelCollector{m}, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// Handler serves the metrics in the format that the scraper requests.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{})
}

// Gather implements prometheus.Gatherer.
func (m *Metrics) Gather() ([]*dto.MetricFamily, error) { return m.registry.Gather() }

func (m *Metrics) declareAnswers() {
	m.requests = m.counters("requests_total", "Answered requests by door (public, private), status, outcome of the look-up (none where there was none) and tier that had the entry, or the master that it was made from.", "door", "status", "outcome", "tier")
	m.requestSeconds = m.seconds("request_seconds", "Time from a request's first byte to its answer's last.", "door", "outcome")
	m.errors = m.counters("errors_total", "Requests answered with an error, by code of the problem document.", "kind")
	m.bounds.limited = m.counters("limited_total", "Calls of a token, or variants to be made for a key id, that were refused for their limit.", "what", "name")
	m.bounds.closed = m.counters("connections_closed_total", "Connections closed for a bound (connections, connections_per_address): idle ones that made room, and those that were one too many of their address.", "bound")
	m.servedBytes = m.counters("served_bytes_total", "Bytes of bodies sent, by format of the variant (none for what is not a picture).", "format")
	m.replacedBytes = m.counters("replaced_bytes_total", "Bytes of the originals in whose place variants were sent.", "format")
	m.replacingBytes = m.counters("replacing_bytes_total", "Bytes of variants that were sent whole in the place of originals; replaced less replacing is what was saved.", "format")
}

func (m *Metrics) declareFills() {
	m.fills = m.counters("fills_total", "Variants made, by format and by kind of failure (none for success).", "format", "kind")
	m.phaseSeconds = m.seconds("phase_seconds", "Time a fill spent in each phase: lookup, queue, fetch, transform.", "phase")
	m.scores = m.histograms("score", "SSIMULACRA2 of the variants whose score was measured, by weight class, format and what they show.", scoreBuckets,
		"class", "format", "picture")
	m.formatSeconds = m.seconds("fill_transform_seconds", "Time a fill spent in its transform, by format of the variant.", "format")
	m.refused = m.counters("gate_refused_total", "Viewers' pictures refused at a gate: they would have waited too long, or its waiting room was full.", "gate")
	m.remakes = m.counters("remakes_total", "Old entries remade behind an answer, by outcome.", "outcome")
	m.masters = m.counters("masters_total", "Variants made from a stored master instead of the original (used), and masters made, failed, or dropped because too much else was to be done.", "outcome")
	m.stages.upgrades = m.counters("upgrades_total", "First-stage entries asked to be upgraded (queued, dropped), and what became of the queued ones (made, kept, present, gone, failed).", "outcome")
	m.stages.hot = m.counters("hot_total", "Variants that viewers asked for so often that a slower encoder was worth it (queued, dropped), and "+
		"what became of the queued ones (made, kept, present, gone, failed).", "outcome")
	m.stages.spared = m.counter("hot_spared_bytes_total", "Bytes by which the slower encoder made hot variants smaller, once for each variant.")
}

func (m *Metrics) declareStores() {
	m.storeOps = m.counters("store_operations_total", "Operations on a tier of the cache.", "tier", "op", "outcome")
	m.storeSeconds = m.seconds("store_seconds", "Time of an operation on a tier other than memory.", "tier", "op")
	m.storeBytes = m.counters("store_bytes_total", "Bytes moved by operations on a tier of the cache.", "tier", "op")
	m.writesDropped = m.counter("store_writes_dropped_total", "Variants not written to the store, because too many bytes were waiting or the store was failing.")
}

func (m *Metrics) declareWork() {
	m.fetches = m.counters("fetches_total", "Originals asked of their origins, by kind of failure (none for success).", "kind")
	m.fetchSeconds = m.seconds("fetch_seconds", "Time of a fetch with its redirects.", "kind")
	m.fetchBytes = m.histogram("fetch_bytes", "Size of fetched originals.", bytesBuckets)
	m.originEvents = m.counters("origin_events_total", "Turns that fetches took: retry, redirect, known_bad and the like.", "event")
	m.transforms = m.counters("transforms_total", "Originals given to the workers, by kind of failure (none for success).", "kind")
	m.transformSeconds = m.histogram("transform_seconds", "Time of an original's variants in the workers.", secondsBuckets)
	m.transformCPU = m.counter("transform_cpu_seconds_total", "Processor time that workers spent on pictures.")
	m.admissionSeconds = m.histogram("admission_seconds", "Time that pictures waited for memory before their transform.", secondsBuckets)
	m.startSeconds = m.histogram("worker_start_seconds", "Time from a worker's start until it was ready.", secondsBuckets)
	m.workersEnded = m.counters("workers_ended_total", "Worker processes that ended, by reason.", "reason")
	m.watch.lost = m.counters("telemetry_lost_total", "What was dropped, as its service did not accept it or was too slow, by signal: spans (traces), exports (metrics), "+
		"lines (logs), reports of failures (reports).", "signal")
	m.watch.reloads = m.counters("config_reloads_total", "Configuration reloads by outcome (ok, error).", "outcome")
	m.build = prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "goldcrest_build_info", Help: "Always 1; the labels say what runs."}, []string{"version", "goversion", "libvips"})
	m.sandbox = prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "goldcrest_worker_sandbox", Help: "1 where workers are enclosed by this part of the sandbox (landlock, seccomp), 0 where not."}, []string{"part"})
	m.offset = prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "goldcrest_quality_offset", Help: "Mean score by which an encoder differs from what its automatic quality was fitted on, as the self-check measured it before any correction; beyond 2 either way the encoder is corrected."}, []string{"coder", "kind"})
	m.registry.MustRegister(m.build, m.sandbox, m.offset)
}

func (m *Metrics) declarePrewarm() {
	m.units = m.counter("prewarm_units_total", "Data Units accepted.")
	m.images = m.counter("prewarm_images_total", "Images found in accepted Data Units.")
	m.verdicts = m.counters("prewarm_verdicts_total", "Verdicts on variants that Data Units asked for, by state and by kind of failure (none for success).", "state", "kind")
	m.declareTold()
}

func (m *Metrics) counter(name, help string) prometheus.Counter {
	c := prometheus.NewCounter(prometheus.CounterOpts{Name: "goldcrest_" + name, Help: help})
	m.registry.MustRegister(c)
	return c
}

func (m *Metrics) counters(name, help string, labels ...string) *prometheus.CounterVec {
	c := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "goldcrest_" + name, Help: help}, labels)
	m.registry.MustRegister(c)
	return c
}

func (m *Metrics) histogram(name, help string, buckets []float64) prometheus.Histogram {
	h := prometheus.NewHistogram(prometheus.HistogramOpts{Name: "goldcrest_" + name, Help: help, Buckets: buckets})
	m.registry.MustRegister(h)
	return h
}

func (m *Metrics) seconds(name, help string, labels ...string) *prometheus.HistogramVec {
	return m.histograms(name, help, secondsBuckets, labels...)
}

func (m *Metrics) histograms(name, help string, buckets []float64, labels ...string) *prometheus.HistogramVec {
	h := prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "goldcrest_" + name, Help: help, Buckets: buckets}, labels)
	m.registry.MustRegister(h)
	return h
}

// word is s as a label value: "none" when empty, "other" when it is not one of our own words.
func word(s string) string {
	if s == "" {
		return "none"
	}
	if len(s) > 40 {
		return "other"
	}
	for i := range len(s) {
		if c := s[i]; (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '_' {
			return "other"
		}
	}
	return s
}

// Request is one finished request.
type Request struct {
	Door     string // public or private
	Status   int
	Outcome  string // hit, stale, miss, collapsed; "" if there was no look-up
	Tier     string // the tier that had the entry; "" = none
	Format   string // of the variant sent; "" = no picture
	Kind     string // of the fault; "" = success
	Elapsed  time.Duration
	Bytes    int64 // of the body sent
	Original int64 // size of the original that the variant replaced; 0 = not known, or only a part was sent
}

// Request counts a response.
func (m *Metrics) Request(r Request) {
	s := m.answers.get(answerLabels{r.Door, r.Outcome, r.Tier, r.Format, r.Kind, r.Status}, m.answerSeries)
	if s.errors != nil {
		s.errors.Inc()
	}
	s.requests.Inc()
	s.seconds.Observe(r.Elapsed.Seconds())
	s.served.Add(float64(r.Bytes))
	if r.Original > 0 {
		s.replaced.Add(float64(r.Original))
		s.replacing.Add(float64(r.Bytes))
	}
}

// Limited counts a request that was refused by the limit of a token or key. The name comes from the configuration, so
// the label is bounded.
func (m *Metrics) Limited(what, name string) {
	if name == "" {
		name = "none"
	}
	m.bounds.limited.WithLabelValues(word(what), strings.ToValidUTF8(name, "")).Inc()
}

// ConnectionClosed counts a connection that was closed because of a limit: connections or connections_per_address.
func (m *Metrics) ConnectionClosed(bound string) { m.bounds.closed.WithLabelValues(word(bound)).Inc() }

// Fill is the work on one variant.
type Fill struct {
	Format                          string
	Kind                            fault.Kind // "" = success
	Class, Picture                  string     // the weight class, and the class of the picture
	Score                           float64    // SSIMULACRA2 that was measured; 0 = not measured
	Lookup, Queue, Fetch, Transform time.Duration
}

// Filled counts a fill and the times of its phases.
func (m *Metrics) Filled(f Fill) {
	m.fills.WithLabelValues(word(f.Format), word(string(f.Kind))).Inc()
	for _, p := range [...]struct {
		name string
		took time.Duration
	}{{"lookup", f.Lookup}, {"queue", f.Queue}, {"fetch", f.Fetch}, {"transform", f.Transform}} {
		if p.took > 0 {
			m.phaseSeconds.WithLabelValues(p.name).Observe(p.took.Seconds())
		}
	}
	if f.Score > 0 {
		m.scores.WithLabelValues(word(f.Class), word(f.Format), word(f.Picture)).Observe(f.Score)
	}
	if f.Transform > 0 {
		m.formatSeconds.WithLabelValues(word(f.Format)).Observe(f.Transform.Seconds())
	}
}

// Refused counts a request that a gate refused.
func (m *Metrics) Refused(gate string) { m.refused.WithLabelValues(word(gate)).Inc() }

// Remade counts an old entry that was made again in the background.
func (m *Metrics) Remade(outcome string) { m.remakes.WithLabelValues(word(outcome)).Inc() }

// Mastered counts a variant that was made from a master, or the outcome of making a master.
func (m *Metrics) Mastered(outcome string) { m.masters.WithLabelValues(word(outcome)).Inc() }

// Upgraded counts the upgrade of a first-stage entry that was queued, or its outcome.
func (m *Metrics) Upgraded(outcome string) { m.stages.upgrades.WithLabelValues(word(outcome)).Inc() }

// Lightened counts the remake of a hot variant that was queued, or its outcome, and the bytes by which it shrank.
func (m *Metrics) Lightened(outcome string, spared int64) {
	m.stages.hot.WithLabelValues(word(outcome)).Inc()
	m.stages.spared.Add(float64(max(0, spared)))
}

// Observe counts an operation on a tier of the cache (cache.Observer).
func (m *Metrics) Observe(tier, op, outcome string, elapsed time.Duration, bytes int64) {
	s := m.tiers.get(tierLabels{tier, op, outcome}, m.tierSeries)
	s.ops.Inc()
	if bytes > 0 && s.bytes != nil {
		s.bytes.Add(float64(bytes))
	}
	if s.seconds != nil {
		s.seconds.Observe(elapsed.Seconds())
	}
	if s.dropped {
		m.writesDropped.Inc()
	}
}

// Fetched counts a request to an origin; kind is that of the fault, "" for success.
func (m *Metrics) Fetched(kind fault.Kind, elapsed time.Duration, bytes int64) {
	m.fetches.WithLabelValues(word(string(kind))).Inc()
	m.fetchSeconds.WithLabelValues(word(string(kind))).Observe(elapsed.Seconds())
	if kind == "" {
		m.fetchBytes.Observe(float64(bytes))
	}
}

// Noted counts an event of a fetch by its name.
func (m *Metrics) Noted(event string) { m.originEvents.WithLabelValues(word(event)).Inc() }

// Transformed counts an original passed to the workers; kind is that of the fault, "" for success. cpu is the processor
// time, if known.
func (m *Metrics) Transformed(kind fault.Kind, wall, cpu time.Duration) {
	m.transforms.WithLabelValues(word(string(kind))).Inc()
	m.transformSeconds.Observe(wall.Seconds())
	m.transformCPU.Add(max(0, cpu.Seconds()))
}

// Admitted times how long a picture waited for memory.
func (m *Metrics) Admitted(waited time.Duration) { m.admissionSeconds.Observe(waited.Seconds()) }

// WorkerStarted counts a worker process that is ready, and times its start.
func (m *Metrics) WorkerStarted(took time.Duration) { m.startSeconds.Observe(took.Seconds()) }

// WorkerEnded counts a worker process that ended, by reason: crash, timeout, recycle and others.
func (m *Metrics) WorkerEnded(reason string) { m.workersEnded.WithLabelValues(word(reason)).Inc() }

// Accepted counts the Data Units of a call and the images in them (prewarm.Observer).
func (m *Metrics) Accepted(units, images int) {
	m.units.Add(float64(units))
	m.images.Add(float64(images))
}

// Judged counts verdicts on variants (prewarm.Observer); kind is that of the fault, "" for success.
func (m *Metrics) Judged(state, kind string, variants int) {
	m.verdicts.WithLabelValues(word(state), word(string(kind))).Add(float64(variants))
}

// Reloaded counts a configuration reload: ok or error.
func (m *Metrics) Reloaded(outcome string) { m.watch.reloads.WithLabelValues(word(outcome)).Inc() }

// Lost counts what a service for traces, metrics, logs or reports did not accept.
func (m *Metrics) Lost(signal string, items int) {
	m.watch.lost.WithLabelValues(word(signal)).Add(float64(items))
}

// Build sets the build that runs.
func (m *Metrics) Build(version, goversion, libvips string) {
	m.build.Reset()
	m.build.WithLabelValues(version, goversion, libvips).Set(1)
}

// QualityOffset sets the difference of an encoder (avif9, avif8, webp4, jpeg) from the one that its quality was fitted
// on, for a kind of picture (photo, print).
func (m *Metrics) QualityOffset(coder, kind string, score float64) {
	m.offset.WithLabelValues(coder, kind).Set(score)
}

// Sandbox sets how workers are sandboxed.
func (m *Metrics) Sandbox(landlock, seccomp bool) {
	for part, on := range map[string]bool{"landlock": landlock, "seccomp": seccomp} {
		m.sandbox.WithLabelValues(part).Set(map[bool]float64{true: 1}[on])
	}
}
