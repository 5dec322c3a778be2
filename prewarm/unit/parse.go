package unit

import (
	"bytes"
	"context"
	"fmt"
	"mime"
	"net/url"
	"strings"

	"github.com/goldcrest/goldcrest/fault"
	"github.com/goldcrest/goldcrest/variant/naming"
)

// Limits bound one prewarm call. A field that is 0 means the value of DefaultLimits.
type Limits struct {
	Body   int64 // bytes of the decompressed body, below 1 GiB
	Units  int   // units of a call, including unreadable ones
	Images int   // images of a call
	Depth  int   // levels of nesting in a unit
	Values int   // JSON values in a unit
}

// DefaultLimits are those of the contract. Depth and Values keep a unit that consists of brackets from taking more
// memory than pictures do.
func DefaultLimits() Limits {
	return Limits{Body: 16 << 20, Units: 5000, Images: 50_000, Depth: 100, Values: 250_000}
}

// Rules is what the configuration says about calls.
type Rules struct {
	Limits    Limits
	Select    []string // selectors if neither unit nor call has any; empty = auto-detection
	Bodies    []string // readings of a body that the token may request; a single one is the default; empty = all
	IDPointer string   // JSON Pointer of a unit's id, tried before id, unit_id and uuid; "" = none

	Names *naming.Names // aliases of hosts and allowed prefixes of sources; nil = only http and https URLs
}

// reader parses one call.
type reader struct {
	ctx    context.Context
	call   Call
	limits Limits
	rules  Rules

	body    string // one of the readings; "" = decide by the shape of the body
	wrapped *bool  // whether data_units are wrapped; nil = decide for each by its shape

	configured, asked []Selector // of the rules and of the call
	compiled          map[string]compiled
	hints             map[string]hint
	steps, images     int // steps left for selectors, and images left
}

type compiled struct {
	selector Selector
	err      error
}

// ParseText parses a prewarm call from its body, which the units refer to, its header Content-Type, and its query.
// Selectors stop when ctx ends.
//
// NDJSON (application/x-ndjson and its other names) is one bare unit per line. Any other type is parsed as JSON. An
// object whose data_units or urls is an array is an envelope; any other object is a bare unit; an array contains bare
// units. Each URL in urls is a unit of its own, whose data is that JSON string. The fields of the call come from
// the envelope; those that it lacks come from the query.
//
// A unit that cannot be parsed has Err set and keeps its index; the other units are parsed all the same. The whole call
// is refused with body_too_large if it exceeds a limit, with bad_selector and bad_option for the call's own fields, and
// with bad_unit (400) if nothing could be parsed.
func ParseText(ctx context.Context, text []byte, contentType string, query url.Values, rules Rules) (Call, error) {
	r := reader{ctx: ctx, limits: rules.Limits.orDefault(), rules: rules, compiled: map[string]compiled{}, hints: map[string]hint{}, steps: maxSteps}
	r.images = r.limits.Images
	var err error
	if r.configured, err = r.compileAll(rules.Select); err != nil {
		return Call{}, fault.New(fault.Internal, "unit.ParseText", "a configured selector is not usable", err)
	}
	if err := r.fromQuery(query); err != nil {
		return Call{}, err
	}
	if err = r.readAs(text, isLines(contentType)); err != nil {
		return Call{}, err
	}
	return r.call, r.nothing()
}

func (l Limits) orDefault() Limits {
	d := DefaultLimits()
	if l.Body <= 0 || l.Body > 1<<30 {
		l.Body = d.Body
	}
	for _, f := range []struct {
		to   *int
		from int
	}{{&l.Units, d.Units}, {&l.Images, d.Images}, {&l.Depth, d.Depth}, {&l.Values, d.Values}} {
		if *f.to <= 0 {
			*f.to = f.from
		}
	}
	return l
}

// isLines reports whether a body of that type is one JSON text per line.
func isLines(contentType string) bool {
	media, _, _ := mime.ParseMediaType(contentType)
	switch media {
	case "application/x-ndjson", "application/ndjson", "application/jsonl", "application/x-jsonlines", "application/jsonlines", "application/json-lines":
		return true
	}
	return false
}

// nothing returns the fault of a call in which no unit could be parsed; nil if one could, or if there was none.
func (r *reader) nothing() error {
	var first *Unit
	for i := range r.call.Units {
		u := &r.call.Units[i]
		if u.Err == nil || u.Err.Code != fault.BadUnit {
			return nil
		}
		if first == nil {
			first = u
		}
	}
	switch {
	case first == nil:
		return nil
	case first.Line > 0:
		return unreadable(fmt.Sprintf("no unit could be read; the first, in line %d: %s", first.Line, first.Err.Detail), nil)
	case len(r.call.Units) == 1:
		return unreadable("the unit could not be read: "+first.Err.Detail, nil)
	}
	return unreadable(fmt.Sprintf("no unit could be read; the first, at index %d: %s", first.Index, first.Err.Detail), nil)
}

// lines parses NDJSON. Empty lines count as lines, not as units.
func (r *reader) lines(text []byte) error {
	if len(bytes.TrimSpace(text)) == 0 {
		return unreadable("the body is empty", nil)
	}
	for line := 1; len(text) > 0; line++ {
		var at []byte
		at, text, _ = bytes.Cut(text, []byte("\n"))
		if at = bytes.Trim(at, " \t\r"); len(at) == 0 {
			continue
		}
		whole, ok := skim(at, 0)
		whole.start, whole.end = 0, len(at) // whatever follows the value makes the line unreadable, with that reason
		if err := r.unit(at, whole, ok, line, false); err != nil {
			return err
		}
	}
	return nil
}

// document parses one JSON text.
func (r *reader) document(text []byte) error {
	text = bytes.Trim(text, " \t\r\n")
	switch {
	case len(text) == 0:
		return unreadable("the body is empty", nil)
	case bytes.HasPrefix(text, bom):
		return unreadable("the body begins with a byte order mark", nil)
	case text[0] == '[':
		return r.array(text, false)
	case text[0] == '{':
		return r.object(text)
	}
	return unreadable("the body is neither a JSON object nor an array", nil)
}

// object parses an envelope or a bare unit.
func (r *reader) object(text []byte) error {
	fields, end := members(text)
	if end < 0 {
		return unreadable("the body could not be read: "+check(text, 0, r.limits.Depth), nil)
	}
	if end != len(text) {
		return unreadable("more follows after the JSON value; units on lines of their own need the type application/x-ndjson", nil)
	}
	values := byName(text, fields)
	if units, urls := values["data_units"], values["urls"]; isArray(units) || isArray(urls) {
		return r.envelope(values)
	}
	if r.body == BodyEnvelope {
		return notAs(r.body, "it is not an object with data_units or urls as an array")
	}
	whole, ok := skim(text, 0)
	return r.unit(text, whole, ok, 0, false)
}

// wholeUnit parses a body that is one unit, whatever its fields are called.
func (r *reader) wholeUnit(text []byte) error {
	text = bytes.Trim(text, " \t\r\n")
	if len(text) == 0 {
		return unreadable("the body is empty", nil)
	}
	whole, ok := skim(text, 0)
	whole.start, whole.end = 0, len(text) // whatever follows the value makes the unit unreadable
	return r.unit(text, whole, ok, 0, false)
}

func isArray(text []byte) bool { return len(text) > 0 && text[0] == '[' }

// byName returns the values of an object; of duplicate names the last one.
func byName(text []byte, fields []member) map[string][]byte {
	values := make(map[string][]byte, len(fields))
	for _, f := range fields {
		if key := f.key.of(text); check(key, 0, 0) == "" {
			values[decodeString(key)] = f.value.of(text)
		}
	}
	return values
}

func (r *reader) envelope(values map[string][]byte) error {
	if err := only("field of a call (an object with data_units or urls as an array is one)", values, envelopeFields()); err != nil {
		return err
	}
	if err := r.fromEnvelope(values); err != nil {
		return err
	}
	// If the reading is fixed, a unit is wrapped only if the call says so: a document may look like a wrapped unit.
	wrapped := r.body == "" && r.wrapped == nil || r.wrapped != nil && *r.wrapped
	if units := values["data_units"]; isArray(units) {
		if err := r.array(units, wrapped); err != nil {
			return err
		}
	}
	if urls := values["urls"]; isArray(urls) {
		return r.urls(urls)
	}
	return nil
}

// array parses the units of an array. If its commas and brackets do not match, the units before stay valid and the rest
// is one unreadable unit.
func (r *reader) array(text []byte, wrapped bool) error {
	var err error
	end := elements(text, func(s span) bool {
		err = r.unit(text, s, true, 0, wrapped)
		return err == nil
	})
	if err != nil {
		return err
	}
	if end != len(text) {
		return r.broken(end)
	}
	return nil
}

// broken adds a unit for the rest of an array that cannot be parsed.
func (r *reader) broken(end int) error {
	detail := "the array is cut off or broken here"
	if end >= 0 {
		detail = "more follows after the end of the array"
	}
	return r.add(Unit{Err: badUnit(detail, "")})
}

func (r *reader) urls(text []byte) error {
	var err error
	end := elements(text, func(s span) bool {
		err = r.url(s.of(text))
		return err == nil
	})
	if err == nil && end != len(text) {
		err = r.broken(end)
	}
	return err
}

// add appends a unit to the call.
func (r *reader) add(u Unit) error {
	if len(r.call.Units) >= r.limits.Units {
		return tooMuch(fmt.Sprintf("the call has more than %d units; send it in several", r.limits.Units))
	}
	u.Index = len(r.call.Units)
	r.call.Units = append(r.call.Units, u)
	return nil
}

func badUnit(detail, pointer string) *Error {
	return &Error{Code: fault.BadUnit, Detail: strings.TrimSpace(detail), Pointer: pointer}
}
