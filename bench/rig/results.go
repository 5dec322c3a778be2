package rig

import (
	"context"
	"encoding/csv"
	"fmt"
	"html"
	"io"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"
)

// Machine describes the Machine in a line: processor, cores, and the versions that the program under test reports.
func Machine(ctx context.Context, binary string) string {
	parts := []string{fmt.Sprintf("%s/%s", runtime.GOOS, runtime.GOARCH), fmt.Sprintf("%d cores", runtime.NumCPU())}
	cpu, _ := os.ReadFile("/proc/cpuinfo") // Only Linux has it; otherwise the processor is not named.
	if _, after, ok := strings.Cut(string(cpu), "model name"); ok {
		name, _, _ := strings.Cut(after, "\n")
		parts = append(parts, strings.Trim(name, "\t :"))
	}
	if out, err := exec.CommandContext(ctx, binary, "version").Output(); err == nil {
		for _, line := range strings.Split(strings.TrimSpace(string(out)), "\n")[1:] {
			parts = append(parts, strings.Join(strings.Fields(line), " "))
		}
	}
	return strings.Join(parts, ", ")
}

// WriteResults writes a run as a table and as a picture, both named after the day.
func WriteResults(dir, where string, day time.Time, rows []Row) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	name := filepath.Join(dir, day.Format(time.DateOnly))
	for suffix, write := range map[string]func(io.Writer) error{
		".csv": func(w io.Writer) error { return writeCSV(w, where, day, rows) },
		".svg": func(w io.Writer) error { return writeSVG(w, where, day, rows) },
	} {
		f, err := os.Create(name + suffix)
		if err != nil {
			return err
		}
		err = write(f)
		if closing := f.Close(); err == nil {
			err = closing
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func writeCSV(w io.Writer, where string, day time.Time, rows []Row) error {
	c := csv.NewWriter(w)
	c.Write([]string{"date", "machine", "what", "ours", "reference", "unit", "figure", "target", "bound", "verdict"})
	exact := func(v float64) string { return strconv.FormatFloat(v, 'g', 5, 64) }
	for _, r := range rows {
		bound := "at least"
		if r.AtMost {
			bound = "at most"
		}
		c.Write([]string{day.Format(time.DateOnly), where, r.What, exact(r.Ours), exact(r.Reference), r.Unit, exact(r.figure()), exact(r.Target), bound, r.Verdict()})
	}
	c.Flush()
	return c.Error()
}

// The picture: a line for each row that has a target, and a bar for its ratio to the target, on a logarithmic scale.
const (
	svgLabels = 560 // pixels for the labels
	svgBars   = 360
	svgLine   = 22
	svgReach  = 4.0 // the largest ratio drawn
)

func writeSVG(w io.Writer, where string, day time.Time, rows []Row) error {
	var lines []Row
	for _, r := range rows {
		if r.Target != 0 {
			lines = append(lines, r)
		}
	}
	var b strings.Builder
	height := (len(lines) + 3) * svgLine
	at := func(times float64) float64 {
		times = max(1/svgReach, min(svgReach, times))
		return svgLabels + svgBars*(math.Log(times)/math.Log(svgReach)+1)/2
	}
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" font-family="sans-serif" font-size="12">`, svgLabels+svgBars+100, height)
	fmt.Fprintf(&b, "\n<rect width=\"100%%\" height=\"100%%\" fill=\"#fff\"/>\n<text x=\"8\" y=\"16\" fill=\"#555\">%s, %s: times the target, 1 = reached</text>\n",
		day.Format(time.DateOnly), html.EscapeString(shorter(where, 110)))
	for i, r := range lines {
		y := (i + 2) * svgLine
		times, colour := r.figure()/r.Target, "#2f7d4f"
		if r.AtMost {
			times = 1 / times
		}
		if r.Verdict() != "met" {
			colour = "#b3402a"
		}
		x := at(times)
		fmt.Fprintf(&b, "<text x=\"8\" y=\"%d\">%s</text>\n", y+4, html.EscapeString(shorter(r.What, 88)))
		fmt.Fprintf(&b, "<rect x=\"%.1f\" y=\"%d\" width=\"%.1f\" height=\"12\" fill=\"%s\"/>\n", min(at(1), x), y-6, math.Abs(x-at(1))+1, colour)
		fmt.Fprintf(&b, "<text x=\"%d\" y=\"%d\" fill=\"%s\">%.2f</text>\n", svgLabels+svgBars+12, y+4, colour, times)
	}
	fmt.Fprintf(&b, "<line x1=\"%.1f\" x2=\"%.1f\" y1=\"%d\" y2=\"%d\" stroke=\"#000\"/>\n</svg>\n", at(1), at(1), svgLine+6, height-svgLine)
	_, err := io.WriteString(w, b.String())
	return err
}

func shorter(s string, most int) string {
	if len(s) <= most {
		return s
	}
	return s[:most-3] + "..."
}
