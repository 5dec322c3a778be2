package main

import (
	"fmt"
	"io"
	"runtime"
	"slices"
	"strings"
)

// row is one line of the table: our figure, that of the reference in the same run, and the target.
type row struct {
	what      string
	ours      float64
	reference float64 // 0 = none: the figure itself is compared with the target
	unit      string
	target    float64 // for the ratio, or for the figure if there is no reference; 0 = none
	atMost    bool    // the target is an upper bound
}

// figure is the value to which the target applies.
func (r row) figure() float64 {
	if r.reference == 0 {
		return r.ours
	}
	return r.ours / r.reference
}

// verdict says in one word whether the target is met; "" without a target.
func (r row) verdict() string {
	switch {
	case r.target == 0:
		return ""
	case r.atMost && r.figure() <= r.target, !r.atMost && r.figure() >= r.target:
		return "met"
	}
	return "MISSED"
}

func printTable(w io.Writer, rows []row) {
	lines := [][]string{{"what", "ours", "reference", "unit", "ratio", "target", ""}}
	for _, r := range rows {
		line := []string{r.what, number(r.ours), "-", r.unit, "-", "-", r.verdict()}
		if r.reference != 0 {
			line[2], line[4] = number(r.reference), fmt.Sprintf("%.3f", r.figure())
		}
		if r.target != 0 {
			line[5] = ">= " + number(r.target)
			if r.atMost {
				line[5] = "<= " + number(r.target)
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

// median of at least one value.
func median(values []float64) float64 {
	s := slices.Sorted(slices.Values(values))
	if n := len(s); n%2 == 0 {
		return (s[n/2-1] + s[n/2]) / 2
	}
	return s[len(s)/2]
}
