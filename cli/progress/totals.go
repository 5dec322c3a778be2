package progress

import (
	"fmt"
	"io"
	"maps"
	"slices"

	"github.com/goldcrest/goldcrest/cli/advice"
	"github.com/goldcrest/goldcrest/client"
	"github.com/goldcrest/goldcrest/fault"
)

// Totals sum up the jobs of a run.
type Totals struct {
	client.Counts
	client.Bytes
	Unreadable int            // units
	GivenUp    int            // jobs that were cancelled or expired
	Reasons    map[string]int // variants that were broken or failed, by their reason
}

// With adds a job.
func (t Totals) With(j client.Job) Totals {
	c := j.Counts
	t.DataUnits, t.Images, t.Variants = t.DataUnits+c.DataUnits, t.Images+c.Images, t.Variants+c.Variants
	t.Made, t.Present, t.Broken, t.Failed, t.Skipped = t.Made+c.Made, t.Present+c.Present, t.Broken+c.Broken, t.Failed+c.Failed, t.Skipped+c.Skipped
	t.Pending, t.Over = t.Pending+c.Pending, t.Over+c.Over
	t.Source, t.Stored, t.Saved = t.Source+j.Bytes.Source, t.Stored+j.Bytes.Stored, t.Saved+j.Bytes.Saved
	if j.State == "cancelled" || j.State == "expired" {
		t.GivenUp++
	}
	return t
}

// Print writes the closing table.
func (t Totals) Print(w io.Writer) {
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
	if t.Unreadable > 0 {
		fmt.Fprintf(w, "; %s units unreadable", thousands(t.Unreadable))
	}
	// Each variant relative to its own original, as docs/prewarm.md defines it.
	before := t.Stored + t.Saved
	fmt.Fprintf(w, "\nbytes before   %12s\nbytes after    %12s", megabytes(before), megabytes(t.Stored))
	if before > 0 {
		fmt.Fprintf(w, "   %.1f %% saved", 100*float64(t.Saved)/float64(before))
	}
	fmt.Fprintln(w)
	for _, reason := range slices.Sorted(maps.Keys(t.Reasons)) {
		fmt.Fprintf(w, "%s: %s variants", reason, thousands(t.Reasons[reason]))
		if todo := advice.OfKind(fault.Kind(reason)); todo != "" {
			fmt.Fprintf(w, "; to do: %s", todo)
		}
		fmt.Fprintln(w)
	}
}
