// Package unit parses prewarm calls: bytes to units and the places of their images. It skims a body, parses each unit
// into a tree, finds images by selectors or by what values look like, and writes a unit with its images replaced. Apart
// from reading the body it does no I/O, and it depends neither on jobs nor on the pipeline.
package unit

import (
	"encoding/json"
	"slices"
	"time"

	"github.com/goldcrest/goldcrest/fault"
	"github.com/goldcrest/goldcrest/reach"
)

// Unit is one Data Unit as posted. Its text exists only during the call: Data is never queued, stored or logged.
type Unit struct {
	Index  int             // position in the call, from 0
	Line   int             // line of an NDJSON body, from 1; 0 = the body was not NDJSON
	ID     string          // the unit's own, or one assigned: "sha256-" and a hash of Data
	Data   json.RawMessage // the root of pointers: the unit's object, or the JSON string of a plain URL (pointer "")
	Images []Image         // de-duplicated by source within the unit, in document order
	Skips  int             // places selected by a selector that are null or empty

	Variants []VariantAsk // requested by this unit; nil = the call's
	Select   []string     // selectors of this unit; nil = the call's
	Budget   int64        // bytes for this unit; 0 = the call's

	Chosen bool   // images were searched by selectors; else by what values look like
	Err    *Error // the unit cannot be processed; the others of its call still are

	places []place // of its images in Data, in document order, for Replace
}

// Error says why one unit cannot be processed.
type Error struct {
	Code    fault.Kind `json:"code"`
	Detail  string     `json:"detail"`
	Pointer string     `json:"pointer,omitempty"` // into the unit, if known
}

// Note says that a unit was accepted but may not be what the caller intended.
type Note struct {
	Code   string `json:"code"` // no_images or nothing_selected
	Detail string `json:"detail"`
}

// Note returns the note for a unit in which no image was found; nil = none.
func (u Unit) Note() *Note {
	switch {
	case u.Err != nil || len(u.Images) > 0:
		return nil
	case u.Chosen && u.Skips > 0:
		return &Note{"nothing_selected", "what the selectors choose in it is null or empty"}
	case u.Chosen:
		return &Note{"nothing_selected", "the selectors choose nothing in it"}
	}
	return &Note{"no_images", "nothing in it looks like the URL of an image; select says where images are"}
}

// Image is one image URL of a unit.
type Image struct {
	// Pointer is the JSON Pointer of the image's first place, relative to Data. If the image is in a string that itself
	// contains JSON, it is the pointer of that string.
	Pointer string
	Source  string // as it is fetched: without surrounding spaces and #fragment
	Auto    bool   // found by auto-detection: if it is not an image it is skipped, not broken,
	Sure    bool   // unless it has an image extension or its key means image: then HTML in its place is broken
	// Bad is the fault if the value is not a usable http(s) URL; "" otherwise. The verdict is broken without a fetch.
	// Source is then the value itself, or "" if it does not look like a URL: it may be any text.
	Bad fault.Kind
}

// Call is one parsed prewarm request.
type Call struct {
	Variants []VariantAsk // nil = the configured presets
	Select   []string     // JSONPath or JSON Pointer; nil = the configured ones, else auto-detection
	Budget   int64        // bytes of all images of one unit, in each variant and format; 0 = no limit
	Priority string       // "low", "normal" or "high"; "" = normal
	Deadline time.Time    // zero = none
	TTL      time.Duration
	Round    time.Duration
	Tags     []string
	Return   string // "none", "urls" (default), "rewritten", "enriched"
	Callback *Callback
	Again    bool // try known broken sources again; repaired ones leave the feed of broken sources
	Units    []Unit
	Key      string // id of the key that signs its URLs; "" = the first valid one
	Rights   Rights // what its token may request; nil = everything
	Request  string // id of the HTTP request; stored with the job and sent in its callbacks
}

// Rights are what a token may request, by itself and with the key that signs its URLs. The preset "" stands for options
// besides presets. signing.Rights implements it.
type Rights interface {
	AllowsSource(source string) bool
	Hosts() reach.Hosts // from which originals may come, redirects included
	AllowsPreset(name string) bool
}

// VariantAsk is one requested variant: the name of a preset, or options under a name of the caller's choice.
type VariantAsk struct {
	Name    string
	Options string // "" = Name is the name of a preset
}

// Callback says where events are sent, and which.
type Callback struct {
	URL    string
	Events []string // job.done, image.broken
	// Outlet is the name of the intake from which the call came, if its verdicts go back there; then there is no URL. A
	// body cannot set it.
	Outlet string `json:",omitempty"`
}

// Wants reports whether the callback asked for events of this type: all if it lists none. Without a
// callback none are wanted.
func (c *Callback) Wants(event string) bool {
	return c != nil && (len(c.Events) == 0 || slices.Contains(c.Events, event))
}
