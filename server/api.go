package server

import (
	"bytes"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"reflect"
	"slices"
	"strings"

	"github.com/labstack/echo/v4"
	"golang.org/x/sync/semaphore"

	"github.com/goldcrest/goldcrest/fault"
	"github.com/goldcrest/goldcrest/prewarm/unit"
	"github.com/goldcrest/goldcrest/secretfile"
	"github.com/goldcrest/goldcrest/signing"
)

// credential is a token as it is kept: the secret itself is forgotten.
type credential struct {
	name   string
	sum    [sha256.Size]byte
	scopes []string
	key    string         // that it signs with; "" = the first valid one
	rights signing.Rights // what it may ask for
	bodies []string       // the readings of a body that it may post; none = all
	limit  signing.Limit
	bucket *bucket             // nil = no limit
	room   *semaphore.Weighted // of the intake, for its bodies
	stays  *semaphore.Weighted // requests that only wait
}

// maxTokenFile bounds a file with a token in bytes.
const maxTokenFile = 64 << 10

// readTokens loads the secrets of the configured tokens.
func readTokens(api API) ([]credential, error) {
	list := make([]credential, 0, len(api.Tokens))
	for i, t := range api.Tokens {
		secret := t.Token
		if t.TokenFile != "" {
			b, err := secretfile.Read(t.TokenFile, maxTokenFile)
			if err != nil {
				return nil, fmt.Errorf("api.tokens[%d] (%s): %w", i, t.Name, err)
			}
			if secret = strings.TrimSpace(string(b)); len(secret) < minToken {
				return nil, fmt.Errorf("api.tokens[%d] (%s): the token in %s is shorter than %d characters", i, t.Name, t.TokenFile, minToken)
			}
		}
		rights, err := signing.NewRights(t.Sources, t.Presets)
		if err != nil {
			return nil, fmt.Errorf("api.tokens[%d] (%s): %w", i, t.Name, err)
		}
		limit := signing.Limit{Rate: t.Rate, Burst: t.Burst}.Or(signing.Limit{Rate: api.Rate, Burst: api.Burst})
		list = append(list, credential{name: t.Name, sum: sha256.Sum256([]byte(secret)), scopes: t.Scopes, key: t.Key, rights: rights, bodies: t.Bodies, limit: limit})
	}
	return list, nil
}

// holder finds whose token a request carries. It compares digests, all of them, so that the time taken tells nothing.
func (r *rules) holder(req *http.Request) (credential, bool) {
	kind, secret, _ := strings.Cut(req.Header.Get("Authorization"), " ")
	if !strings.EqualFold(kind, "Bearer") {
		return credential{}, false
	}
	return r.find(sha256.Sum256([]byte(strings.TrimSpace(secret))))
}

// find gives the token of a digest.
func (r *rules) find(sum [sha256.Size]byte) (who credential, found bool) {
	for _, t := range r.tokens {
		if subtle.ConstantTimeCompare(sum[:], t.sum[:]) == 1 {
			who, found = t, true
		}
	}
	return who, found
}

// rightsOf are what a token may ask for: its own rights, and the sources of the key that it signs with.
func (r *rules) rightsOf(who credential) signing.Rights {
	if who.key == "" {
		return who.rights
	}
	return who.rights.Within(r.Keys.Hosts(who.key))
}

// need lets only callers with one of the scopes through, as often as their token may call.
func (s *Server) need(scopes ...string) echo.MiddlewareFunc {
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			who, err := s.caller(c.Request())
			if err != nil {
				return err
			}
			callOf(c).who = who
			if err := who.bucket.take(s.deps.Now()); err != nil {
				return err
			}
			for _, scope := range scopes {
				if slices.Contains(who.scopes, scope) {
					return next(c)
				}
			}
			return fault.New(fault.ForbiddenScope, "server.need", "this token lacks the scope "+strings.Join(scopes, " or "), nil)
		}
	}
}

// maxBody bounds a request body of the API, in bytes.
const maxBody = 1 << 20

// unknownField begins what encoding/json says about a field that is not known.
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

// query lets only requests through whose query has no other fields than these: a misspelt one must not be taken for one
// left out.
func query(known ...string) echo.MiddlewareFunc {
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			for _, name := range slices.Sorted(maps.Keys(c.QueryParams())) {
				if !slices.Contains(known, name) {
					return fault.New(fault.BadOption, "server.query", fault.Unknown("field of the query", name, known), nil)
				}
			}
			return next(c)
		}
	}
}

// readJSON decodes a request body that must be one JSON object of known fields.
func (s *Server) readJSON(c echo.Context, into any) error {
	r := c.Request()
	place := s.enterIntake(r.Context(), callOf(c).who)
	defer place.leave()
	body, err := unit.ReadBody(r.Body, r.Header.Get("Content-Encoding"), maxBody, place.grow)
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
			return fault.New(fault.BadOption, "server.readJSON", fault.Unknown("field of the body", strings.Trim(name, `"`), fieldsOf(into)), nil)
		}
		return fault.New(fault.BadOption, "server.readJSON", "the body is not the JSON object expected: "+clip(err.Error(), 200), nil)
	}
	return nil
}
