package api

import (
	"context"
	"net/http"
	"regexp"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/goldcrest/goldcrest/fault"
	"github.com/goldcrest/goldcrest/pipeline"
	"github.com/goldcrest/goldcrest/server/access"
	"github.com/goldcrest/goldcrest/server/exchange"
	"github.com/goldcrest/goldcrest/variant"
)

// purgeRequest is the body of POST /v1/purge: exactly one of its fields is set.
type purgeRequest struct {
	Source string `json:"source"` // the variants of this source
	Unit   string `json:"unit"`   // those of a unit's sources, while jobs are kept
	Tag    string `json:"tag"`    // those of the jobs with a tag, while jobs are kept
	Prefix string `json:"prefix"` // those whose keys have this prefix
	All    bool   `json:"all"`    // every one; needs the scope admin
}

// purgeAnswer says what was purged, and what has to be purged at the CDN.
type purgeAnswer struct {
	Purged  int      `json:"purged"`  // entries that the store had
	Sources int      `json:"sources"` // that were named or found; 0 = purged by prefix
	CDNTags []string `json:"cdn_tags"`
	CDNAll  bool     `json:"cdn_all"` // the tags cannot be listed: purge the CDN as a whole
}

// prefixPattern is a prefix of keys with at least the first two digits of the source's hash.
var prefixPattern = regexp.MustCompile(`^v1/[0-9a-f]{2}/[a-zA-Z0-9/.,_-]*$`)

// purge is POST /v1/purge: it removes variants from memory on every instance and from the store, and drops cached
// failures.
func (s *API) purge(c echo.Context) error {
	var req purgeRequest
	if err := s.readJSON(c, &req); err != nil {
		return err
	}
	who := exchange.CallOf(c).Who
	if err := req.check(who); err != nil {
		return err
	}
	switch {
	case req.All:
		return s.purgePrefix(c, "v1/")
	case req.Prefix != "":
		return s.purgePrefix(c, req.Prefix)
	}
	ctx := c.Request().Context()
	refs, err := s.purgeRefs(ctx, who, req)
	if err != nil {
		return err
	}
	answer := purgeAnswer{Sources: len(refs), CDNTags: []string{}}
	if len(refs) > 0 { // all at once: if one fails, the whole call is repeated
		if answer.Purged, err = s.deps.Purge(ctx, pipeline.Selector{Refs: refs}); err != nil {
			return purgeFault(err)
		}
	}
	for _, ref := range refs {
		answer.CDNTags = append(answer.CDNTags, "s-"+exchange.ShortHash(ref))
	}
	return c.JSON(http.StatusOK, answer)
}

// check reports what is wrong with a request, and what the caller may not purge.
func (q purgeRequest) check(who access.Caller) error {
	set := 0
	for _, given := range []bool{q.Source != "", q.Unit != "", q.Tag != "", q.Prefix != "", q.All} {
		if given {
			set++
		}
	}
	switch {
	case set != 1:
		return badPurge("the body must have exactly one of source, unit, tag, prefix and all")
	case q.All && !who.May(access.ScopeAdmin):
		return fault.New(fault.ForbiddenScope, "api.purge",
			"only a token with the scope "+access.ScopeAdmin+" may purge everything", nil)
	case q.Prefix == "":
		return nil
	case who.Rights.BoundToSources():
		return fault.New(fault.ForbiddenScope, "api.purge",
			"a token that is bound to sources purges by source, unit and tag", nil)
	case !prefixPattern.MatchString(q.Prefix) || strings.Contains(q.Prefix, "//") || strings.Contains(q.Prefix, ".."):
		return badPurge("the prefix does not begin like a key: v1/, two hexadecimal digits, /")
	}
	return nil
}

// purgeRefs finds the sources that a request names.
func (s *API) purgeRefs(ctx context.Context, who access.Caller, req purgeRequest) ([]variant.Ref, error) {
	if req.Source != "" {
		rl := s.access.Current()
		ref, err := rl.Parser.Ref(req.Source, variant.Spec{})
		if err != nil {
			return nil, err
		}
		link, err := rl.Link(ctx, ref.Source, who.Rights)
		if err == nil && !who.Rights.AllowsSource(link) {
			err = fault.New(fault.SourceNotAllowed, "api.purge", "this token may not ask for the source", nil)
		}
		return []variant.Ref{ref}, err
	}
	if s.deps.Prewarm == nil {
		return nil, badPurge("this instance keeps no jobs, by which units and tags are found; purge by source")
	}
	return s.deps.Prewarm.Sources(ctx, who.Owner(), req.Unit, req.Tag)
}

// purgePrefix purges by a prefix of keys. The CDN's tag is known only if it contains a source's whole hash.
func (s *API) purgePrefix(c echo.Context, prefix string) error {
	n, err := s.deps.Purge(c.Request().Context(), pipeline.Selector{Prefix: prefix})
	if err != nil {
		return purgeFault(err)
	}
	answer := purgeAnswer{Purged: n, CDNTags: []string{}, CDNAll: true}
	if part := strings.SplitN(prefix, "/", 4); len(part) == 4 && len(part[2]) >= 16 {
		answer.CDNTags, answer.CDNAll = []string{"s-" + part[2][:16]}, false
	}
	return c.JSON(http.StatusOK, answer)
}

func badPurge(sentence string) error {
	return fault.New(fault.BadOption, "api.purge", sentence, nil)
}

// purgeFault distinguishes a failing store from a bug: the purge can be repeated.
func purgeFault(err error) error {
	if f := fault.Of(err); f.Kind != fault.Internal {
		return err
	}
	return fault.New(fault.Overloaded, "api.purge",
		"the store did not answer; what was purged before is gone, the rest is not: repeat the purge", err)
}
