package ledger

import "time"

// State is the state of an image or variant, or of a whole job.
type State string

// The states of images and variants. A variant is made if the store acknowledged it in this job, and present if it was
// stored before.
const (
	Pending   State = "pending"
	Made      State = "made"
	Present   State = "present"
	Skipped   State = "skipped"
	Broken    State = "broken" // permanent: the URL must be corrected
	Failed    State = "failed" // retries used up
	Cancelled State = "cancelled"
	Expired   State = "expired"
	Unknown   State = "unknown" // only in responses of Check: not stored, not queued, and not known to be broken
)

// The states of jobs besides cancelled, expired and failed (none succeeded).
const (
	Queued  State = "queued"
	Running State = "running"
	Done    State = "done"    // all made, present or skipped
	Partial State = "partial" // some broken or failed
)

// Final reports whether a job in this state has ended.
func (s State) Final() bool {
	switch s {
	case Done, Partial, Failed, Cancelled, Expired:
		return true
	}
	return false
}

// Abort cancels what has not been started, and reports whether that changes anything.
func (j *JobRecord) Abort() bool {
	if j.Ended || j.Cancel {
		return false
	}
	j.Cancel = true
	return true
}

// End ends a job that has nothing left to do, with the counts in seen.
func (j *JobRecord) End(seen Job, now time.Time) {
	j.Job = seen
	j.State, j.Ended, j.FinishedAt, j.ETA = ending(seen.Counts, j.Cancel), true, now, 0
}

// Reopen makes a job run again after its tasks were reopened.
func (j *JobRecord) Reopen(now time.Time) {
	j.Round++
	j.Ended, j.Cancel, j.State, j.FinishedAt = false, false, Running, time.Time{}
	if !now.Before(j.Deadline) {
		j.Deadline = time.Time{} // it has passed; a caller that retries still wants the pictures
	}
}

// ending returns the final state of a job.
func ending(c Counts, cancelled bool) State {
	bad := c.Broken + c.Failed
	switch {
	case cancelled && c.Cancelled > 0:
		return Cancelled
	case c.Expired > 0:
		return Expired
	case bad == 0:
		return Done
	case c.Made+c.Present == 0:
		return Failed
	}
	return Partial
}
