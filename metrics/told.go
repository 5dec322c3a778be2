package metrics

import "github.com/prometheus/client_golang/prometheus"

// told are the counters of intake messages, and of notifications about jobs.
type told struct {
	callbacks            *prometheus.CounterVec
	delivered, published *prometheus.CounterVec // by intake
	waiting, paused      *prometheus.GaugeVec   // by intake
}

func (m *Metrics) declareTold() {
	m.told = told{
		callbacks: m.counters("prewarm_callbacks_total",
			"Tries to tell a backend about its job, by outcome (ok, again, given_up).", "outcome"),
		delivered: m.counters("intake_messages_total",
			"Messages that an intake was given, by outcome (accepted, known, again, dead; broken: the broker was lost).",
			"intake", "outcome"),
		published: m.counters("intake_notices_total",
			"Verdicts and ends of jobs that an intake's outlet was given, by outcome (ok, failed).",
			"intake", "outcome"),
		waiting: gauges("intake_waiting", "Messages in an intake's queue; -1 = not known.", "intake"),
		paused:  gauges("intake_paused", "1 where an operator has paused an intake.", "intake"),
	}
	m.registry.MustRegister(m.told.waiting, m.told.paused)
}

func gauges(name, help string, labels ...string) *prometheus.GaugeVec {
	return prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "goldcrest_" + name, Help: help}, labels)
}

// Told counts an attempt to notify a backend about its job (prewarm.Observer).
func (m *Metrics) Told(outcome string) { m.told.callbacks.WithLabelValues(word(outcome)).Inc() }

// Delivered counts a message of an intake (intake.Observer). The label is bounded by the configured intakes.
func (m *Metrics) Delivered(intake, outcome string) {
	m.told.delivered.WithLabelValues(intake, word(outcome)).Inc()
}

// Published counts a notice of an intake (intake.Observer).
func (m *Metrics) Published(intake, outcome string) {
	m.told.published.WithLabelValues(intake, word(outcome)).Inc()
}

// Queued sets how many messages wait for an intake, and whether it is paused (intake.Observer).
func (m *Metrics) Queued(intake string, waiting int, paused bool) {
	m.told.waiting.WithLabelValues(intake).Set(float64(waiting))
	m.told.paused.WithLabelValues(intake).Set(map[bool]float64{true: 1}[paused])
}
