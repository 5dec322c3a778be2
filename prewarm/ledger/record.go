package ledger

import (
	"encoding/json"
	"time"

	"github.com/google/uuid"

	"github.com/goldcrest/goldcrest/prewarm/unit"
	"github.com/goldcrest/goldcrest/reach"
)

// JobRecord is the ledger's record of a job. While the job runs, its counts are the sums of its tasks; when it ends
// they are written into the record.
type JobRecord struct {
	Job
	Owner  string         `json:"token"`
	Hook   *unit.Callback `json:"callback,omitempty"`
	Lane   string         `json:"lane"`
	Plans  []*Plan        `json:"plans"`
	Tasks  int            `json:"tasks"`
	Round  int            `json:"round"` // incremented by every Retry
	Cancel bool           `json:"cancel,omitempty"`
	// Within are the hosts from which originals may come.
	Within reach.Hosts `json:"within,omitempty"`
	Ended  bool        `json:"ended,omitempty"`
	Trace  string      `json:"trace,omitempty"` // traceparent of the call if it is traced; every instance continues it

	Revision uint64 `json:"-"`
}

// JobKey returns the key of a job. It contains the day of creation, taken from the id, so that the latest jobs are
// found without reading all. ok is false if id is not the id of a job.
func JobKey(id string) (key string, ok bool) {
	u, err := uuid.Parse(id)
	if err != nil || u.Version() != 7 || u.String() != id {
		return "", false
	}
	sec, _ := u.Time().UnixTime()
	return "job." + DayOf(time.Unix(sec, 0)) + "." + id, true
}

// DayFormat is the format of a day in keys.
const DayFormat = "20060102"

// DayOf formats a day.
func DayOf(t time.Time) string { return t.UTC().Format(DayFormat) }

// Record encodes the job.
func (j *JobRecord) Record() (*Record, error) {
	key, _ := JobKey(j.ID)
	body, err := json.Marshal(j)
	mark := string(j.State)
	if j.Owner != "" {
		mark += " " + OwnerMark(j.Owner)
	}
	if j.Cancel && !j.Ended {
		mark = markCancel // without the owner, so that instances of an older version recognise it too
	}
	return &Record{Key: key, Revision: j.Revision, Mark: mark, Body: body}, err
}

// markCancel marks the record of a cancelled job, of which nothing more may be started.
const markCancel = "cancel"

// PictureRecords is the prefix of the keys of pictures of the predecessor's call. Each counts as one queued Data Unit.
const PictureRecords = "compat."

// ActiveOf is the prefix of the mark of an active job that names its owner.
const ActiveOf = "active of "

// ActiveRecord says that a job has not ended, so that active jobs are found without reading all jobs.
func ActiveRecord(id, owner string) *Record {
	return &Record{Key: "active." + id, Mark: ActiveOf + OwnerMark(owner)}
}
