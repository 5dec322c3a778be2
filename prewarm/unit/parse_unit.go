package unit

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"github.com/goldcrest/goldcrest/fault"
)

// maxID bounds a unit's id in bytes.
const maxID = 256

// unit parses the unit at s of text. whole says whether skim found its end; wrapped says whether it may be {id, data,
// select, variants, budget}. An error is a fault of the whole call.
func (r *reader) unit(text []byte, s span, whole bool, line int, wrapped bool) error {
	u := Unit{Line: line, Data: json.RawMessage(s.of(text))}
	u.Err = r.validate(u.Data, s.depth, whole)
	var id json.RawMessage
	if u.Err == nil && wrapped {
		id, u.Err = r.unwrap(&u)
	}
	if u.Err == nil {
		if f := r.read(&u, id); f != nil {
			if f.call != nil {
				return f.call
			}
			u.Err, u.Images, u.places = f.unit, nil, nil
		}
	}
	if u.ID == "" {
		u.ID = givenID(u.Data)
	}
	return r.add(u)
}

func (r *reader) validate(text []byte, depth int, whole bool) *Error {
	detail := check(text, depth, r.limits.Depth)
	switch {
	case detail != "":
		return badUnit(detail, "")
	case !whole:
		return badUnit("it is cut off", "")
	case text[0] != '{':
		return badUnit("a unit is a JSON object", "")
	}
	return nil
}

// unwrap extracts a unit from {id, data, select, variants, budget}, if there are no other fields and data is an object.
// It returns the id there.
func (r *reader) unwrap(u *Unit) (id json.RawMessage, bad *Error) {
	fields, _ := members(u.Data)
	values := byName(u.Data, fields)
	if why := notWrapped(values); why != "" {
		if r.wrapped != nil { // the call says that it is wrapped
			return nil, badUnit(why, "")
		}
		return nil, nil
	}
	u.Data = values["data"]
	var err error
	if u.Select, err = stringsOf(values["select"]); err != nil {
		return nil, &Error{Code: fault.BadSelector, Detail: err.Error(), Pointer: "/select"}
	}
	if u.Variants, err = variantsOf(values["variants"]); err != nil {
		return nil, badUnit(err.Error(), "/variants")
	}
	if u.Budget, err = parseBudget(values["budget"]); err != nil {
		return nil, badUnit(err.Error(), "/budget")
	}
	return values["id"], nil
}

// notWrapped says why an object with these fields is not a wrapped unit; "" = it is one.
func notWrapped(values map[string][]byte) string {
	if data := values["data"]; len(data) == 0 || data[0] != '{' {
		return "a wrapped unit has data, which is a JSON object"
	}
	known := []string{"id", "data", "select", "variants", "budget"}
	for _, name := range slices.Sorted(maps.Keys(values)) {
		if !slices.Contains(known, name) {
			return fault.Unknown("field of a wrapped unit", name, known)
		}
	}
	return ""
}

// read finds the id and the images of a unit that is a valid JSON object.
func (r *reader) read(u *Unit, id json.RawMessage) *fail {
	values := r.limits.Values
	root, err := grow(u.Data, &values)
	if err != nil {
		return &fail{unit: badUnit(fmt.Sprintf("it holds more than %d values", r.limits.Values), "")}
	}
	var bad *Error
	if u.ID, bad = r.idOf(u.Data, root, id); bad != nil {
		return &fail{unit: bad}
	}
	selectors, bad := r.selectors(u)
	if bad != nil {
		return &fail{unit: bad}
	}
	u.Chosen = len(selectors) > 0
	c := collector{
		unit: u, src: u.Data, known: map[string]int{}, hints: r.hints, depth: r.limits.Depth, left: &r.images, values: &values,
		names: r.rules.Names,
	}
	var f *fail
	if len(selectors) == 0 {
		f = c.detect(root, noHint)
	} else {
		x := selection{src: u.Data, root: root, steps: &r.steps, ctx: r.ctx}
		err := x.run(selectors)
		if gone := r.ctx.Err(); gone != nil {
			return &fail{call: gone}
		}
		if err != nil {
			return &fail{unit: &Error{Code: fault.BadSelector, Detail: err.Error()}}
		}
		f = c.selected(root)
	}
	// Of an object with both url and src selected, url comes first.
	slices.SortStableFunc(c.places, func(a, b place) int { return a.start - b.start })
	u.places = c.places
	return f
}

// selectors returns the unit's own, else the call's, else the configured ones.
func (r *reader) selectors(u *Unit) ([]Selector, *Error) {
	switch {
	case len(u.Select) > 0:
		list, err := r.compileAll(u.Select)
		if err != nil {
			return nil, &Error{Code: fault.BadSelector, Detail: err.Error(), Pointer: "/select"}
		}
		return list, nil
	case len(r.asked) > 0:
		return r.asked, nil
	}
	return r.configured, nil
}

// compileAll compiles a list of selectors, each text once per call.
func (r *reader) compileAll(texts []string) ([]Selector, error) {
	if len(texts) > maxSelectors {
		return nil, fmt.Errorf("more than %d selectors", maxSelectors)
	}
	var list []Selector
	for _, text := range texts {
		c, known := r.compiled[text]
		if !known {
			c.selector, c.err = ParseSelector(text)
			r.compiled[text] = c
		}
		if c.err != nil {
			return nil, c.err
		}
		list = append(list, c.selector)
	}
	return list, nil
}

// idOf returns the id of a unit: that of its wrapper, else at the configured pointer, else at id, unit_id or uuid. It
// is a string that is not empty, or a number as written; "" = it has none.
func (r *reader) idOf(src []byte, root *node, wrapper json.RawMessage) (string, *Error) {
	if len(wrapper) > 0 {
		if id := idText(wrapper); id != "" {
			return checkID(id, "")
		}
	}
	if p := r.rules.IDPointer; p != "" {
		if s, err := parsePointer(p); err == nil {
			n := root
			for _, seg := range s.segments {
				if n = n.at(seg.token); n == nil {
					break
				}
			}
			if n != nil {
				if id := idText(n.text(src)); id != "" {
					return checkID(id, p)
				}
			}
		}
	}
	for _, name := range []string{"id", "unit_id", "uuid"} {
		if n := root.kid(name); n != nil {
			if id := idText(n.text(src)); id != "" {
				return checkID(id, "/"+name)
			}
		}
	}
	return "", nil
}

func idText(value []byte) string {
	switch c := value[0]; {
	case c == '"':
		return decodeString(value)
	case c == '-' || '0' <= c && c <= '9':
		return string(value)
	}
	return ""
}

func checkID(id, pointer string) (string, *Error) {
	if len(id) > maxID {
		return "", badUnit(fmt.Sprintf("its id is longer than %d bytes", maxID), pointer)
	}
	return id, nil
}

// givenID names a unit without an id by a hash of its text, so that it has the same id when it is posted again. The
// text cannot be read from it.
func givenID(data []byte) string {
	sum := sha256.Sum256(data)
	return "sha256-" + hex.EncodeToString(sum[:12])
}

// url parses one of the plain URLs of a call. It is a unit of its own, and counts as selected explicitly.
func (r *reader) url(text []byte) error {
	u := Unit{Data: text, ID: givenID(text), Chosen: true}
	switch detail := check(text, 0, r.limits.Depth); {
	case detail != "":
		u.Err = badUnit(detail, "")
	case text[0] != '"' && !bytes.Equal(text, []byte("null")):
		u.Err = badUnit("urls is a list of strings", "")
	default:
		values := 1
		root, _ := grow(text, &values) // it is one value
		root.chosen = true
		c := collector{
			unit: &u, src: text, known: map[string]int{}, left: &r.images, values: &values, names: r.rules.Names,
		}
		if f := c.selected(root); f != nil {
			return f.call // the pointer is empty, so it is not too long
		}
		u.places = c.places
	}
	return r.add(u)
}
