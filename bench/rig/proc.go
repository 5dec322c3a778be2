package rig

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// tick is the unit of times in /proc/PID/stat: 1/100 s on every architecture that Go supports.
const tick = 10 * time.Millisecond

// stat is the used part of /proc/PID/stat: the parent, and the processor time of the process and its reaped children.
type stat struct {
	parent int
	cpu    time.Duration
}

func readStat(pid int) (stat, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return stat{}, err
	}
	// The name, in parentheses, may contain anything. The fields after it begin with the state, the third field.
	fields := bytes.Fields(text[bytes.LastIndexByte(text, ')')+1:])
	if len(fields) < 15 {
		return stat{}, fmt.Errorf("/proc/%d/stat has %d fields", pid, len(fields))
	}
	var s stat
	s.parent, _ = strconv.Atoi(string(fields[1])) // The kernel writes numbers.
	for _, f := range fields[11:15] {             // utime, stime, cutime, cstime
		n, _ := strconv.ParseInt(string(f), 10, 64)
		s.cpu += time.Duration(n) * tick
	}
	return s, nil
}

// Family returns a process and its current children.
func Family(pid int) []int {
	all := []int{pid}
	entries, _ := filepath.Glob("/proc/[0-9]*")
	for _, e := range entries {
		child, _ := strconv.Atoi(filepath.Base(e))
		if s, err := readStat(child); err == nil && s.parent == pid {
			all = append(all, child)
		}
	}
	return all
}

// FamilyCPU is the processor time used so far by a process and its children, including ended ones.
func FamilyCPU(pid int) time.Duration {
	var sum time.Duration
	for _, p := range Family(pid) {
		if s, err := readStat(p); err == nil {
			sum += s.cpu
		}
	}
	return sum
}

// OwnCPU is the processor time used so far by this program, without its children.
func OwnCPU() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0 // It cannot fail for the own process.
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// FamilyPSS is the memory of a process and its children, shared pages counted once, in bytes.
func FamilyPSS(pid int) int64 {
	var sum int64
	for _, p := range Family(pid) {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", p))
		if err != nil {
			continue // It has just ended.
		}
		for line := range strings.Lines(string(text)) {
			if rest, ok := strings.CutPrefix(line, "Pss:"); ok {
				kb, _ := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(rest), "kB")), 10, 64)
				sum += kb << 10
			}
		}
	}
	return sum
}
