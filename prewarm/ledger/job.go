package ledger

import (
	"time"

	"github.com/goldcrest/goldcrest/fault"
	"github.com/goldcrest/goldcrest/prewarm/unit"
)

// Counts sums up a job. The fields from Made to Expired count variants, one per format and weight class. Their sum with
// Pending is Variants.
type Counts struct {
	DataUnits int `json:"data_units"`
	Images    int `json:"images"`
	Variants  int `json:"variants"`
	Made      int `json:"made"`
	Present   int `json:"present"`
	Broken    int `json:"broken"`
	Failed    int `json:"failed"`
	Pending   int `json:"pending"`
	Skipped   int `json:"skipped"`
	Cancelled int `json:"cancelled,omitempty"`
	Expired   int `json:"expired,omitempty"`
	Over      int `json:"over,omitempty"` // of those made or present: larger than their share of the unit's budget
}

// Bytes sums up what a job has stored. Stored + Saved is the size that the originals would have if they were delivered
// instead of their variants.
type Bytes struct {
	Source int64 `json:"source"` // of the originals, each once
	Stored int64 `json:"stored"` // of the variants
	Saved  int64 `json:"saved"`  // sum of original size minus variant size; negative for a variant that is larger
}

// Job is the record of one accepted prewarm call. It contains no text of units.
type Job struct {
	ID         string         `json:"job"`
	State      State          `json:"state"`
	Counts     Counts         `json:"counts"`
	Bytes      Bytes          `json:"bytes"`
	Tags       []string       `json:"tags,omitempty"`
	Priority   string         `json:"priority"`
	Deadline   time.Time      `json:"deadline,omitzero"`
	CreatedAt  time.Time      `json:"created_at"`
	StartedAt  time.Time      `json:"started_at,omitzero"`
	FinishedAt time.Time      `json:"finished_at,omitzero"`
	ETA        int            `json:"eta_s,omitempty"`      // seconds; 0 = unknown or done
	Request    string         `json:"request_id,omitempty"` // of the call
	Callback   *unit.Callback `json:"-"`
	Token      string         `json:"-"` // name of the API token that posted it
}

// Verdict is the result for one variant of one image in one format: a row of /v1/jobs/{id}/results.
type Verdict struct {
	Unit    int        `json:"index"` // of the unit in the call
	UnitID  string     `json:"id"`
	Pointer string     `json:"pointer"`
	Source  string     `json:"source"`
	Name    string     `json:"name"`   // of the variant
	Format  string     `json:"format"` // concrete; "" while pending or broken before it was known
	Key     string     `json:"key,omitempty"`
	State   State      `json:"state"`
	Reason  fault.Kind `json:"reason,omitempty"`
	Bytes   int64      `json:"bytes,omitempty"`
	Width   int        `json:"width,omitempty"`
	Height  int        `json:"height,omitempty"`
	// Placeholder is a ThumbHash of the variant's pixels in base64, to show until the image has loaded; "" = unknown.
	Placeholder string    `json:"placeholder,omitempty"`
	Score       float64   `json:"score,omitempty"`  // SSIMULACRA2, for print of the worst part; 0 = not measured
	Budget      int64     `json:"budget,omitempty"` // the variant's share of its unit's budget, in bytes; 0 = no budget
	Over        bool      `json:"over,omitempty"`   // it is larger than Budget, even in the lowest quality
	From        int64     `json:"source_bytes,omitempty"`
	At          time.Time `json:"at,omitzero"`
}
