package pressure

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// Group gauges the control group (cgroup v2) that this process runs in, under the given root folder ("/" on a real machine): the memory
// that cannot be had back by dropping file pages, against the lowest limit of the group and those it lies in. Without a limit it is
// always 0 of 0.
func Group(root string) Gauge {
	dirs := groups(root)
	return func() (used, limit int64, err error) {
		at := ""
		for _, dir := range dirs {
			max, err := readNumber(filepath.Join(dir, "memory.max"))
			if err == nil && (limit == 0 || max < limit) {
				limit, at = max, dir
			}
		}
		if at == "" {
			return 0, 0, nil
		}
		used, err = groupUsed(at)
		return used, limit, err
	}
}

// groups are the folders of the process's group and of those it lies in, the innermost first.
func groups(root string) (dirs []string) {
	base := filepath.Join(root, "sys/fs/cgroup")
	own, err := os.ReadFile(filepath.Join(root, "proc/self/cgroup"))
	if err != nil {
		return nil
	}
	for line := range strings.Lines(string(own)) {
		path, ok := strings.CutPrefix(strings.TrimSpace(line), "0::")
		if !ok {
			continue
		}
		for path = filepath.Clean("/" + path); ; path = filepath.Dir(path) {
			dirs = append(dirs, filepath.Join(base, path))
			if path == "/" {
				return dirs
			}
		}
	}
	return nil
}

// groupUsed is a group's memory less the file pages, which the kernel takes back before it kills anybody.
func groupUsed(dir string) (int64, error) {
	used, err := readNumber(filepath.Join(dir, "memory.current"))
	if err != nil {
		return 0, err
	}
	stat, err := os.ReadFile(filepath.Join(dir, "memory.stat"))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(stat)) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		if name == "inactive_file" || name == "active_file" {
			n, err := strconv.ParseInt(value, 10, 64)
			if err != nil {
				return 0, err
			}
			used -= n
		}
	}
	return max(used, 0), nil
}

// errNoLimit is the word "max" where a number could stand.
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

// Resident is the memory of this process as it lies in RAM, in bytes, pages that it shares with its workers included.
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
