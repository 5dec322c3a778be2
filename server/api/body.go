package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/goldcrest/goldcrest/fault"
	"github.com/goldcrest/goldcrest/prewarm/unit"
	"github.com/goldcrest/goldcrest/server/exchange"
)

// maxBody is the maximum size of a request body of the API, in bytes.
const maxBody = 1 << 20

// unknownField is the start of encoding/json's error about an unknown field.
const unknownField = "json: unknown field "

// fieldsOf are the names that an object may have for into.
func fieldsOf(into any) (names []string) {
	t := reflect.TypeOf(into).Elem()
	for i := range t.NumField() {
		name, _, _ := strings.Cut(t.Field(i).Tag.Get("json"), ",")
		names = append(names, name)
	}
	return names
}

// query refuses requests whose query has other fields than these: a misspelt one must not count as missing.
func query(known ...string) echo.MiddlewareFunc {
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			for _, name := range slices.Sorted(maps.Keys(c.QueryParams())) {
				if !slices.Contains(known, name) {
					return fault.New(fault.BadOption, "api.query",
						fault.Unknown("field of the query", name, known), nil)
				}
			}
			return next(c)
		}
	}
}

// readJSON decodes a request body that must be one JSON object of known fields.
func (s *API) readJSON(c echo.Context, into any) error {
	r := c.Request()
	place := s.access.Enter(r.Context(), exchange.CallOf(c).Who)
	defer place.Leave()
	body, err := unit.ReadBody(r.Body, r.Header.Get("Content-Encoding"), maxBody, place.Grow)
	if err != nil {
		return unreadable(c, err)
	}
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	if err = d.Decode(into); err == nil && d.More() {
		err = errors.New("more than one JSON value")
	}
	if err != nil {
		if name, ok := strings.CutPrefix(err.Error(), unknownField); ok {
			return fault.New(fault.BadOption, "api.readJSON",
				fault.Unknown("field of the body", strings.Trim(name, `"`), fieldsOf(into)), nil)
		}
		return fault.New(fault.BadOption, "api.readJSON",
			"the body is not the JSON object expected: "+exchange.Shorten(err.Error(), 200), nil)
	}
	return nil
}
