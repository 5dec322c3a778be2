package unit

import (
	"bytes"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/goldcrest/goldcrest/fault"
)

// The readings of a body. With one of them nothing inside a document is an instruction, whatever it looks like. Without
// one, a JSON object whose data_units or urls is an array is an envelope.
const (
	BodyUnit     = "unit"     // the body is one unit
	BodyUnits    = "units"    // it is an array of units, or NDJSON
	BodyEnvelope = "envelope" // an envelope, whose units are wrapped only if it says "wrapped": true
)

// Bodies returns all readings.
func Bodies() []string { return []string{BodyUnit, BodyUnits, BodyEnvelope} }

// Reading returns how to read a body, from the call's query and what its token allows; "" = by its shape. Faults:
// bad_option for an unknown reading, forbidden_scope if the token may not request it, or must name one and did not.
func Reading(query url.Values, allowed []string) (string, error) {
	asked := query.Get("body")
	switch {
	case asked != "" && !slices.Contains(Bodies(), asked), len(query["body"]) > 1:
		return "", badOption("body", "none of "+strings.Join(Bodies(), ", "))
	case len(allowed) == 0, slices.Contains(allowed, asked):
		return asked, nil
	case asked == "" && len(allowed) == 1:
		return allowed[0], nil
	}
	return "", fault.New(fault.ForbiddenScope, "unit.Reading", "this token may post bodies as "+strings.Join(allowed, " or ")+" only; say which in the query's body", nil)
}

// readAs parses the body by the fixed reading, else by its shape.
func (r *reader) readAs(text []byte, lines bool) error {
	start := bytes.TrimLeft(text, " \t\r\n")
	switch {
	case lines && r.body == BodyEnvelope:
		return notAs(r.body, "NDJSON is units")
	case r.body == BodyUnit: // also for NDJSON: one line
		return r.wholeUnit(text)
	case lines:
		return r.lines(text)
	case r.body == BodyUnits && !isArray(start):
		return notAs(r.body, "it is not a JSON array")
	case r.body == BodyEnvelope && isArray(start):
		return notAs(r.body, "it is a JSON array")
	}
	return r.document(text)
}

// notAs refuses a body that does not match its reading.
func notAs(reading, why string) error {
	return unreadable(fmt.Sprintf("the body was to be read as %s, but %s", reading, why), nil)
}
