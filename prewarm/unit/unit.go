// Package unit reads prewarm calls: bytes to units and the places of their images. It skims a body, parses each unit
// into a tree, finds images by selectors or by their looks, and writes a unit again with its images replaced. It is
// pure: it reads the body that it is handed, does no other I/O, and knows neither jobs nor the pipeline.
package unit

import (
	"encoding/json"
	"slices"
	"time"

	"github.com/goldcrest/goldcrest/fault"
	"github.com/goldcrest/goldcrest/reach"
)

// Unit is one Data Unit as it was posted. Its text lives only as long as the call that brought it: nothing of Data is
// queued, stored or logged.
type Unit struct {
	Index  int             // position in the call, from 0
	Line   int             // line of an NDJSON body, from 1; 0 = the body was not NDJSON
	ID     string          // the unit's own, or one given by us: "sha256-" and a hash of Data, the same whenever it is posted again
	Data   json.RawMessage // what pointers are relative to: the unit's object, or the JSON string of a plain URL (pointer "")
	Images []Image         // found, de-duplicated by source within the unit, in document order
	Skips  int             // places that a selector found null or empty

	Variants []VariantAsk // asked for by this unit alone; nil = the call's
	Select   []string     // selectors of this unit alone; nil = the call's
	Budget   int64        // bytes of this unit alone; 0 = the call's

	Chosen bool   // selectors say where its images are; else they were found by their looks
	Err    *Error // the unit cannot be worked; the others of its call still are

	places []place // where its images stand in Data, in document order, for Replace
}

// Error says why one unit cannot be worked.
type Error struct {
	Code    fault.Kind `json:"code"`
	Detail  string     `json:"detail"`
	Pointer string     `json:"pointer,omitempty"` // into the unit, where it is known
}

// Note says that a unit which was accepted is perhaps not what was meant.
type Note struct {
	Code   string `json:"code"` // no_images or nothing_selected
	Detail string `json:"detail"`
}

// Note is what there is to say about a unit in which no image was found; nil = nothing.
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
	// Pointer is the JSON Pointer of the first place it stands in, relative to Data. For an image in a string that
	// itself holds JSON it is the pointer of that string.
	Pointer string
	Source  string // as it is to be fetched: blanks around it and the #fragment removed
	Auto    bool   // found by auto-detection: what is no image is skipped, not broken,
	Sure    bool   // unless its name ends like an image's, or its key says image: then HTML in its place is broken
	// Bad is set where the value is no usable http(s) URL: the verdict is broken without a fetch; "" otherwise. Source
	// is then what stands there, or "" where that does not look like a URL: it might be anybody's text.
	Bad fault.Kind
}

// Call is one parsed prewarm request.
type Call struct {
	Variants []VariantAsk // nil = the configured presets
	Select   []string     // JSONPath or JSON Pointer; nil = the configured ones, else auto-detection
	Budget   int64        // bytes that the images of one unit may have together, in each variant and format; 0 = as many as it takes
	Priority string       // "low", "normal" or "high"; "" = normal
	Deadline time.Time    // zero = none
	TTL      time.Duration
	Round    time.Duration
	Tags     []string
	Return   string // "none", "urls" (default), "rewritten", "enriched"
	Callback *Callback
	Again    bool // look again at sources that are known to be broken; those that were mended leave the feed of broken ones
	Units    []Unit
	Key      string // the id of the key that its URLs are signed with; "" = the first valid one
	Rights   Rights // what its token may ask for; nil = all
	Request  string // the id of the request that brought it; goes with the job to its callbacks
}

// Rights are what a token may ask for, by itself and with the key that signs its URLs. The preset "" stands for options
// beside presets. Implemented by signing.Rights.
type Rights interface {
	AllowsSource(source string) bool
	Hosts() reach.Hosts // that originals may come from, redirects included
	AllowsPreset(name string) bool
}

// VariantAsk is one variant by the name of a preset, or by options under a name of the caller's.
type VariantAsk struct {
	Name    string
	Options string // "" = Name is that of a preset
}

// Callback says whom to tell, and what.
type Callback struct {
	URL    string
	Events []string // job.done, image.broken
	// Outlet is the name of the intake that the call came by, if its verdicts go back there; then there is no URL. No
	// body can name one.
	Outlet string `json:",omitempty"`
}

// Wants reports whether the callback asked for events of this type; one that names none gets all.
func (c Callback) Wants(event string) bool {
	return len(c.Events) == 0 || slices.Contains(c.Events, event)
}
