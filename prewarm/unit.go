// Package prewarm makes the variants of Data Units ahead of need: Unit, Job, Verdict, Queue contract, worker.
package prewarm

import (
	"encoding/json"
	"time"

	"github.com/goldcrest/goldcrest/fault"
)

// Unit is one Data Unit as it was posted. Its text lives only as long as the call that brought it: nothing of Data is queued,
// stored or logged.
type Unit struct {
	Index  int             // position in the call, from 0
	Line   int             // line of an NDJSON body, from 1; 0 = the body was not NDJSON
	ID     string          // the unit's own, or one given by us; two units may share one
	Data   json.RawMessage // what pointers are relative to
	Images []Image         // found, de-duplicated by source within the unit, in document order
	Skips  int             // places that a selector found null or empty

	Variants []string // names or options asked for by this unit alone; nil = the call's
	Select   []string // selectors of this unit alone; nil = the call's

	Err *UnitError // the unit cannot be worked; the others of its call still are
}

// UnitError says why one unit cannot be worked.
type UnitError struct {
	Code    fault.Kind `json:"code"`
	Detail  string     `json:"detail"`
	Pointer string     `json:"pointer,omitempty"` // into the unit, where it is known
}

// Image is one image URL of a unit.
type Image struct {
	Pointer string // JSON Pointer of the first place it stands in, relative to Data
	Source  string // as it is to be fetched: blanks around it and the #fragment removed
	Auto    bool   // found by auto-detection: no image (415) means skipped, not broken
	// Also holds the further pointers at which the same source stands, for rewriting.
	Also []string
	// Bad is set on a selected value that is no http(s) URL: the verdict is broken without a fetch. "" otherwise.
	Bad fault.Kind
}

// Call is one parsed prewarm request.
type Call struct {
	Variants []VariantAsk // nil = the configured presets
	Select   []string     // JSONPath or JSON Pointer; nil = the configured ones, else auto-detection
	Priority string       // "low", "normal" or "high"; "" = normal
	Deadline time.Time    // zero = none
	TTL      time.Duration
	Round    time.Duration
	Tags     []string
	Return   string // "none", "urls" (default), "rewritten", "enriched"
	Callback *Callback
	Units    []Unit
}

// VariantAsk is one variant by the name of a preset, or by options under a name of the caller's.
type VariantAsk struct{ Name, Options string }

// Callback says whom to tell, and what.
type Callback struct {
	URL    string
	Events []string // job.done, image.broken
}
