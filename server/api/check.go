package api

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/goldcrest/goldcrest/fault"
	"github.com/goldcrest/goldcrest/prewarm"
	"github.com/goldcrest/goldcrest/prewarm/ledger"
	"github.com/goldcrest/goldcrest/prewarm/unit"
	"github.com/goldcrest/goldcrest/server/access"
	"github.com/goldcrest/goldcrest/server/exchange"
	"github.com/goldcrest/goldcrest/variant"
)

// maxChecks is the maximum number of sources and keys in one call.
const maxChecks = 50000

// checked is one row of the response to POST /v1/check. Unknown values, and those that were not asked for, are null.
type checked struct {
	Index    *int             `json:"index,omitempty"` // of the unit
	ID       *string          `json:"id,omitempty"`
	Pointer  *string          `json:"pointer,omitempty"`
	Source   *string          `json:"source"`
	Key      *string          `json:"key"`
	State    ledger.State     `json:"state"`
	Reason   *fault.Kind      `json:"reason"`
	Variants []checkedVariant `json:"variants"`
}

type checkedVariant struct {
	Name   string       `json:"name"`
	Format *string      `json:"format"`
	Key    *string      `json:"key"`
	State  ledger.State `json:"state"`
	Reason *fault.Kind  `json:"reason"`
	Bytes  *int64       `json:"bytes"`
	Width  *int         `json:"width"`
	Height *int         `json:"height"`
}

// checkedError is a unit that could not be parsed.
type checkedError struct {
	Index int         `json:"index"`
	Line  *int        `json:"line,omitempty"`
	ID    string      `json:"id"`
	Error *unit.Error `json:"error"`
}

// checkedNote is a unit that may be a mistake.
type checkedNote struct {
	Index int        `json:"index"`
	Line  *int       `json:"line,omitempty"`
	ID    string     `json:"id"`
	Note  *unit.Note `json:"note"`
}

// asides are the parts of a response besides its rows.
type asides struct {
	Errors []checkedError `json:"errors"`
	Notes  []checkedNote  `json:"notes"`
}

// check is POST /v1/check: the state of sources, units or keys. It starts no work.
func (s *API) check(c echo.Context) error {
	place := s.access.Enter(c.Request().Context(), exchange.CallOf(c).Who)
	defer place.Leave()
	asks, known, beside, err := s.readChecks(c, place)
	if err != nil {
		return err
	}
	out := newRows(c, http.StatusOK, `{"checked":[`)
	add := func() error { // the next row
		row := known[0]
		known[0], known = checked{}, known[1:] // rows that were written are dropped
		return out.add(row)
	}
	err = s.deps.Prewarm.Check(c.Request().Context(), asks, func(found prewarm.Checked) error {
		for known[0].State != "" { // it needs no check: it is known to be broken
			if err := add(); err != nil {
				return err
			}
		}
		known[0].fill(found)
		return add()
	})
	for err == nil && len(known) > 0 {
		err = add()
	}
	if err != nil {
		return out.cut(err)
	}
	text, err := json.Marshal(beside)
	if err != nil {
		return out.cut(err)
	}
	return out.end("]," + strings.TrimPrefix(string(text), "{") + "\n")
}

// fill copies the result of a check.
func (r *checked) fill(f prewarm.Checked) {
	r.State, r.Reason, r.Variants = f.State, orNull(f.Reason), make([]checkedVariant, len(f.Variants))
	for i, v := range f.Variants {
		r.Variants[i] = checkedVariant{
			Name: v.Name, Format: orNull(v.Format), Key: orNull(v.Key), State: v.State, Reason: orNull(v.Reason),
			Bytes: orNull(v.Bytes), Width: orNull(v.Width), Height: orNull(v.Height),
		}
	}
}

// add records the error or note of a unit.
func (a *asides) add(u unit.Unit) {
	if u.Err != nil {
		a.Errors = append(a.Errors, checkedError{Index: u.Index, Line: orNull(u.Line), ID: u.ID, Error: u.Err})
	} else if note := u.Note(); note != nil {
		a.Notes = append(a.Notes, checkedNote{Index: u.Index, Line: orNull(u.Line), ID: u.ID, Note: note})
	}
}

// readChecks reads the body: {"keys": [...]}, or the body of a prewarm call. The rows with an empty State are those of
// the asks, in order.
func (s *API) readChecks(c echo.Context, place *access.Place) (asks []prewarm.CheckAsk, rows []checked, beside asides, err error) {
	rows, beside = []checked{}, asides{[]checkedError{}, []checkedNote{}}
	keys, rest, err := s.readKeys(c, place)
	if err != nil {
		return nil, nil, beside, err
	}
	rules := s.access.Current()
	within := rules.RightsOf(exchange.CallOf(c).Who).Hosts()
	if keys != nil {
		for _, key := range keys {
			asks, rows = append(asks, prewarm.CheckAsk{Key: key, Within: within}), append(rows, checked{Key: &key})
		}
		return asks, rows, beside, checkCount(len(asks))
	}
	call, err := s.parseCall(c, rest)
	if err != nil {
		return nil, nil, beside, err
	}
	asked, err := s.deps.Prewarm.Weigh(call)
	if err == nil {
		err = place.Ask(asked)
	}
	if err != nil {
		return nil, nil, beside, err
	}
	for _, u := range call.Units {
		beside.add(u)
		variants := u.Variants
		if variants == nil {
			variants = call.Variants
		}
		share := call.Share(u)
		for _, i := range u.Images {
			shown := rules.Conceal(i.Source, map[string]string{})
			row := checked{Index: &u.Index, ID: &u.ID, Pointer: &i.Pointer, Source: &shown, Variants: []checkedVariant{}}
			if i.Bad != "" {
				row.State, row.Reason = ledger.Broken, &i.Bad
			} else {
				if !s.mayAsk(exchange.CallOf(c).Who, i.Source) {
					return nil, nil, beside, fault.New(fault.SourceNotAllowed, "api.check",
						"this token may not ask for one of the sources", nil)
				}
				asks = append(asks, prewarm.CheckAsk{Source: i.Source, Variants: variants, Share: share, Within: within})
			}
			rows = append(rows, row)
		}
	}
	return asks, rows, beside, checkCount(len(asks))
}

// mayAsk reports whether a token may ask for a source. An invalid source is refused later.
func (s *API) mayAsk(who access.Caller, source string) bool {
	if !who.Rights.BoundToSources() {
		return true
	}
	ref, err := s.access.Current().Parser.Ref(source, variant.Spec{})
	return err != nil || who.Rights.AllowsSource(ref.Source)
}

func checkCount(n int) error {
	if n > maxChecks {
		return fault.New(fault.BodyTooLarge, "api.check",
			fmt.Sprintf("one call may ask about %d sources or keys", maxChecks), nil)
	}
	return nil
}

// readKeys reads a body and returns its keys, if it is an object with keys, or the decoded body.
func (s *API) readKeys(c echo.Context, room *access.Place) (keys []string, body []byte, err error) {
	if body, err = s.readBody(c, room); err != nil {
		return nil, nil, err
	}
	reading, err := unit.Reading(c.QueryParams(), exchange.CallOf(c).Who.Bodies)
	if err != nil {
		return nil, nil, err
	}
	if reading == unit.BodyUnit || reading == unit.BodyUnits {
		return nil, body, nil // a document may have a field called keys
	}
	var ask map[string]json.RawMessage
	if json.Unmarshal(body, &ask) != nil || json.Unmarshal(ask["keys"], &keys) != nil || keys == nil {
		return nil, body, nil
	}
	for _, name := range slices.Sorted(maps.Keys(ask)) {
		if name != "keys" {
			return nil, nil, fault.New(fault.BadOption, "api.check",
				fmt.Sprintf("keys cannot be combined with %.64q", name), nil)
		}
	}
	return keys, nil, nil
}
