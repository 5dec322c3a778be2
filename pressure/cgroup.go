package pressure

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// group is the directory of a control group, and the file names of its interface version.
type group struct {
	dir            string
	limit, current string
	files          []string // of memory.stat: pages that the kernel reclaims before it kills a process
}

// unlimited is the value from which on version 1 means "no limit".
const unlimited = 1 << 60

// Group is the gauge of the control group (version 1 or 2) of this process, under the given root directory ("/" on a
// real machine): the memory that cannot be reclaimed by dropping file pages, and the lowest limit of the group and its
// parents. Without a limit it is always 0 of 0.
func Group(root string) Gauge {
	all := groups(root)
	return func() (used, limit int64, err error) {
		var at *group
		for i := range all {
			g := &all[i]
			max, err := readNumber(filepath.Join(g.dir, g.limit))
			if err == nil && max < unlimited && (at == nil || max < limit) {
				limit, at = max, g
			}
		}
		if at == nil {
			return 0, 0, nil
		}
		used, err = at.used()
		return used, limit, err
	}
}

// groups are the process's group and its parents, the innermost first. A container may see its own group as the root.
func groups(root string) (all []group) {
	base := filepath.Join(root, "sys/fs/cgroup")
	own, err := os.ReadFile(filepath.Join(root, "proc/self/cgroup"))
	if err != nil {
		return nil
	}
	for line := range strings.Lines(string(own)) { // "0::PATH", or "N:CONTROLLERS:PATH" for version 1
		field := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(field) < 3 {
			continue
		}
		g, dir := group{limit: "memory.max", current: "memory.current", files: []string{"inactive_file", "active_file"}}, base
		switch {
		case field[1] == "memory":
			g = group{limit: "memory.limit_in_bytes", current: "memory.usage_in_bytes", files: []string{"total_inactive_file", "total_active_file"}}
			dir = filepath.Join(base, "memory")
		case field[0] != "0":
			continue
		}
		for path := filepath.Clean("/" + field[2]); ; path = filepath.Dir(path) {
			g.dir = filepath.Join(dir, path)
			all = append(all, g)
			if path == "/" {
				break
			}
		}
	}
	return all
}

// used is the group's memory minus the file pages.
func (g group) used() (int64, error) {
	used, err := readNumber(filepath.Join(g.dir, g.current))
	if err != nil {
		return 0, err
	}
	stat, err := os.ReadFile(filepath.Join(g.dir, "memory.stat"))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(stat)) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		if slices.Contains(g.files, name) {
			n, err := strconv.ParseInt(value, 10, 64)
			if err != nil {
				return 0, err
			}
			used -= n
		}
	}
	return max(used, 0), nil
}

// errNoLimit is the word "max" in place of a number.
var errNoLimit = errors.New("there is no limit")

func readNumber(file string) (int64, error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return 0, err
	}
	if b = bytes.TrimSpace(b); string(b) == "max" {
		return 0, errNoLimit
	}
	return strconv.ParseInt(string(b), 10, 64)
}

// Resident is the resident memory of this process in bytes, including pages that it shares with its workers.
func Resident() (int64, error) {
	b, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0, err
	}
	fields := bytes.Fields(b)
	if len(fields) < 2 {
		return 0, errors.New("statm has too few fields")
	}
	pages, err := strconv.ParseInt(string(fields[1]), 10, 64)
	return pages * int64(os.Getpagesize()), err
}
