package ledger

import (
	"encoding/json"
	"time"

	"github.com/google/uuid"

	"github.com/goldcrest/goldcrest/prewarm/unit"
	"github.com/goldcrest/goldcrest/reach"
)

// JobRecord is what the ledger keeps of a job. While the job runs its counts are those of the tasks; at its end they
// are written into it.
type JobRecord struct {
	Job
	Owner  string         `json:"token"`
	Hook   *unit.Callback `json:"callback,omitempty"`
	Lane   string         `json:"lane"`
	Plans  []*Plan        `json:"plans"`
	Tasks  int            `json:"tasks"`
	Round  int            `json:"round"` // rises with every Retry
	Cancel bool           `json:"cancel,omitempty"`
	// Within are the hosts that its originals may come from.
	Within reach.Hosts `json:"within,omitempty"`
	Ended  bool        `json:"ended,omitempty"`
	Trace  string      `json:"trace,omitempty"` // traceparent of the call, if it is traced: by it every instance goes on with the trace

	Revision uint64 `json:"-"`
}

// JobKey is where a job is kept: by the day of its beginning, which its id tells, so that the latest jobs are found
// without reading all. ok is false for what is no id of a job.
func JobKey(id string) (key string, ok bool) {
	u, err := uuid.Parse(id)
	if err != nil || u.Version() != 7 || u.String() != id {
		return "", false
	}
	sec, _ := u.Time().UnixTime()
	return "job." + DayOf(time.Unix(sec, 0)) + "." + id, true
}

// DayFormat is how keys name a day.
const DayFormat = "20060102"

// DayOf names a day.
func DayOf(t time.Time) string { return t.UTC().Format(DayFormat) }

// Record is the job as it is written down.
func (j *JobRecord) Record() (*Record, error) {
	key, _ := JobKey(j.ID)
	body, err := json.Marshal(j)
	mark := string(j.State)
	if j.Owner != "" {
		mark += " " + OwnerMark(j.Owner)
	}
	if j.Cancel && !j.Ended {
		mark = markCancel // As it is, so that instances of an older version hear of it too.
	}
	return &Record{Key: key, Revision: j.Revision, Mark: mark, Body: body}, err
}

// markCancel marks the record of a job of which nothing is to be started any more.
const markCancel = "cancel"

// PictureRecords begins the keys of the pictures of the predecessor's call. Each is a Data Unit that is queued.
const PictureRecords = "compat."

// ActiveOf begins the mark of an active job whose owner it tells.
const ActiveOf = "active of "

// ActiveRecord says that a job has not ended, so that it is found without reading all jobs.
func ActiveRecord(id, owner string) *Record {
	return &Record{Key: "active." + id, Mark: ActiveOf + OwnerMark(owner)}
}
