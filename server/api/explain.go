package api

import (
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/goldcrest/goldcrest/cache"
	"github.com/goldcrest/goldcrest/fault"
	"github.com/goldcrest/goldcrest/grammar"
	"github.com/goldcrest/goldcrest/server/access"
	"github.com/goldcrest/goldcrest/server/exchange"
	"github.com/goldcrest/goldcrest/server/fields"
	"github.com/goldcrest/goldcrest/signing"
	"github.com/goldcrest/goldcrest/variant"
)

// explanation is the response of GET /v1/explain/{path}: how an image URL is interpreted. It contains neither a
// signature nor the source's path and query, which may be secret.
type explanation struct {
	Signature  string         `json:"signature"` // valid, none, or the code of its refusal
	Refused    fault.Kind     `json:"refused,omitempty"`
	Detail     string         `json:"detail,omitempty"`
	SourceHost string         `json:"source_host"`
	SourceTag  string         `json:"source_tag"`
	Options    string         `json:"options"`
	Presets    []string       `json:"presets,omitempty"`
	Expires    *time.Time     `json:"expires"`
	Open       bool           `json:"open"`
	Vary       string         `json:"vary"`
	Format     variant.Format `json:"format"`
	Class      string         `json:"class"`
	Key        string         `json:"key"`
	Tier       string         `json:"tier"` // memory, store, or none
	Stored     *storedVariant `json:"stored"`
	Run        *explainedRun  `json:"run,omitempty"` // nil: it was not asked for
}

// storedVariant describes a stored variant.
type storedVariant struct {
	ContentType string            `json:"content_type"`
	Bytes       int64             `json:"bytes"`
	Created     time.Time         `json:"created"`
	Recipe      int               `json:"recipe"`
	Stage       string            `json:"stage"`  // first, final or hot
	Views       int               `json:"views"`  // by this instance, recently
	Needed      int               `json:"needed"` // views, until it is made again by a slower encoder; 0 = it is not
	Attrs       map[string]string `json:"attrs"`
}

// explain says how an image URL is interpreted, negotiated with the headers of this request. It fetches and makes
// nothing, except with run=1 a variant that is not stored. A URL with a wrong signature is explained as well, since
// that is when users ask.
func (s *API) explain(c echo.Context) error {
	r, rl := c.Request(), s.access.Current()
	target, err := exchange.TargetBelow(r, "/v1/explain", s.cfg.PathPrefix)
	if err != nil {
		return err
	}
	target, run := cutRun(target)
	verified, parse, signature := explained(rl.Keys, rl.Parser, target)
	e := explanation{Signature: signature, Tier: "none"}
	ref, terms, err := parse(verified.Path)
	if err != nil {
		return err
	}
	if err := rl.Allowed(r.Context(), exchange.CallOf(c).Who.Rights, ref, terms); err != nil {
		return err
	}
	e.Presets, e.SourceHost, e.Open, e.Vary = terms.Presets, exchange.SourceHost(ref.Source), ref.Spec.IsOpen(), fields.Vary(ref.Spec)
	e.Options = canonicalOptions(ref)
	ref.Spec = ref.Spec.Resolve(fields.Accept(r.Header, rl.Negotiation))
	e.Format, e.Class, e.Key, e.SourceTag = ref.Spec.Format, ref.Spec.Class.String(), ref.Key(), "s-"+exchange.ShortHash(ref)
	mine, refusal := exchange.CallOf(c).Who.Rights.Hosts(), error(nil)
	ref.Within = mine
	if verified.Key != nil {
		ref.Within = mine.And(verified.Key.Hosts())
		refusal = s.explainRefusal(r.Context(), rl, verified.Key, ref, terms)
	}
	if !terms.Expires.IsZero() {
		e.Expires = &terms.Expires
	}
	if refusal != nil {
		f := fault.Of(refusal)
		e.Refused, e.Detail = f.Kind, fault.Redact(f.Public)
	}
	if run {
		e.Run = s.runExplained(r.Context(), ref, e)
	}
	ref.Within = mine
	a, err := s.deps.Images.Peek(r.Context(), ref) // not Stat, which counts as a viewer's hit
	if fault.KindOf(err) == fault.SourceNotAllowed {
		return err
	}
	if err == nil {
		m := a.Entry.Meta
		e.Tier = a.Tier
		e.Stored = &storedVariant{
			ContentType: m.ContentType, Bytes: int64(len(a.Entry.Body)), Created: m.Created, Recipe: m.Recipe, Attrs: m.Attrs,
			Stage: stageName(m), Views: a.Views, Needed: a.Needed,
		}
	}
	return c.JSON(http.StatusOK, e)
}

// explained returns the path of a target and what it is parsed with, and the state of its signature.
func explained(keys *signing.Keyring, p *variant.Parser, target string) (signing.Verified, grammar.Parse, string) {
	v, parse, err := grammar.Verify(keys, p, target)
	if err == nil {
		return v, parse, "valid"
	}
	path, _, _ := strings.Cut(target, "?")
	first, _, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	if strings.Contains(first, ":") || first == "plain" { // it begins with its options
		return signing.Verified{Path: path}, p.ParsePath, "none"
	}
	path, parse = grammar.Unverified(p, target)
	return signing.Verified{Path: path}, parse, string(fault.KindOf(err))
}

// stageName is the name of an entry's stage.
func stageName(m cache.Meta) string {
	switch variant.StageOf(m.Attrs) {
	case variant.StageFirst:
		return "first"
	case variant.StageHot:
		return "hot"
	}
	return "final"
}

// explainRefusal is the reason why a viewer with a validly signed URL is refused, as far as that is known without a
// fetch.
func (s *API) explainRefusal(
	ctx context.Context, rl *access.Current, key *signing.Pair, ref variant.Ref, terms variant.Terms,
) error {
	if err := rl.Allowed(ctx, key.Rights, ref, terms); err != nil {
		return err
	}
	if terms.Expired(s.Now()) {
		return fault.New(fault.URLExpired, "api.explain", "the URL has expired", nil)
	}
	if ref.Within = key.Hosts(); ref.Within == "" {
		return nil
	}
	if _, err := s.deps.Images.Peek(ctx, ref); fault.KindOf(err) == fault.SourceNotAllowed {
		return err
	}
	return nil
}

// canonicalOptions is the options part of the ref's own path. The URLs of a fallback and a watermark may contain a secret
// and are left out.
func canonicalOptions(ref variant.Ref) string {
	ref.Spec.Fallback, ref.Spec.Watermark.Source = "", ""
	path := strings.Trim(ref.Path(), "/")
	if i := strings.LastIndexByte(path, '/'); i >= 0 {
		return path[:i]
	}
	return ""
}
