package ledger

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/goldcrest/goldcrest/cache"
	"github.com/goldcrest/goldcrest/fault"
	"github.com/goldcrest/goldcrest/variant"
)

// The size of a task is bounded, so that its record fits a message and a crash loses little work.
const (
	TaskImages = 16
	TaskBytes  = 256 << 10
	TaskSpots  = 64 // places of one image; further places become another image, which is then found present
)

// Task is the part of a job that one ticket stands for: some of its images. Its record is the truth. It is written by
// compare-and-set, so every verdict counts once, regardless of how often and by how many instances the task is worked
// on.
type Task struct {
	Plan    int       `json:"plan"`
	Started time.Time `json:"started,omitzero"` // when work on it first began
	Running bool      `json:"running,omitempty"`
	Images  []*Image  `json:"works"`

	Revision uint64    `json:"-"`
	At       time.Time `json:"-"` // of the record
}

// Image is one image of a task.
type Image struct {
	Source   string     `json:"source"`          // opaque if the link expires
	Shown    string     `json:"shown,omitempty"` // the source as shown to callers; "" = Source
	Hash     string     `json:"hash,omitempty"`  // variant.Ref.SourceHash; "" if it cannot be a source
	Spots    []Spot     `json:"spots"`
	Tries    int        `json:"tries,omitempty"` // failed ones that are to be repeated
	Next     time.Time  `json:"next,omitzero"`   // time of the next try
	Share    int        `json:"share,omitempty"` // maximum bytes of a variant; 0 = no limit
	From     int64      `json:"from,omitempty"`  // bytes of the original
	Verdicts []*Outcome `json:"verdicts"`        // one per target of the plan
}

// Spot is a place in a unit where the image occurs.
type Spot struct {
	Unit    int    `json:"unit"`
	ID      string `json:"id"`
	Pointer string `json:"pointer"`
	Auto    bool   `json:"auto,omitempty"`
	Sure    bool   `json:"sure,omitempty"` // see Image
}

// Outcome is the result of one target. Once its state is no longer pending, only Retry changes it.
type Outcome struct {
	State  State          `json:"state"`
	Reason fault.Kind     `json:"reason,omitempty"`
	Format variant.Format `json:"format,omitempty"` // as made, if it differs from the target's
	Bytes  int64          `json:"bytes,omitempty"`
	Width  int            `json:"w,omitempty"`
	Height int            `json:"h,omitempty"`
	Blur   string         `json:"blur,omitempty"` // the ThumbHash
	Score  float64        `json:"score,omitempty"`
	At     time.Time      `json:"at,omitzero"`

	Ours bool `json:"-"` // decided by this process since the record was read
}

// Told is the source as shown to callers.
func (w *Image) Told() string { return cmp.Or(w.Shown, w.Source) }

// In is the outcome's state for a spot. A value that was only guessed to be an image is skipped if it is not one.
func (o *Outcome) In(at Spot) State {
	if o.State == Broken && at.Auto && (o.Reason == fault.NotAnImage && !at.Sure || o.Reason == fault.UnsupportedFormat) {
		return Skipped
	}
	return o.State
}

// Pending reports whether any variant of the image is pending.
func (w *Image) Pending() bool {
	return slices.ContainsFunc(w.Verdicts, func(o *Outcome) bool { return o.State == Pending })
}

// Saved is the size of the original minus that of the variant; negative if the variant is larger.
func (w *Image) Saved(o *Outcome) int64 { return w.From - o.Bytes }

// Close sets all pending outcomes to s.
func (w *Image) Close(s State, reason fault.Kind, now time.Time) {
	for _, o := range w.Verdicts {
		if o.State == Pending {
			*o = Outcome{State: s, Reason: reason, At: now, Ours: true}
		}
	}
	w.Next = time.Time{}
}

// Close sets the pending outcomes of all images to s.
func (t *Task) Close(s State, now time.Time) {
	for _, w := range t.Images {
		w.Close(s, "", now)
	}
	t.Running = false
}

// Ended reports whether nothing is pending.
func (t *Task) Ended() bool {
	return !slices.ContainsFunc(t.Images, (*Image).Pending)
}

// Merge takes over what another instance has written to the same task meanwhile. The first verdict counts, and what was
// reopened stays open.
func (t *Task) Merge(other *Task) {
	for i, w := range t.Images {
		o := other.Images[i]
		w.Tries, w.From = max(w.Tries, o.Tries), max(w.From, o.From)
		for j, v := range o.Verdicts {
			if v.State != Pending || !w.Verdicts[j].Ours {
				w.Verdicts[j] = v
			}
		}
	}
	if !other.Started.IsZero() {
		t.Started = other.Started
	}
	t.Revision = other.Revision
}

// TaskKey is the key of a job's nth task.
func TaskKey(job string, n int) string { return fmt.Sprintf("task.%s.%05d", job, n) }

// Record encodes the task.
func (t *Task) Record(job string, n int) (*Record, error) {
	body, err := json.Marshal(t)
	if err != nil {
		return nil, err
	}
	return &Record{Key: TaskKey(job, n), Revision: t.Revision, Mark: t.Tally().mark(), Body: body}, nil
}

// ReadTask decodes a task's record.
func ReadTask(r Record) (*Task, error) {
	t := &Task{Revision: r.Revision, At: r.At}
	if err := json.Unmarshal(r.Body, t); err != nil {
		return nil, fault.New(fault.Internal, "ledger.readTask", "an internal error", fmt.Errorf("the record %s: %w", r.Key, err))
	}
	return t, nil
}

// TaskAt reads and decodes a job's nth task. Without a record it is ErrNoRecord.
func TaskAt(ctx context.Context, store Store, job string, n int) (*Task, error) {
	r, err := store.Read(ctx, TaskKey(job, n))
	if err != nil {
		return nil, err
	}
	return ReadTask(r)
}

// TaskSince is TaskAt for a task that was reported or listed with a revision: it returns no older one.
func TaskSince(ctx context.Context, store Store, job string, n int, revision uint64) (t *Task, err error) {
	err = since(ctx, revision, func() (uint64, error) {
		if t, err = TaskAt(ctx, store, job, n); err != nil {
			return 0, err
		}
		return t.Revision, nil
	})
	return t, err
}

// tally is the numeric sum of a task or of a job.
type tally struct {
	Counts
	Bytes
	started int64    // Unix seconds when work first began; 0 = not yet
	hashes  []string // of the pending sources
}

// HashDigits is the length of a source's hash in a mark: enough to tell a million sources apart.
const HashDigits = 12

// Tally sums up the task. Verdicts count once for each place of an image; bytes count once. Saved is the sum over all
// variants of original size minus variant size, negative if the variant is larger.
func (t *Task) Tally() tally {
	sum := tally{}
	if !t.Started.IsZero() {
		sum.started = t.Started.Unix()
	}
	for _, w := range t.Images {
		stored := false
		for _, o := range w.Verdicts {
			for _, at := range w.Spots {
				sum.Variants++
				*sum.Of(o.In(at))++
				if o.over(w.Share) {
					sum.Over++
				}
			}
			if o.State == Made || o.State == Present {
				stored = true
				sum.Stored += o.Bytes
				sum.Saved += w.Saved(o)
			}
		}
		if stored {
			sum.Source += w.From
		}
		if w.Hash != "" && w.Pending() {
			sum.hashes = append(sum.hashes, w.Hash[:HashDigits])
		}
	}
	return sum
}

// Of returns the counter of a state.
func (c *Counts) Of(s State) *int {
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

// numbers returns the counters in the order of the mark.
func (t *tally) numbers() []*int {
	return []*int{&t.Variants, &t.Made, &t.Present, &t.Broken, &t.Failed, &t.Pending, &t.Skipped, &t.Cancelled, &t.Expired}
}

// overMark is the prefix of the number of variants over their share. It is in a mark only if there are any.
const overMark = "over="

// mark encodes the tally as a record's mark: started, the counts, the bytes, the pending sources.
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

// ReadTally decodes a mark.
func ReadTally(mark string) (t tally, err error) {
	text := strings.Fields(mark)
	numbers := t.numbers()
	if len(text) < 1+len(numbers)+3 {
		return t, fault.New(fault.Internal, "ledger.readTally", "an internal error", fmt.Errorf("a record's mark is %q", mark))
	}
	if t.started, err = strconv.ParseInt(text[0], 10, 64); err != nil {
		return t, fault.New(fault.Internal, "ledger.readTally", "an internal error", err)
	}
	for i, n := range numbers {
		if *n, err = strconv.Atoi(text[1+i]); err != nil {
			return t, fault.New(fault.Internal, "ledger.readTally", "an internal error", err)
		}
	}
	rest := text[1+len(numbers):]
	for i, n := range []*int64{&t.Source, &t.Stored, &t.Saved} {
		if *n, err = strconv.ParseInt(rest[i], 10, 64); err != nil {
			return t, fault.New(fault.Internal, "ledger.readTally", "an internal error", err)
		}
	}
	t.hashes = rest[3:]
	if len(t.hashes) > 0 && strings.HasPrefix(t.hashes[0], overMark) {
		if t.Over, err = strconv.Atoi(t.hashes[0][len(overMark):]); err != nil {
			return t, fault.New(fault.Internal, "ledger.readTally", "an internal error", err)
		}
		t.hashes = t.hashes[1:]
	}
	return t, nil
}

// add adds another tally, multiplied by times (1 or -1). Hashes are not added.
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

// ParseTaskKey parses "task.<job>.<n>".
func ParseTaskKey(key string) (job string, n int, ok bool) {
	words := strings.Split(key, ".")
	if len(words) != 3 || words[0] != "task" {
		return "", 0, false
	}
	n, err := strconv.Atoi(words[2])
	return words[1], n, err == nil
}

// MayOpen reports whether a retry repeats an outcome. What is not a valid source is never retried.
func (w *Image) MayOpen(o *Outcome) bool {
	return w.Hash != "" && slices.ContainsFunc(w.Spots, func(at Spot) bool { return o.In(at) == Broken || o.In(at) == Failed })
}

// Open makes failed and broken outcomes pending again, and reports whether there were any.
func (t *Task) Open() (any bool) {
	for _, w := range t.Images {
		for _, o := range w.Verdicts {
			if w.MayOpen(o) {
				*o = Outcome{State: Pending}
				w.Tries, w.Next, any = 0, time.Time{}, true
			}
		}
	}
	if any {
		t.Running = false
	}
	return any
}

// Store records a stored variant as the outcome of a target.
func (w *Image) Store(target int, m cache.Meta, s State, now time.Time) {
	f := variant.DecodeFacts(m.Attrs)
	o := &Outcome{
		State: s, Bytes: m.Size, Width: f.Width, Height: f.Height, Blur: f.Placeholder, At: now, Ours: true,
		Score: f.Choice.Score, // 0 if it was not measured
	}
	if name, ok := strings.CutPrefix(m.ContentType, "image/"); ok {
		o.Format, _ = variant.ParseFormat(name)
	}
	w.Verdicts[target] = o
	w.From = max(w.From, f.SourceBytes)
}

// LongestPause bounds the wait for an image. A longer wait means that the clock was set back.
const LongestPause = 2 * time.Hour

// Due returns how long an image still has to wait; 0 = it may be tried.
func (w *Image) Due(now time.Time) time.Duration {
	if d := w.Next.Sub(now); d > 0 && d <= LongestPause {
		return d
	}
	return 0
}

// IsBroken reports whether an outcome counts as broken at any place of the image.
func (w *Image) IsBroken(o *Outcome) bool {
	return slices.ContainsFunc(w.Spots, func(at Spot) bool { return o.In(at) == Broken })
}
