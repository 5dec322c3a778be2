package intake

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/goldcrest/goldcrest/prewarm/ledger"
	"github.com/goldcrest/goldcrest/prewarm/webhook"

	"github.com/goldcrest/goldcrest/fault"
	"github.com/goldcrest/goldcrest/prewarm"
	"github.com/goldcrest/goldcrest/prewarm/unit"
	"github.com/goldcrest/goldcrest/trace"
)

// notice is the JSON of a Notice, in the format of a callback's body.
type notice struct {
	Type      string    `json:"type"`
	Timestamp time.Time `json:"timestamp"`
	Data      any       `json:"data"`
}

// unitData is the data of UnitDone.
type unitData struct {
	Job      string            `json:"job"`
	Request  string            `json:"request_id"` // the message's id
	Index    int               `json:"index"`
	ID       string            `json:"id"`
	State    ledger.State      `json:"state"`
	Part     int               `json:"part"` // from 0
	Parts    int               `json:"parts"`
	Verdicts []json.RawMessage `json:"verdicts"` // as rows of the job's results
}

// refusedData is the data of UnitRefused.
type refusedData struct {
	Job     string      `json:"job"`
	Request string      `json:"request_id"`
	Index   int         `json:"index"`
	ID      string      `json:"id"`
	Error   *unit.Error `json:"error"`
}

// maxPart is the maximum size of the verdicts of one notice in bytes: brokers accept messages of 1 MiB.
const maxPart = 256 << 10

// Tell implements webhook.Teller for jobs of an intake: it publishes their verdicts, then their end. A failed Tell is
// repeated as a whole, with the same ids.
func (d *Door) Tell(ctx context.Context, e webhook.Event) error {
	if e.Type != webhook.JobDone || e.Job.Callback == nil {
		return nil
	}
	var o *one
	if d != nil { // this instance has no intakes
		o = d.find(e.Job.Callback.Outlet)
	}
	if o == nil || o.outlet == nil {
		return fault.New(fault.ConnectFailed, "intake.Tell", "no intake of this instance publishes these verdicts", nil)
	}
	leave, err := d.enter(ctx, int64(e.Job.Counts.Variants)*variantBytes)
	if err != nil {
		return err
	}
	defer leave()
	if o.cfg.Verdicts.Wants(UnitDone) {
		if err := o.tellUnits(ctx, e); err != nil {
			return err
		}
	}
	if !o.cfg.Verdicts.Wants(JobDone) {
		return nil
	}
	body, err := e.Notice()
	if err != nil {
		return err
	}
	return o.publish(ctx, Notice{e.ID, JobDone, e.Job.ID, e.Job.Request, body, trace.From(ctx).Parent()})
}

// told collects the verdicts of one unit.
type told struct {
	id    string
	rows  []json.RawMessage
	count map[ledger.State]int
}

// tellUnits publishes the verdicts of a job, unit by unit.
func (o *one) tellUnits(ctx context.Context, e webhook.Event) error {
	units := map[int]*told{}
	filter := ledger.ResultFilter{For: ledger.Caller{Name: o.cfg.Token}}
	for cursor := ""; ; {
		rows, next, err := o.door.deps.Calls.Results(ctx, e.Job.ID, filter, cursor, 1000)
		if fault.KindOf(err) == fault.NoSuchJob {
			return nil // the job has expired; the end is still published
		}
		if err != nil {
			return err
		}
		for _, row := range rows {
			if err := add(units, row); err != nil {
				return err
			}
		}
		if cursor = next; cursor == "" {
			break
		}
	}
	for _, index := range slices.Sorted(maps.Keys(units)) {
		if err := o.tellUnit(ctx, e, index, units[index]); err != nil {
			return err
		}
	}
	return nil
}

func add(units map[int]*told, row ledger.Verdict) error {
	u := units[row.Unit]
	if u == nil {
		u = &told{id: row.UnitID, count: map[ledger.State]int{}}
		units[row.Unit] = u
	}
	text, err := json.Marshal(row)
	if err != nil {
		return fault.New(fault.Internal, "intake.Tell", "an internal error", err)
	}
	u.rows = append(u.rows, text)
	u.count[row.State]++
	return nil
}

// state sums up the verdicts of a unit, as for a job.
func (u *told) state() ledger.State {
	good := u.count[ledger.Made] + u.count[ledger.Present] + u.count[ledger.Skipped]
	switch {
	case good == len(u.rows):
		return ledger.Done
	case good > 0:
		return ledger.Partial
	case u.count[ledger.Cancelled] == len(u.rows):
		return ledger.Cancelled
	case u.count[ledger.Expired] == len(u.rows):
		return ledger.Expired
	}
	return ledger.Failed
}

// parts splits rows so that each part fits.
func parts(rows []json.RawMessage) (out [][]json.RawMessage) {
	room := 0
	for _, row := range rows {
		if room -= len(row) + len(","); room < 0 {
			room = maxPart - len(row)
			out = append(out, nil)
		}
		out[len(out)-1] = append(out[len(out)-1], row)
	}
	return out
}

func (o *one) tellUnit(ctx context.Context, e webhook.Event, index int, u *told) error {
	all := parts(u.rows)
	for i, rows := range all {
		body, err := json.Marshal(notice{UnitDone, e.At.UTC(), unitData{
			e.Job.ID, e.Job.Request, index, u.id, u.state(), i, len(all), rows,
		}})
		if err != nil {
			return fault.New(fault.Internal, "intake.Tell", "an internal error", err)
		}
		id := fmt.Sprintf("%s-u%d-%d", strings.TrimSuffix(e.ID, "-done"), index, i)
		n := Notice{id, UnitDone, e.Job.ID, e.Job.Request, body, trace.From(ctx).Parent()}
		if err := o.publish(ctx, n); err != nil {
			return err
		}
	}
	return nil
}

// refusedNotice is the notice of a unit that could not be parsed.
func refusedNotice(j ledger.Job, u prewarm.AcceptedUnit, message string) (Notice, error) {
	data := refusedData{j.ID, message, u.Index, u.ID, u.Err}
	body, err := json.Marshal(notice{UnitRefused, j.CreatedAt.UTC(), data})
	if err != nil {
		return Notice{}, fault.New(fault.Internal, "intake.refuse", "an internal error", err)
	}
	return Notice{fmt.Sprintf("%s-r%d", j.ID, u.Index), UnitRefused, j.ID, message, body, ""}, nil
}
