package metrics

import "github.com/prometheus/client_golang/prometheus"

// Levels is the current state of the parts, read once per scrape.
type Levels struct {
	MemoryBytes      int64 `json:"memory_bytes"` // of the memory tier
	MemoryEntries    int64 `json:"memory_entries"`
	PendingBytes     int64 `json:"store_pending_bytes"` // bodies waiting to be written to the store
	Fills            int   `json:"fills"`               // variants being made
	FetchRunning     int   `json:"fetch_running"`       // the fetch gate
	FetchWaiting     int   `json:"fetch_waiting"`
	TransformRunning int   `json:"transform_running"` // the transform gate
	TransformWaiting int   `json:"transform_waiting"`
	TransformHeld    int   `json:"transform_held"`   // of those, because their source or signing key uses its share
	UpgradesPending  int   `json:"upgrades_pending"` // first-stage entries queued or running
	Workers          int   `json:"workers"`
	WorkersBusy      int   `json:"workers_busy"`
	ImageBytes       int64 `json:"image_bytes"`          // estimated decoded bytes of the running pictures
	NegativeEntries  int   `json:"negative_entries"`     // sources that are known to be bad
	BreakersOpen     int   `json:"origin_breakers_open"` // origins whose circuit is open
	StoreOpen        bool  `json:"store_breaker_open"`   // the store failed recently and is not called
	StoreHung        int   `json:"store_hung_calls"`     // calls to the directory store that do not return
	Jobs             int   `json:"prewarm_jobs"`         // that have not ended
	JobVariants      int   `json:"prewarm_variants"`     // pending in them
	JobWorking       int   `json:"prewarm_working"`      // images that this instance works on
	JobWaiting       int   `json:"prewarm_waiting"`      // tasks in the queue
	QueueSilent      bool  `json:"prewarm_queue_silent"` // the queue does not answer
	PressureStep     int   `json:"memory_step"`          // 0 = all work is done, 3 = everything is refused
	PressureUsed     int64 `json:"memory_used_bytes"`    // by server and workers, or by their control group
	PressureLimit    int64 `json:"memory_limit_bytes"`   // of that; 0 = none
}

// Watch sets the function from which each scrape reads the levels. It must not block.
func (m *Metrics) Watch(levels func() Levels) { m.levels.Store(&levels) }

// level is one gauge made of Levels.
type level struct {
	desc  *prometheus.Desc
	label []string
	read  func(Levels) float64
}

var levels = func() []level {
	plain := func(name, help string, read func(Levels) float64) level {
		return level{prometheus.NewDesc("goldcrest_"+name, help, nil, nil), nil, read}
	}
	running := prometheus.NewDesc("goldcrest_gate_running", "Work in progress behind a gate.", []string{"gate"}, nil)
	waiting := prometheus.NewDesc("goldcrest_gate_waiting", "Work waiting at a gate.", []string{"gate"}, nil)
	return []level{
		plain("memory_bytes", "Bytes in the memory tier, bookkeeping included.", func(l Levels) float64 { return float64(l.MemoryBytes) }),
		plain("memory_entries", "Entries in the memory tier.", func(l Levels) float64 { return float64(l.MemoryEntries) }),
		plain("store_pending_bytes", "Bytes of variants waiting to be written to the store.", func(l Levels) float64 { return float64(l.PendingBytes) }),
		plain("fills_in_flight", "Variants being made.", func(l Levels) float64 { return float64(l.Fills) }),
		{running, []string{"fetch"}, func(l Levels) float64 { return float64(l.FetchRunning) }},
		{running, []string{"transform"}, func(l Levels) float64 { return float64(l.TransformRunning) }},
		{waiting, []string{"fetch"}, func(l Levels) float64 { return float64(l.FetchWaiting) }},
		{waiting, []string{"transform"}, func(l Levels) float64 { return float64(l.TransformWaiting) }},
		plain("gate_held", "Viewers' pictures that wait for a worker because their source or signing key has its share of them.", func(l Levels) float64 { return float64(l.TransformHeld) }),
		plain("upgrades_pending", "First-stage entries that wait to be upgraded, or are being.", func(l Levels) float64 { return float64(l.UpgradesPending) }),
		plain("workers", "Worker processes that are ready or busy.", func(l Levels) float64 { return float64(l.Workers) }),
		plain("workers_busy", "Worker processes at work.", func(l Levels) float64 { return float64(l.WorkersBusy) }),
		plain("image_bytes", "Estimated decoded bytes of the pictures in work.", func(l Levels) float64 { return float64(l.ImageBytes) }),
		plain("negative_entries", "Sources known to be bad.", func(l Levels) float64 { return float64(l.NegativeEntries) }),
		plain("origin_breakers_open", "Origins that failed lately and are given a rest.", func(l Levels) float64 { return float64(l.BreakersOpen) }),
		plain("memory_step", "How much work is given up for want of memory: 0 none, 1 prewarm, 2 all but cached answers, 3 all.", func(l Levels) float64 { return float64(l.PressureStep) }),
		plain("memory_used_bytes", "Memory of server and workers, or of their control group, whichever is closer to its limit.", func(l Levels) float64 { return float64(l.PressureUsed) }),
		plain("memory_limit_bytes", "The limit of that; 0 = none.", func(l Levels) float64 { return float64(l.PressureLimit) }),
		plain("store_hung_calls", "Calls to the disk of the directory store that have not returned although their callers have left.", func(l Levels) float64 { return float64(l.StoreHung) }),
		plain("prewarm_jobs", "Prewarm jobs that have not ended.", func(l Levels) float64 { return float64(l.Jobs) }),
		plain("prewarm_variants_pending", "Variants without a verdict in jobs that have not ended.", func(l Levels) float64 { return float64(l.JobVariants) }),
		plain("prewarm_images_working", "Images that this instance works on for jobs.", func(l Levels) float64 { return float64(l.JobWorking) }),
		plain("prewarm_queue_waiting", "Tasks in the prewarm queue, of all instances that share it.", func(l Levels) float64 { return float64(l.JobWaiting) }),
		plain("prewarm_queue_silent", "1 while the prewarm queue does not answer.", func(l Levels) float64 { return one(l.QueueSilent) }),
		plain("store_breaker_open", "1 while the store failed recently and is not called.", func(l Levels) float64 { return one(l.StoreOpen) }),
	}
}()

// levelCollector reads all levels at one moment, so that a scrape never shows more busy workers than workers.
type levelCollector struct{ m *Metrics }

// Describe names every gauge (prometheus.Collector).
func (c levelCollector) Describe(out chan<- *prometheus.Desc) {
	for _, l := range levels {
		out <- l.desc
	}
}

// Collect reads the levels once (prometheus.Collector); before Watch all are 0.
func (c levelCollector) Collect(out chan<- prometheus.Metric) {
	var now Levels
	if sample := c.m.levels.Load(); sample != nil {
		now = (*sample)()
	}
	for _, l := range levels {
		out <- prometheus.MustNewConstMetric(l.desc, prometheus.GaugeValue, l.read(now), l.label...)
	}
}

func one(yes bool) float64 {
	if yes {
		return 1
	}
	return 0
}
