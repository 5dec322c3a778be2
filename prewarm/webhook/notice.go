package webhook

import (
	"encoding/json"
	"slices"
	"time"

	"github.com/goldcrest/goldcrest/fault"
	"github.com/goldcrest/goldcrest/prewarm/ledger"
)

// BrokenImage is a broken source and the units that contain it.
type BrokenImage struct {
	ledger.BrokenSource
	Units   []string `json:"units,omitempty"`         // ids, at most maxUnits
	Omitted int      `json:"units_omitted,omitempty"` // number of further units
}

const (
	maxNotice = 256 << 10 // bytes of a callback's body
	maxTags   = 16 << 10  // bytes of the tags in it
	maxUnits  = 100       // units listed for one source
)

// add adds a unit, once.
func (b *BrokenImage) add(unit string) {
	switch {
	case slices.Contains(b.Units, unit):
	case len(b.Units) < maxUnits:
		b.Units = append(b.Units, unit)
	default:
		b.Omitted++
	}
}

// notice is the body of a callback.
type notice struct {
	Type      string     `json:"type"`
	Timestamp time.Time  `json:"timestamp"`
	Data      noticeData `json:"data"`
}

type noticeData struct {
	Job    string        `json:"job"`
	State  ledger.State  `json:"state"`
	Counts ledger.Counts `json:"counts"`
	Bytes  ledger.Bytes  `json:"bytes"`
	Tags   []string      `json:"tags"`
	// Request is the id of the HTTP request that created the job; "" for jobs of older versions.
	Request string `json:"request_id,omitempty"`
	// Broken may be cut short to keep the body below its limit. BrokenOmitted is the number of omitted sources. GET
	// /v1/broken lists all.
	Broken        []brokenRow `json:"broken"`
	BrokenOmitted int         `json:"broken_omitted"`
}

// brokenRow is a broken source in a callback.
type brokenRow struct {
	Source  string     `json:"source"` // without its query, which may contain a signature; "" if it is not a URL
	Reason  fault.Kind `json:"reason"`
	Units   []string   `json:"units"` // ids
	Omitted int        `json:"units_omitted,omitempty"`
}

// Notice is the event's JSON, at most maxNotice bytes long and the same at every try. It contains only what every
// receiver may know: no text of units, and no queries of sources.
func (e Event) Notice() ([]byte, error) {
	n := notice{Type: e.Type, Timestamp: e.At.UTC(), Data: noticeData{
		Job: e.Job.ID, State: e.Job.State, Counts: e.Job.Counts, Bytes: e.Job.Bytes, Tags: firstTags(e.Job.Tags), Request: e.Job.Request,
		Broken: []brokenRow{}, BrokenOmitted: len(e.Broken),
	}}
	body, err := json.Marshal(n)
	if err != nil {
		return nil, fault.New(fault.Internal, "webhook.notice", "an internal error", err)
	}
	room := maxNotice - len(body)
	for _, b := range e.Broken {
		row := brokenRow{Source: fault.RedactURL(b.Source), Reason: b.Reason, Units: append([]string{}, b.Units...), Omitted: b.Omitted}
		text, err := json.Marshal(row)
		if err != nil {
			return nil, fault.New(fault.Internal, "webhook.notice", "an internal error", err)
		}
		if room -= len(text) + len(","); room < 0 {
			break
		}
		n.Data.Broken = append(n.Data.Broken, row)
	}
	n.Data.BrokenOmitted -= len(n.Data.Broken) // never has more digits than before
	return json.Marshal(n)
}

// firstTags returns the tags that fit.
func firstTags(tags []string) []string {
	out, room := []string{}, maxTags
	for _, tag := range tags {
		if room -= len(tag); room < 0 {
			break
		}
		out = append(out, tag)
	}
	return out
}
