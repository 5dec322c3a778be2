package ledger

import (
	"maps"
	"sync"
	"time"
)

// View is a running job as this instance sees it: the sum of the marks of its tasks, updated by following the ledger.
type View struct {
	loading sync.Mutex // held while the view is loaded from the ledger

	mu      sync.Mutex
	job     *JobRecord // replaced, never modified
	noticed uint64     // the last reported revision of job's record; above that of job = job must be read again
	cancel  bool       // the job was cancelled: nothing more may be started
	loaded  bool
	tasks   map[int]taskMark
	sum     tally
	lost    int            // number of variants whose task is missing in the ledger
	looked  map[int]uint64 // tasks whose broken sources are all recorded in events, by revision
	changed chan struct{}  // closed and replaced at every change
	moved   time.Time      // when the last change was seen
}

// taskMark is the last known mark of a task.
type taskMark struct {
	revision uint64
	tally    tally
}

func newView() *View {
	return &View{tasks: map[int]taskMark{}, looked: map[int]uint64{}, changed: make(chan struct{})}
}

// apply applies a task's tally unless a later one is known, and reports whether the job has nothing left to do.
func (v *View) apply(n int, revision uint64, t tally, now time.Time) (done bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	old, known := v.tasks[n]
	if known && old.revision >= revision {
		return false
	}
	if known {
		v.sum.add(old.tally, -1)
	}
	v.sum.add(t, 1)
	v.tasks[n] = taskMark{revision, t}
	v.moved = now
	v.wake()
	return v.loaded && v.sum.Pending == 0
}

// notice takes note of a write of the job's record.
func (v *View) notice(revision uint64, cancel bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if revision > v.noticed && (v.job == nil || revision > v.job.Revision) {
		v.noticed, v.cancel = revision, cancel
		v.wake()
	}
}

// take replaces the job's record by one that was read.
func (v *View) take(j *JobRecord) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.job != nil && v.job.Revision != j.Revision {
		v.wake() // while the ledger is not followed, nothing else notifies waiting callers
	}
	if v.job = j; j.Revision >= v.noticed {
		v.cancel = j.Cancel
	}
}

// wake notifies waiting callers of a change. The caller holds mu.
func (v *View) wake() {
	close(v.changed)
	v.changed = make(chan struct{})
}

// reckon counts the variants of tasks that the job has and the ledger lost. They never end by themselves.
func (v *View) reckon() {
	v.lost = 0
	if len(v.tasks) < v.job.Tasks {
		v.lost = max(0, v.job.Counts.Variants-v.sum.Variants)
	}
}

// Describe returns the current state of the job.
func (v *View) Describe(now time.Time) Job {
	v.mu.Lock()
	defer v.mu.Unlock()
	j := v.job.Job
	if v.job.Ended {
		return j
	}
	units, images, variants := j.Counts.DataUnits, j.Counts.Images, j.Counts.Variants
	j.Counts, j.Bytes = v.sum.Counts, v.sum.Bytes
	j.Counts.DataUnits, j.Counts.Images, j.Counts.Variants = units, images, variants
	j.Counts.Failed += v.lost
	j.State = Queued
	if v.sum.started != 0 {
		j.State, j.StartedAt = Running, time.Unix(v.sum.started, 0).UTC()
		j.ETA = eta(j, now)
	}
	return j
}

// eta estimates the seconds that the rest takes at the average pace so far; 0 = unknown.
func eta(j Job, now time.Time) int {
	done := j.Counts.Variants - j.Counts.Pending - j.Counts.Present
	if done <= 0 || j.StartedAt.IsZero() {
		return 0
	}
	per := now.Sub(j.StartedAt).Seconds() / float64(done)
	return int(per*float64(j.Counts.Pending)) + 1
}

// Closing returns the state in which pending work is closed untried: cancelled, if this instance knows that the job was
// cancelled, or expired; "" if it may be tried.
func (v *View) Closing(now time.Time) State {
	v.mu.Lock()
	defer v.mu.Unlock()
	switch {
	case v.cancel:
		return Cancelled
	case !v.job.Deadline.IsZero() && !now.Before(v.job.Deadline):
		return Expired
	}
	return ""
}

// Record returns the job's record as last read.
func (v *View) Record() *JobRecord {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.job
}

// Open reports whether anything of the job is pending, and for how long nothing has changed.
func (v *View) Open(now time.Time) (open bool, idle time.Duration) {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.sum.Pending > 0, now.Sub(v.moved)
}

// Touch restarts the time that Open returns.
func (v *View) Touch(now time.Time) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.moved = now
}

// Left returns the tasks of the job that have pending work, by number, and the prefixes of their sources' hashes.
func (v *View) Left() (tasks []int, sources []string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for n, t := range v.tasks {
		if t.tally.Pending > 0 {
			tasks = append(tasks, n)
			sources = append(sources, t.tally.hashes...)
		}
	}
	return tasks, sources
}

// Unlooked returns the tasks with broken sources for which Looked was not called, with their revisions.
func (v *View) Unlooked() map[int]uint64 {
	v.mu.Lock()
	defer v.mu.Unlock()
	at := map[int]uint64{}
	for n, t := range v.tasks {
		if t.tally.Broken > 0 && v.looked[n] != t.revision {
			at[n] = t.revision
		}
	}
	return at
}

// Looked records tasks, with their revisions, whose broken sources are all recorded in events.
func (v *View) Looked(tasks map[int]uint64) {
	v.mu.Lock()
	defer v.mu.Unlock()
	maps.Copy(v.looked, tasks)
}
