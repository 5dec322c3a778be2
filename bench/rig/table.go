package rig

import (
	"fmt"
	"io"
	"runtime"
	"slices"
	"strings"
)

// Row is one line of the table: our figure, that of the reference in the same run, and the target.
type Row struct {
	What      string
	Ours      float64
	Reference float64 // 0 = none: the figure itself is compared with the target
	Unit      string
	Target    float64 // for the ratio, or for the figure if there is no reference; 0 = none
	AtMost    bool    // the target is an upper bound
}

// figure is the value to which the target applies.
func (r Row) figure() float64 {
	if r.Reference == 0 {
		return r.Ours
	}
	return r.Ours / r.Reference
}

// Verdict says in one word whether the target is met; "" without a target.
func (r Row) Verdict() string {
	switch {
	case r.Target == 0:
		return ""
	case r.AtMost && r.figure() <= r.Target, !r.AtMost && r.figure() >= r.Target:
		return "met"
	}
	return "MISSED"
}

// PrintTable prints rows as a table with their targets.
func PrintTable(w io.Writer, rows []Row) {
	lines := [][]string{{"what", "ours", "reference", "unit", "ratio", "target", ""}}
	for _, r := range rows {
		line := []string{r.What, number(r.Ours), "-", r.Unit, "-", "-", r.Verdict()}
		if r.Reference != 0 {
			line[2], line[4] = number(r.Reference), fmt.Sprintf("%.3f", r.figure())
		}
		if r.Target != 0 {
			line[5] = ">= " + number(r.Target)
			if r.AtMost {
				line[5] = "<= " + number(r.Target)
			}
		}
		lines = append(lines, line)
	}
	widths := make([]int, len(lines[0]))
	for _, line := range lines {
		for i, cell := range line {
			widths[i] = max(widths[i], len(cell))
		}
	}
	fmt.Fprintf(w, "%s/%s, %d cores, %s\n", runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), runtime.Version())
	for _, line := range lines {
		text := fmt.Sprintf("%-*s", widths[0], line[0])
		for i, cell := range line[1:] {
			text += fmt.Sprintf("  %*s", widths[i+1], cell)
		}
		fmt.Fprintln(w, strings.TrimRight(text, " "))
	}
}

// number writes three significant digits, or all digits before the point.
func number(f float64) string {
	switch {
	case f >= 100:
		return fmt.Sprintf("%.0f", f)
	case f >= 10:
		return fmt.Sprintf("%.1f", f)
	}
	return fmt.Sprintf("%.2f", f)
}

// Median of at least one value.
func Median(values []float64) float64 {
	s := slices.Sorted(slices.Values(values))
	if n := len(s); n%2 == 0 {
		return (s[n/2-1] + s[n/2]) / 2
	}
	return s[len(s)/2]
}

// Last is the last element of a list.
func Last(list []float64) float64 { return list[len(list)-1] }
