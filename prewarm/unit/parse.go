package unit

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"mime"
	"net/url"
	"strings"

	"github.com/goldcrest/goldcrest/fault"
	"github.com/goldcrest/goldcrest/variant/naming"
)

// Limits bound one prewarm call. A field that is 0 stands for that of DefaultLimits.
type Limits struct {
	Body   int64 // bytes of the decompressed body, below 1 GiB
	Units  int   // units of a call, unreadable ones included
	Images int   // images of a call
	Depth  int   // levels of nesting in a unit
	Values int   // JSON values in a unit
}

// DefaultLimits are those of the contract. Those of depth and values keep a unit that is all brackets from taking more
// memory than pictures do.
func DefaultLimits() Limits {
	return Limits{Body: 16 << 20, Units: 5000, Images: 50_000, Depth: 100, Values: 250_000}
}

// Rules are what the configuration says about calls.
type Rules struct {
	Limits    Limits
	Select    []string // selectors where neither unit nor call names any; none = auto-detection
	Bodies    []string // the readings of a body that the caller's token may name; where it is one, that; none = all
	IDPointer string   // JSON Pointer of a unit's id, looked at before id, unit_id and uuid; "" = none

	Names *naming.Names // what names stand for, and what sources begin with; nil = http and https URLs alone
}

// reader reads one call.
type reader struct {
	ctx    context.Context
	call   Call
	limits Limits
	rules  Rules

	body    string // how the body is read: one of the readings; "" = by its shape
	wrapped *bool  // whether data_units are wrapped; nil = each by its shape

	configured, asked []Selector // of the rules and of the call
	compiled          map[string]compiled
	hints             map[string]hint
	steps, images     int // what selectors may still look at, and images that may still come
}

type compiled struct {
	selector Selector
	err      error
}

// ParseCall reads a prewarm call from its body, its headers Content-Type and Content-Encoding, and its query.
//
// NDJSON (application/x-ndjson and its other names) is one bare unit a line. Any other type is read as JSON: an object
// with data_units or urls as an array is an envelope, any other object a bare unit, and an array one of bare units. In
// urls each URL is a unit of its own, whose data is that JSON string. The fields of the call are those of the envelope,
// and where it does not say, or there is none, the query's.
//
// A unit that cannot be read has Err set, and its place in the call; the others are read all the same. The whole call
// is refused with body_too_large past a limit, bad_selector and bad_option for the call's own fields, canceled where
// the body did not arrive, and bad_unit where nothing could be read, which is the one to be answered 400.
func ParseCall(body io.Reader, contentType, contentEncoding string, query url.Values, rules Rules) (Call, error) {
	text, err := ReadBody(body, contentEncoding, rules.Limits.orDefault().Body, nil)
	if err != nil {
		return Call{}, err
	}
	return ParseText(context.Background(), text, contentType, query, rules)
}

// ParseText is ParseCall on a body that was read before. The units keep text. Selectors are not gone on with once ctx
// ends.
func ParseText(ctx context.Context, text []byte, contentType string, query url.Values, rules Rules) (Call, error) {
	r := reader{ctx: ctx, limits: rules.Limits.orDefault(), rules: rules, compiled: map[string]compiled{}, hints: map[string]hint{}, steps: maxSteps}
	r.images = r.limits.Images
	var err error
	if r.configured, err = r.compileAll(rules.Select); err != nil {
		return Call{}, fault.New(fault.Internal, "unit.ParseCall", "a configured selector is not usable", err)
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

// isLines reports whether a body of that type is one JSON text a line.
func isLines(contentType string) bool {
	media, _, _ := mime.ParseMediaType(contentType)
	switch media {
	case "application/x-ndjson", "application/ndjson", "application/jsonl", "application/x-jsonlines", "application/jsonlines", "application/json-lines":
		return true
	}
	return false
}

// nothing is the fault of a call in which no unit could be read; nil where one could, or where there was none to read.
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

// lines reads NDJSON. Empty lines are counted as lines, not as units.
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
		whole.start, whole.end = 0, len(at) // What follows the value makes the line unreadable, and is told so.
		if err := r.unit(at, whole, ok, line, false); err != nil {
			return err
		}
	}
	return nil
}

// document reads one JSON text.
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

// object reads an envelope or a bare unit.
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
		return notAs(r.body, "it is no object with data_units or urls as an array")
	}
	whole, ok := skim(text, 0)
	return r.unit(text, whole, ok, 0, false)
}

// wholeUnit reads a body that is one unit, whatever its fields are called.
func (r *reader) wholeUnit(text []byte) error {
	text = bytes.Trim(text, " \t\r\n")
	if len(text) == 0 {
		return unreadable("the body is empty", nil)
	}
	whole, ok := skim(text, 0)
	whole.start, whole.end = 0, len(text) // What follows the value makes the unit unreadable.
	return r.unit(text, whole, ok, 0, false)
}

func isArray(text []byte) bool { return len(text) > 0 && text[0] == '[' }

// byName gives the values of an object; where a name stands twice, the last one.
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
	// Where the reading is fixed, a unit is wrapped only if the call says so: a document may look like a wrapped one.
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

// array reads the units of an array. Where its commas and brackets do not fit, what was read before stands and the rest
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

// broken notes that the text of an array goes on, or ends, in a way that cannot be read.
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

// add gives a unit its place in the call.
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
