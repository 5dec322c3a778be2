package server

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/goldcrest/goldcrest/fault"
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
func (s *Server) sign(c echo.Context) error {
	var req signRequest
	if err := s.readJSON(c, &req); err != nil {
		return err
	}
	sources := req.URLs
	if req.Source != "" {
		sources = append([]string{req.Source}, sources...)
	}
	switch {
	case len(sources) == 0 || len(sources) > maxSign:
		return badSign("source or urls must name between 1 and " + strconv.Itoa(maxSign) + " sources")
	case req.Options != "" && req.Preset != "":
		return badSign("options and preset exclude each other")
	}
	expires, err := expiry(s.deps.Now(), req.TTL, req.Round)
	if err != nil {
		return err
	}
	who := callOf(c).who
	switch {
	case who.key != "" && req.KeyID != "" && req.KeyID != who.key:
		return fault.New(fault.ForbiddenScope, "server.sign", "this token may not sign with that key", nil)
	case who.key != "":
		req.KeyID = who.key
	}
	r := s.rules.Load()
	answer := struct {
		URLs []signedURL `json:"urls"`
	}{make([]signedURL, len(sources))}
	for i, source := range sources {
		u, err := s.signOne(r, who, req, source, expires)
		if err != nil {
			f := fault.Of(err)
			return fault.New(f.Kind, f.Op, fmt.Sprintf("source %d: %s", i, f.Public), err)
		}
		answer.URLs[i] = signedURL{Source: source, URL: u}
		if !expires.IsZero() {
			answer.URLs[i].Expires = &expires
		}
	}
	return c.JSON(http.StatusOK, answer)
}

// signOne signs what a request asks for.
func (s *Server) signOne(r *rules, who credential, req signRequest, source string, expires time.Time) (string, error) {
	options := req.Options
	if req.Preset != "" {
		options = "pr:" + req.Preset
	}
	return r.signURL(s.cfg.PublicURL(), req.KeyID, source, options, expires, who.rights)
}

// SignURL gives the signed URL of a source, which begins with base. options are those of an image path; a single preset
// may be written "pr:name" also where only presets are allowed. A path is signed only after it was parsed and found
// allowed, so that no URL is handed out that would be refused.
func (r Rules) SignURL(base, kid, source, options string, expires time.Time) (string, error) {
	return r.signURL(base, kid, source, options, expires, signing.Rights{})
}

// signURL is SignURL within the rights of a token, beside those of the key.
func (r Rules) signURL(base, kid, source, options string, expires time.Time, rights signing.Rights) (string, error) {
	options = strings.Trim(options, "/")
	if r.OnlyPresets {
		options = strings.TrimPrefix(options, "pr:")
	}
	if !expires.IsZero() {
		options += "/exp:" + strconv.FormatInt(expires.Unix(), 10)
	}
	path := variant.Path(options, source, variant.Open)
	ref, terms, err := r.Parser.ParsePath(path)
	if err != nil {
		return "", err
	}
	if err := allowed(rights, ref, terms); err != nil {
		return "", err
	}
	signed, err := r.Keys.Sign(kid, path)
	if err != nil {
		return "", err
	}
	verified, err := r.Keys.Verify(signed)
	if err != nil {
		return "", err
	}
	if err := allowed(verified.Key, ref, terms); err != nil {
		return "", err
	}
	return base + signed, nil
}

// expiry reads ttl and round; zero for no ttl.
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

func badSign(sentence string) error { return fault.New(fault.BadOption, "server.sign", sentence, nil) }
