package ledger

import "time"

// State is what became of an image or variant, or of a whole job.
type State string

// The states of images and variants. A variant is made when the store acknowledged it in this job, present when it was
// stored already.
const (
	Pending   State = "pending"
	Made      State = "made"
	Present   State = "present"
	Skipped   State = "skipped"
	Broken    State = "broken" // permanent: the URL must be mended
	Failed    State = "failed" // retries used up
	Cancelled State = "cancelled"
	Expired   State = "expired"
	Unknown   State = "unknown" // in answers to Check alone: neither stored, nor queued, nor known to be broken
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

// Abort ends what of the job has not been started, and reports whether there was anything to change.
func (j *JobRecord) Abort() bool {
	if j.Ended || j.Cancel {
		return false
	}
	j.Cancel = true
	return true
}

// Expired reports whether the job's deadline has passed.
func (j *JobRecord) Expired(now time.Time) bool {
	return !j.Deadline.IsZero() && !now.Before(j.Deadline)
}

// End ends a job that has nothing left to do, as it was seen last.
func (j *JobRecord) End(seen Job, now time.Time) {
	j.Job = seen
	j.State, j.Ended, j.FinishedAt, j.ETA = ending(seen.Counts, j.Cancel), true, now, 0
}

// Reopen makes a job run again whose tasks were opened.
func (j *JobRecord) Reopen(now time.Time) {
	j.Round++
	j.Ended, j.Cancel, j.State, j.FinishedAt = false, false, Running, time.Time{}
	if !now.Before(j.Deadline) {
		j.Deadline = time.Time{} // It was missed once; a caller that asks again still wants the pictures.
	}
}

// ending is the state of a job that has nothing left to do.
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
