package metrics

import (
	"slices"

	"github.com/goldcrest/goldcrest/fault"
)

// Expected has the label values that depend on the configuration.
type Expected struct {
	Store  string   // the tier behind memory: dir or s3
	Tokens []string // names of the configured tokens

	Intakes []string // names of the configured intakes
}

// The label values that callers use. TestEveryWordIsThereFromTheStart compares them with the callers' sources.
var (
	formats  = []string{"jpg", "png", "webp", "avif", "jxl", "gif"}
	answered = []struct{ outcome, tier string }{
		{"hit", "memory"}, {"hit", "store"}, {"stale", "memory"}, {"stale", "store"}, {"miss", ""}, {"miss", "master"}, {"collapsed", ""},
	}
	errorStatuses = []string{"400", "403", "404", "422", "429", "500", "502", "503", "504"}
	gates         = []string{"fetch", "transform", "master"}
	phases        = []string{"lookup", "queue", "fetch", "transform"}
	remade        = []string{"made", "renewed", "failed", "deferred"}
	mastered      = []string{"used", "made", "failed", "dropped"}
	upgraded      = []string{"queued", "dropped", "made", "kept", "present", "gone", "failed"}
	turns         = []string{"retry", "redirect", "known_bad", "gzip", "lacks_eoi", "not_modified"}
	endings       = []string{"crash", "lie", "timeout", "cpu", "panic", "idle", "start", "recycle", "memory", "unused", "close"}
	toldWords     = []string{"ok", "again", "given_up"}
	delivered     = []string{"accepted", "known", "again", "dead", "broken"}
	published     = []string{"ok", "failed"}
	reloaded      = []string{"ok", "error"}
	signals       = []string{"traces", "metrics", "logs", "reports"}
	crowded       = []string{"connections", "connections_per_address"}
	judged        = []string{"made", "present", "skipped", "cancelled", "expired"}
)

// Expect starts the series of all known label values at 0. A rate or an increase needs a value before the first event,
// and a panel without series shows "No data" for a healthy instance. Series by a configured name (limited_total), and
// failures by format (fills_total), start with their first event.
func (m *Metrics) Expect(e Expected) {
	var kinds []string
	for _, k := range fault.Kinds() {
		kinds = append(kinds, string(k))
	}
	failures := append([]string{"none"}, kinds...)
	start(m.errors, kinds)
	start(m.refused, gates)
	start(m.fetches, failures)
	start(m.transforms, failures)
	start(m.remakes, remade)
	start(m.masters, mastered)
	start(m.stages.upgrades, upgraded)
	start(m.stages.hot, upgraded)
	start(m.originEvents, turns)
	start(m.workersEnded, endings)
	start(m.told.callbacks, toldWords)
	start(m.watch.reloads, reloaded)
	start(m.watch.lost, signals)
	start(m.bounds.closed, crowded)
	start(m.verdicts, judged, []string{"none"})
	start(m.verdicts, []string{"broken", "failed"}, kinds)
	start(m.fills, formats, []string{"none"})
	start(m.phaseSeconds, phases)
	start(m.formatSeconds, formats)
	start(m.fetchSeconds, []string{"none"})
	m.ExpectTokens(e.Tokens)
	start(m.told.delivered, e.Intakes, delivered)
	start(m.told.published, e.Intakes, published)
	start(m.told.waiting, e.Intakes)
	start(m.told.paused, e.Intakes)
	m.expectAnswers()
	m.expectTier("memory", "hit", "miss", "ok")
	m.expectTier(e.Store, "hit", "miss", "ok", "error")
}

func (m *Metrics) expectAnswers() {
	for _, format := range formats {
		m.answerSeries(answerLabels{door: "public", outcome: "hit", tier: "memory", format: format, status: 200})
	}
	for _, a := range answered {
		m.answerSeries(answerLabels{door: "public", outcome: a.outcome, tier: a.tier, status: 200})
	}
	start(m.requests, []string{"public"}, errorStatuses, []string{"error"}, []string{"none"})
	start(m.requests, []string{"private"}, []string{"200"}, []string{"none"}, []string{"none"})
	start(m.requestSeconds, []string{"public"}, []string{"error"})
}

// expectTier starts the series of a tier's reads and writes.
func (m *Metrics) expectTier(tier string, outcomes ...string) {
	for _, o := range outcomes {
		op := "get"
		if o == "ok" {
			op = "put"
		}
		m.tierSeries(tierLabels{tier, op, o})
	}
}

// start creates the series for every combination of label values, in the order of the labels.
func start[M any](vec interface{ WithLabelValues(...string) M }, values ...[]string) {
	combinations := [][]string{nil}
	for _, of := range values {
		var longer [][]string
		for _, c := range combinations {
			for _, v := range of {
				longer = append(longer, append(slices.Clip(c), v))
			}
		}
		combinations = longer
	}
	for _, c := range combinations {
		vec.WithLabelValues(c...)
	}
}
