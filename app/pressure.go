package app

import (
	"os"
	"runtime/debug"

	"github.com/goldcrest/goldcrest/pressure"
)

// newWatcher makes the watcher of the memory of the control group and of the processes.
func (a *App) newWatcher() *pressure.Watcher {
	return pressure.New([]pressure.Gauge{pressure.Group("/"), a.processes}, a.relieve, nil)
}

// memoryLimit is the memory for server and workers, 0 = no limit is known.
func (a *App) memoryLimit() int64 {
	limit := a.cfg.Memory.Limit
	if _, group, err := pressure.Group("/")(); err == nil && group > 0 && (limit == 0 || group < limit) {
		limit = group
	}
	return limit
}

// fitHeap makes Go collect garbage early once the server's own memory nears half of the limit. Otherwise the memory
// tier's garbage may grow to the size of the tier before a step takes effect. An operator's GOMEMLIMIT is kept.
func (a *App) fitHeap() {
	if limit := a.memoryLimit(); limit > 0 && os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(limit / 2)
	}
}

// fitMemory lowers the memory for decoded pictures to half of the limit: it may be used within a moment, before any
// step takes effect.
func (a *App) fitMemory(imageMemory int64) int64 {
	limit := a.memoryLimit()
	if limit == 0 || imageMemory <= limit/2 {
		return imageMemory
	}
	a.log.Warn("transform.image_memory is lowered to half of the memory limit", "from", imageMemory, "to", limit/2, "limit", limit)
	return limit / 2
}

// smallMemory is the limit below which there is one worker. With two, viewers who asked for pictures of 24 and 49 MP in
// 256 MiB made the kernel kill the server within seconds on Debian 13, before a step took effect
// (TestFault34ControlGroup).
const smallMemory = 512 << 20

// isSmall reports whether there is a memory limit, and it is small.
func (a *App) isSmall() bool {
	limit := a.memoryLimit()
	return 0 < limit && limit < smallMemory
}

// fitWorkers lowers the number of workers for a small limit.
func (a *App) fitWorkers(workers int) int {
	if workers == 1 || !a.isSmall() {
		return workers
	}
	a.log.Warn("transform.workers is lowered to 1: the memory limit is small",
		"from", workers, "limit", a.memoryLimit())
	return 1
}

// processes is the gauge of server and workers against memory.limit.
func (a *App) processes() (used, limit int64, err error) {
	own, err := pressure.Resident()
	return own + a.pool.Memory(), a.live.Load().cfg.Memory.Limit, err
}

// relieve reduces work and frees caches, as a step requires.
func (a *App) relieve(from pressure.Step, to pressure.Level) {
	if to.Step > from {
		a.log.Warn("memory is short; refusing work", "step", to.Step.String(), "used", to.Used, "limit", to.Limit)
	} else {
		a.log.Info("memory is less short; accepting work again", "step", to.Step.String(), "used", to.Used, "limit", to.Limit)
	}
	a.pipeline.Relieve(to.Step)
	tier := a.live.Load().cfg.Cache.Memory.Memory
	switch to.Step {
	case pressure.CacheOnly:
		tier /= 2
	case pressure.Refuse:
		tier /= 8 // otherwise the step would never end if the tier itself is too large
	}
	a.memory.Bound(tier)
	if to.Step > from {
		debug.FreeOSMemory()
	}
}
