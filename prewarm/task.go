package prewarm

import (
	"cmp"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/goldcrest/goldcrest/fault"
	"github.com/goldcrest/goldcrest/variant"
)

// A task is bounded, so that its record fits a message and a crash loses little.
const (
	taskImages = 16
	taskBytes  = 256 << 10
	taskSpots  = 64 // places of one image; an image in more places begins anew, and is found present
)

// task is some images of a job: what one ticket stands for. Its record is the truth about them: written under its
// revision, so that every verdict counts once, however often and by however many the task was worked on.
type task struct {
	Plan    int       `json:"plan"`
	Started time.Time `json:"started,omitzero"` // of its first work
	Running bool      `json:"running,omitempty"`
	Works   []*work   `json:"works"`

	revision uint64
	at       time.Time // of the record
}

// work is one image of a task.
type work struct {
	Source   string     `json:"source"`          // an opaque one, where the link expires
	Shown    string     `json:"shown,omitempty"` // what may be told of it; "" = the source
	Hash     string     `json:"hash,omitempty"`  // variant.Ref.SourceHash; "" of what cannot be a source
	Spots    []spot     `json:"spots"`
	Tries    int        `json:"tries,omitempty"` // that failed and are to be repeated
	Next     time.Time  `json:"next,omitzero"`   // not before
	Share    int        `json:"share,omitempty"` // bytes that a variant may have; 0 = as many as it takes
	From     int64      `json:"from,omitempty"`  // bytes of the original
	Verdicts []*outcome `json:"verdicts"`        // one per target of the plan
}

// spot is a place in a unit where the image stands.
type spot struct {
	Unit    int    `json:"unit"`
	ID      string `json:"id"`
	Pointer string `json:"pointer"`
	Auto    bool   `json:"auto,omitempty"`
	Sure    bool   `json:"sure,omitempty"` // see Image
}

// outcome is what became of one target. Once its state is no longer pending it is not changed, but by Retry.
type outcome struct {
	State  State          `json:"state"`
	Reason fault.Kind     `json:"reason,omitempty"`
	Format variant.Format `json:"format,omitempty"` // as made, where that is not the target's
	Bytes  int64          `json:"bytes,omitempty"`
	Width  int            `json:"w,omitempty"`
	Height int            `json:"h,omitempty"`
	Blur   string         `json:"blur,omitempty"` // the ThumbHash of its pixels
	Score  float64        `json:"score,omitempty"`
	At     time.Time      `json:"at,omitzero"`

	ours bool // settled by this process since the record was read
}

// told is the source as it may be told.
func (w *work) told() string { return cmp.Or(w.Shown, w.Source) }

// state is the outcome's as it counts for a spot: what was only guessed to be an image is skipped where it is none.
func (o *outcome) state(at spot) State {
	if o.State == Broken && at.Auto && (o.Reason == fault.NotAnImage && !at.Sure || o.Reason == fault.UnsupportedFormat) {
		return Skipped
	}
	return o.State
}

// pending reports whether anything of the image is still to be done.
func (w *work) pending() bool {
	for _, o := range w.Verdicts {
		if o.State == Pending {
			return true
		}
	}
	return false
}

// saved is what a variant is smaller than its original; below 0 where it is larger.
func (w *work) saved(o *outcome) int64 { return w.From - o.Bytes }

// close ends what is pending.
func (w *work) close(s State, reason fault.Kind, now time.Time) {
	for _, o := range w.Verdicts {
		if o.State == Pending {
			*o = outcome{State: s, Reason: reason, At: now, ours: true}
		}
	}
	w.Next = time.Time{}
}

// close ends what is pending of all images.
func (t *task) close(s State, now time.Time) {
	for _, w := range t.Works {
		w.close(s, "", now)
	}
	t.Running = false
}

// ended reports whether nothing is left to be done.
func (t *task) ended() bool {
	for _, w := range t.Works {
		if w.pending() {
			return false
		}
	}
	return true
}

// merge takes over what another has written of the same task meanwhile: the first verdict counts, and what was opened
// anew is open.
func (t *task) merge(other *task) {
	for i, w := range t.Works {
		o := other.Works[i]
		w.Tries, w.From = max(w.Tries, o.Tries), max(w.From, o.From)
		for j, v := range o.Verdicts {
			if v.State != Pending || !w.Verdicts[j].ours {
				w.Verdicts[j] = v
			}
		}
	}
	if !other.Started.IsZero() {
		t.Started = other.Started
	}
	t.revision = other.revision
}

// taskKey is the key of a job's nth task.
func taskKey(job string, n int) string { return fmt.Sprintf("task.%s.%05d", job, n) }

// record writes the task down.
func (t *task) record(job string, n int) (*Record, error) {
	body, err := json.Marshal(t)
	if err != nil {
		return nil, err
	}
	return &Record{Key: taskKey(job, n), Revision: t.revision, Mark: t.tally().mark(), Body: body}, nil
}

func readTask(r Record) (*task, error) {
	t := &task{revision: r.Revision, at: r.At}
	if err := json.Unmarshal(r.Body, t); err != nil {
		return nil, fault.New(fault.Internal, "prewarm.readTask", "an internal error", fmt.Errorf("the record %s: %w", r.Key, err))
	}
	return t, nil
}

// tally is the sum of a task, or of a job, in numbers.
type tally struct {
	Counts
	Bytes
	started int64    // Unix seconds of the first work; 0 = none yet
	hashes  []string // of the sources still pending
}

// hashDigits is how much of a source's hash stands in a mark: enough to tell a million sources apart.
const hashDigits = 12

// tally sums the task up. Each place where an image stands counts; bytes count once. Saved is that of each variant
// against its original, below 0 where it is larger.
func (t *task) tally() tally {
	sum := tally{}
	if !t.Started.IsZero() {
		sum.started = t.Started.Unix()
	}
	for _, w := range t.Works {
		stored := false
		for _, o := range w.Verdicts {
			for _, at := range w.Spots {
				sum.Variants++
				*sum.of(o.state(at))++
				if o.over(w.Share) {
					sum.Over++
				}
			}
			if o.State == Made || o.State == Present {
				stored = true
				sum.Stored += o.Bytes
				sum.Saved += w.saved(o)
			}
		}
		if stored {
			sum.Source += w.From
		}
		if w.Hash != "" && w.pending() {
			sum.hashes = append(sum.hashes, w.Hash[:hashDigits])
		}
	}
	return sum
}

// of is the count of a state.
func (c *Counts) of(s State) *int {
	switch s {
	case Made:
		return &c.Made
	case Present:
		return &c.Present
	case Broken:
		return &c.Broken
	case Failed:
		return &c.Failed
	case Skipped:
		return &c.Skipped
	case Cancelled:
		return &c.Cancelled
	case Expired:
		return &c.Expired
	}
	return &c.Pending
}

// numbers are the parts of a tally in the order of its mark.
func (t *tally) numbers() []*int {
	return []*int{&t.Variants, &t.Made, &t.Present, &t.Broken, &t.Failed, &t.Pending, &t.Skipped, &t.Cancelled, &t.Expired}
}

// overMark begins the number of those over their share in a mark: only where there are any.
const overMark = "over="

// mark is the tally as a record's mark: started, the counts, the bytes, the pending sources.
func (t tally) mark() string {
	text := []string{strconv.FormatInt(t.started, 10)}
	for _, n := range t.numbers() {
		text = append(text, strconv.Itoa(*n))
	}
	for _, n := range []int64{t.Source, t.Stored, t.Saved} {
		text = append(text, strconv.FormatInt(n, 10))
	}
	if t.Over > 0 {
		text = append(text, overMark+strconv.Itoa(t.Over))
	}
	return strings.Join(append(text, t.hashes...), " ")
}

// readTally reads a mark.
func readTally(mark string) (t tally, err error) {
	text := strings.Fields(mark)
	numbers := t.numbers()
	if len(text) < 1+len(numbers)+3 {
		return t, fault.New(fault.Internal, "prewarm.readTally", "an internal error", fmt.Errorf("a record's mark is %q", mark))
	}
	if t.started, err = strconv.ParseInt(text[0], 10, 64); err != nil {
		return t, fault.New(fault.Internal, "prewarm.readTally", "an internal error", err)
	}
	for i, n := range numbers {
		if *n, err = strconv.Atoi(text[1+i]); err != nil {
			return t, fault.New(fault.Internal, "prewarm.readTally", "an internal error", err)
		}
	}
	rest := text[1+len(numbers):]
	for i, n := range []*int64{&t.Source, &t.Stored, &t.Saved} {
		if *n, err = strconv.ParseInt(rest[i], 10, 64); err != nil {
			return t, fault.New(fault.Internal, "prewarm.readTally", "an internal error", err)
		}
	}
	t.hashes = rest[3:]
	if len(t.hashes) > 0 && strings.HasPrefix(t.hashes[0], overMark) {
		if t.Over, err = strconv.Atoi(t.hashes[0][len(overMark):]); err != nil {
			return t, fault.New(fault.Internal, "prewarm.readTally", "an internal error", err)
		}
		t.hashes = t.hashes[1:]
	}
	return t, nil
}

// add adds another tally, times times (1 or -1). Hashes are not summed.
func (t *tally) add(o tally, times int) {
	into := t.numbers()
	for i, n := range o.numbers() {
		*into[i] += times * *n
	}
	t.Over += times * o.Over
	t.Source += int64(times) * o.Source
	t.Stored += int64(times) * o.Stored
	t.Saved += int64(times) * o.Saved
	if o.started != 0 && (t.started == 0 || o.started < t.started) {
		t.started = o.started
	}
}
