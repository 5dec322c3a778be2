package api

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/goldcrest/goldcrest/fault"
	"github.com/goldcrest/goldcrest/server/access"
	"github.com/goldcrest/goldcrest/server/exchange"
	"github.com/goldcrest/goldcrest/signing"
	"github.com/goldcrest/goldcrest/variant"
)

// signRequest is the body of POST /v1/sign.
type signRequest struct {
	Source  string   `json:"source"`  // one source, or
	URLs    []string `json:"urls"`    // several
	Options string   `json:"options"` // as in an image path, or
	Preset  string   `json:"preset"`  // the name of one
	KeyID   string   `json:"kid"`     // "" = the first valid pair
	TTL     string   `json:"ttl"`     // a duration such as 168h; "" = the URLs never expire
	Round   string   `json:"round"`   // the expiry is rounded up to a multiple of it, so that viewers share URLs; "" = 24h
}

// signedURL is one entry of its answer.
type signedURL struct {
	Source  string     `json:"source"`
	URL     string     `json:"url"`
	Expires *time.Time `json:"expires"`
}

// maxSign is the most sources one call may have.
const maxSign = 5000

// sign makes signed URLs.
func (s *API) sign(c echo.Context) error {
	var req signRequest
	if err := s.readJSON(c, &req); err != nil {
		return err
	}
	who := exchange.CallOf(c).Who
	if err := req.settle(who); err != nil {
		return err
	}
	expires, err := expiry(s.Now(), req.TTL, req.Round)
	if err != nil {
		return err
	}
	r, links := s.access.Current(), map[string]string{}
	answer := struct {
		URLs []signedURL `json:"urls"`
	}{make([]signedURL, len(req.URLs))}
	for i, source := range req.URLs {
		u, err := signOne(c.Request().Context(), r, access.URL{
			Base: s.cfg.PublicURL, Key: req.KeyID, Source: source, Options: req.Options, Expires: expires,
		}, who.Rights)
		if err != nil {
			f := fault.Of(err)
			return fault.New(f.Kind, f.Op, fmt.Sprintf("source %d: %s", i, f.Public), err)
		}
		answer.URLs[i] = signedURL{Source: r.Conceal(source, links), URL: u}
		if !expires.IsZero() {
			answer.URLs[i].Expires = &expires
		}
	}
	if len(links) > 0 {
		if err := r.Links.Keep(c.Request().Context(), links); err != nil {
			return err
		}
	}
	return c.JSON(http.StatusOK, answer)
}

// signOne signs the URL of a source. The newest link of an opaque source decides who may have its URL signed.
func signOne(ctx context.Context, r *access.Current, u access.URL, rights signing.Rights) (signed string, err error) {
	if _, opaque := variant.OpaqueID(u.Source); opaque {
		if u.Link, err = r.Link(ctx, u.Source, rights.Within(r.Keys.Hosts(u.Key))); err != nil {
			return "", err
		}
	}
	return r.SignURL(u, rights)
}

// settle merges the sources into one list and the options into one text, and sets the token's key.
func (q *signRequest) settle(who access.Caller) error {
	if q.Source != "" {
		q.URLs = append([]string{q.Source}, q.URLs...)
	}
	switch {
	case len(q.URLs) == 0 || len(q.URLs) > maxSign:
		return badSign("source or urls must name between 1 and " + strconv.Itoa(maxSign) + " sources")
	case q.Options != "" && q.Preset != "":
		return badSign("options and preset exclude each other")
	case who.Key != "" && q.KeyID != "" && q.KeyID != who.Key:
		return fault.New(fault.ForbiddenScope, "api.sign", "this token may not sign with that key", nil)
	case who.Key != "":
		q.KeyID = who.Key
	}
	if q.Preset != "" {
		q.Options = "pr:" + q.Preset
	}
	return nil
}

// expiry parses ttl and round; zero without a ttl.
func expiry(now time.Time, ttl, round string) (time.Time, error) {
	if ttl == "" {
		return time.Time{}, nil
	}
	life, err := time.ParseDuration(ttl)
	if err != nil || life <= 0 {
		return time.Time{}, badSign("ttl is not a positive duration such as 168h")
	}
	step := signing.Day
	if round != "" {
		if step, err = time.ParseDuration(round); err != nil || step <= 0 {
			return time.Time{}, badSign("round is not a positive duration such as 24h")
		}
	}
	return signing.Expiry(now, life, step), nil
}

func badSign(sentence string) error { return fault.New(fault.BadOption, "api.sign", sentence, nil) }
