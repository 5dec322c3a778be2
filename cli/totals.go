package cli

import (
	"fmt"
	"io"
	"maps"
	"slices"

	"github.com/goldcrest/goldcrest/client"
	"github.com/goldcrest/goldcrest/fault"
)

// totals sums up the jobs of a run.
type totals struct {
	client.Counts
	client.Bytes
	unreadable int
	givenUp    int            // jobs that were cancelled or expired
	reasons    map[string]int // variants that were broken or failed, by their reason
}

// with adds a job.
func (t totals) with(j client.Job) totals {
	c := j.Counts
	t.DataUnits, t.Images, t.Variants = t.DataUnits+c.DataUnits, t.Images+c.Images, t.Variants+c.Variants
	t.Made, t.Present, t.Broken, t.Failed, t.Skipped = t.Made+c.Made, t.Present+c.Present, t.Broken+c.Broken, t.Failed+c.Failed, t.Skipped+c.Skipped
	t.Pending, t.Over = t.Pending+c.Pending, t.Over+c.Over
	t.Source, t.Stored, t.Saved = t.Source+j.Bytes.Source, t.Stored+j.Bytes.Stored, t.Saved+j.Bytes.Saved
	if j.State == "cancelled" || j.State == "expired" {
		t.givenUp++
	}
	return t
}

// print writes the closing table.
func (t totals) print(w io.Writer) {
	row := func(name string, n int) { fmt.Fprintf(w, "%-14s %12s\n", name, thousands(n)) }
	fmt.Fprintf(w, "%-14s %12s\n", "", "variants")
	row("made", t.Made)
	row("present", t.Present)
	row("broken", t.Broken)
	row("failed", t.Failed)
	row("skipped", t.Skipped)
	if t.Over > 0 {
		row("over budget", t.Over)
	}
	if t.Pending > 0 {
		row("pending", t.Pending)
	}
	fmt.Fprintf(w, "from %s images in %s units", thousands(t.Images), thousands(t.DataUnits))
	if t.unreadable > 0 {
		fmt.Fprintf(w, "; %s units unreadable", thousands(t.unreadable))
	}
	// Each variant against its own original, as docs/prewarm.md defines it.
	before := t.Stored + t.Saved
	fmt.Fprintf(w, "\nbytes before   %12s\nbytes after    %12s", megabytes(before), megabytes(t.Stored))
	if before > 0 {
		fmt.Fprintf(w, "   %.1f %% saved", 100*float64(t.Saved)/float64(before))
	}
	fmt.Fprintln(w)
	for _, reason := range slices.Sorted(maps.Keys(t.reasons)) {
		fmt.Fprintf(w, "%s: %s variants", reason, thousands(t.reasons[reason]))
		if todo := kindAdvice(fault.Kind(reason)); todo != "" {
			fmt.Fprintf(w, "; to do: %s", todo)
		}
		fmt.Fprintln(w)
	}
}
