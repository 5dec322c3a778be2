package client

import (
	"context"
	"errors"
	"net/url"
)

// CheckCall asks for the state of sources, units or keys: one of them.
type CheckCall struct {
	URLs     []string
	Units    []Unit
	Keys     []string
	Variants []Variant // of URLs and units; nil = the configured presets
	Select   []string  // where images are in units
	Budget   int64     // bytes of each unit, as in the Call that made them; 0 = none
}

// Checked is the state of one source or key.
type Checked struct {
	Unit     int              `json:"index"` // of its unit, in a check of units
	UnitID   string           `json:"id"`
	Pointer  string           `json:"pointer"`
	Source   string           `json:"source"`
	Key      string           `json:"key"`
	State    string           `json:"state"`  // present: all of it is stored; pending: it is queued; broken; unknown
	Reason   string           `json:"reason"` // a code, if it is broken
	Variants []CheckedVariant `json:"variants"`
}

// CheckedVariant is one variant in one format.
type CheckedVariant struct {
	Name   string `json:"name"`
	Format string `json:"format"`
	Key    string `json:"key"`
	State  string `json:"state"`
	Reason string `json:"reason"`
	Bytes  int64  `json:"bytes"`
	Width  int    `json:"width"`
	Height int    `json:"height"`
}

// Checks is the result of a CheckCall.
type Checks struct {
	Checked []Checked    `json:"checked"`
	Errors  []UnreadUnit `json:"errors"`
	Notes   []NotedUnit  `json:"notes"`
}

// NotedUnit is a unit that was parsed but may be a mistake.
type NotedUnit struct {
	Index int      `json:"index"`
	Line  int      `json:"line"` // of an NDJSON body; 0 otherwise
	ID    string   `json:"id"`
	Note  UnitNote `json:"note"`
}

// UnreadUnit is a unit that could not be parsed.
type UnreadUnit struct {
	Index int       `json:"index"`
	Line  int       `json:"line"` // of an NDJSON body; 0 otherwise
	ID    string    `json:"id"`
	Error UnitError `json:"error"`
}

// Check returns what is stored, queued or known to be broken. It starts no work.
func (a *API) Check(ctx context.Context, c CheckCall) (Checks, error) {
	given := 0
	for _, n := range []int{len(c.URLs), len(c.Units), len(c.Keys)} {
		given += min(n, 1)
	}
	if given != 1 {
		return Checks{}, errors.New("client: a check asks about URLs, units or keys: one of them")
	}
	r, err := jsonRequest("/v1/check", envelope{URLs: c.URLs, Units: c.Units, Keys: c.Keys, Variants: c.Variants, Select: c.Select, Budget: c.Budget, Wrapped: len(c.Units) > 0})
	if err != nil {
		return Checks{}, err
	}
	r.query = url.Values{"body": {"envelope"}}
	var out Checks
	err = a.fetch(ctx, r, &out)
	return out, err
}

// PurgeCall says which variants are purged: set exactly one field.
type PurgeCall struct {
	Source string `json:"source,omitempty"` // those of this source
	Unit   string `json:"unit,omitempty"`   // those of a unit's sources, while the server keeps the job
	Tag    string `json:"tag,omitempty"`    // those of the jobs with a tag, while the server keeps them
	Prefix string `json:"prefix,omitempty"` // those whose keys have this prefix
	All    bool   `json:"all,omitempty"`    // all; the token needs the scope admin
}

// Purged is the result of a purge, and what has to be purged at the CDN.
type Purged struct {
	Entries int      `json:"purged"`
	Sources int      `json:"sources"`
	CDNTags []string `json:"cdn_tags"`
	CDNAll  bool     `json:"cdn_all"` // the tags cannot be listed: purge the CDN as a whole
}

// Purge removes variants from memory on every instance and from the store.
func (a *API) Purge(ctx context.Context, c PurgeCall) (Purged, error) {
	r, err := jsonRequest("/v1/purge", c)
	if err != nil {
		return Purged{}, err
	}
	var out Purged
	err = a.fetch(ctx, r, &out)
	return out, err
}
