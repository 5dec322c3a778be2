package app

import (
	"os"
	"runtime/debug"

	"github.com/goldcrest/goldcrest/pressure"
)

// newWatcher makes what watches the memory of the control group and of the processes.
func (a *App) newWatcher() *pressure.Watcher {
	return pressure.New([]pressure.Gauge{pressure.Group("/"), a.processes}, a.relieve, nil)
}

// memoryLimit is the memory that there is for server and workers, 0 = nobody says.
func (a *App) memoryLimit() int64 {
	limit := a.cfg.Memory.Limit
	if _, group, err := pressure.Group("/")(); err == nil && group > 0 && (limit == 0 || group < limit) {
		limit = group
	}
	return limit
}

// fitHeap has Go collect garbage early once the server's own memory nears half of what there is: else the memory tier's
// garbage may take as much as the tier, in less time than a step takes. An operator's GOMEMLIMIT stands.
func (a *App) fitHeap() {
	if limit := a.memoryLimit(); limit > 0 && os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(limit / 2)
	}
}

// fitMemory lowers the room for decoded pictures to half of the memory that there is at all: it may be taken in a
// moment, before any step is of help.
func (a *App) fitMemory(imageMemory int64) int64 {
	limit := a.memoryLimit()
	if limit == 0 || imageMemory <= limit/2 {
		return imageMemory
	}
	a.log.Warn("transform.image_memory is lowered to half of the memory limit", "from", imageMemory, "to", limit/2, "limit", limit)
	return limit / 2
}

// smallMemory is the limit below which there is one worker. With two, viewers who ask for pictures of 24 and 49 MP in
// 256 MiB had the kernel kill the server within seconds on Debian 13, before a step could be of help
// (TestFault34ControlGroup).
const smallMemory = 512 << 20

// isSmall reports whether there is a memory limit, and it is small.
func (a *App) isSmall() bool {
	limit := a.memoryLimit()
	return 0 < limit && limit < smallMemory
}

// fitWorkers lowers the number of workers to what a small limit bears.
func (a *App) fitWorkers(workers int) int {
	if workers == 1 || !a.isSmall() {
		return workers
	}
	a.log.Warn("transform.workers is lowered to 1: the memory limit is small",
		"from", workers, "limit", a.memoryLimit())
	return 1
}

// processes gauges server and workers against memory.limit.
func (a *App) processes() (used, limit int64, err error) {
	own, err := pressure.Resident()
	return own + a.pool.Memory(), a.live.Load().cfg.Memory.Limit, err
}

// relieve gives up work, and memory that is held to save work, as a step calls for.
func (a *App) relieve(from pressure.Step, to pressure.Level) {
	if to.Step > from {
		a.log.Warn("memory is short; giving work up", "step", to.Step.String(), "used", to.Used, "limit", to.Limit)
	} else {
		a.log.Info("memory is less short; taking work up", "step", to.Step.String(), "used", to.Used, "limit", to.Limit)
	}
	a.pipeline.Relieve(to.Step)
	tier := a.live.Load().cfg.Cache.Memory.Memory
	switch to.Step {
	case pressure.CacheOnly:
		tier /= 2
	case pressure.Refuse:
		tier /= 8 // Else nothing would ever end this step where the tier itself is too large.
	}
	a.memory.Bound(tier)
	if to.Step > from {
		debug.FreeOSMemory()
	}
}
