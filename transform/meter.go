package transform

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// meter limits what a worker spends on one variant, by the worker's processor clock. Processor time is what a hostile
// picture costs others; wall time also passes for a harmless one on a busy machine.
type meter struct {
	pid          int
	timeout, cpu time.Duration
	first        time.Duration // the worker's clock at the start of the request
	used         time.Duration // the worker's clock at the start of this variant
	begun        time.Time
}

// newMeter starts to watch a request for n variants.
func newMeter(pid int, timeout, cpu time.Duration, n int) *meter {
	m := &meter{pid: pid, timeout: timeout, cpu: cpu}
	m.restart()
	m.first = m.used
	// A backstop for a worker that outlives this server: the kernel ends it soon after it has used all processor time
	// that it could have been allowed.
	limitCPU(pid, m.first+time.Duration(n)*cpu+2*time.Second)
	return m
}

// restart begins the next variant.
func (m *meter) restart() {
	m.begun = time.Now()
	m.used = cpuTime(m.pid)
}

// total is the processor time since the request began.
func (m *meter) total() time.Duration { return max(cpuTime(m.pid)-m.first, 0) }

// next is the earliest time at which the budget can be spent: the worker's threads use at most all cores.
func (m *meter) next() time.Time {
	left := m.cpu - (cpuTime(m.pid) - m.used)
	check := time.Now().Add(max(left/time.Duration(runtime.NumCPU()), 10*time.Millisecond))
	if deadline := m.begun.Add(m.timeout); deadline.Before(check) {
		return deadline
	}
	return check
}

// spent reports which budget is used up.
func (m *meter) spent() error {
	if cpuTime(m.pid)-m.used >= m.cpu {
		return errCPU
	}
	if time.Since(m.begun) >= m.timeout {
		return errTimeout
	}
	return nil
}

// cpuTime is the processor time of all threads of a process so far; 0 if it has ended.
func cpuTime(pid int) time.Duration {
	const allThreads = 2 // CPUCLOCK_SCHED of linux/posix-timers.h
	var ts unix.Timespec
	if err := unix.ClockGettime(int32(^pid<<3|allThreads), &ts); err != nil {
		return 0
	}
	return time.Duration(ts.Nano())
}

// limitCPU sets the soft limit of a process, which can be raised again.
func limitCPU(pid int, limit time.Duration) {
	var have unix.Rlimit
	if unix.Prlimit(pid, unix.RLIMIT_CPU, nil, &have) != nil {
		return
	}
	have.Cur = min(uint64(limit/time.Second)+1, have.Max)
	_ = unix.Prlimit(pid, unix.RLIMIT_CPU, &have, nil)
}

// limitMemory lets the address space of a process grow by at most extra bytes. It is the last defence after admission.
func limitMemory(pid int, extra int64) error {
	size, _, err := usage(pid)
	if err != nil {
		return err
	}
	limit := uint64(size + extra)
	return unix.Prlimit(pid, unix.RLIMIT_AS, &unix.Rlimit{Cur: limit, Max: limit}, nil)
}

// usage returns a process's address space and its private memory (pages that are not shared with any file), in bytes.
func usage(pid int) (size, private int64, err error) {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/statm")
	if err != nil {
		return 0, 0, err
	}
	var n [3]int64
	fields := bytes.Fields(b)
	if len(fields) < len(n) {
		return 0, 0, errors.New("statm has too few fields")
	}
	for i := range n {
		if n[i], err = strconv.ParseInt(string(fields[i]), 10, 64); err != nil {
			return 0, 0, fmt.Errorf("statm: %w", err)
		}
	}
	page := int64(os.Getpagesize())
	return n[0] * page, (n[1] - n[2]) * page, nil
}
