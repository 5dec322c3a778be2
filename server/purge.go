package server

import (
	"context"
	"net/http"
	"regexp"
	"slices"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/goldcrest/goldcrest/fault"
	"github.com/goldcrest/goldcrest/pipeline"
	"github.com/goldcrest/goldcrest/variant"
)

// purgeRequest is the body of POST /v1/purge: exactly one of its fields is set.
type purgeRequest struct {
	Source string `json:"source"` // the variants of this source
	Unit   string `json:"unit"`   // those of the sources of a unit, as far as jobs are kept
	Tag    string `json:"tag"`    // those of the jobs with a tag, as far as jobs are kept
	Prefix string `json:"prefix"` // those whose keys begin so
	All    bool   `json:"all"`    // every one; needs the scope admin
}

// purgeAnswer says what was purged here, and what is left to do at the CDN.
type purgeAnswer struct {
	Purged  int      `json:"purged"`  // entries that the store had
	Sources int      `json:"sources"` // that were named, or found; 0 = purged by prefix
	CDNTags []string `json:"cdn_tags"`
	CDNAll  bool     `json:"cdn_all"` // the tags cannot be listed: purge the CDN as a whole
}

// prefixPattern is a key's beginning that names at least the first two digits of the source's hash.
var prefixPattern = regexp.MustCompile(`^v1/[0-9a-f]{2}/[a-zA-Z0-9/.,_-]*$`)

// purge is POST /v1/purge: it removes variants from memory on every instance and from the store, and forgets what is
// known to be bad.
func (s *Server) purge(c echo.Context) error {
	var req purgeRequest
	if err := s.readJSON(c, &req); err != nil {
		return err
	}
	set := 0
	for _, given := range []bool{req.Source != "", req.Unit != "", req.Tag != "", req.Prefix != "", req.All} {
		if given {
			set++
		}
	}
	ctx := c.Request().Context()
	switch {
	case set != 1:
		return badPurge("the body must have exactly one of source, unit, tag, prefix and all")
	case req.All:
		if !slices.Contains(callOf(c).who.scopes, ScopeAdmin) {
			return fault.New(fault.ForbiddenScope, "server.purge", "only a token with the scope "+ScopeAdmin+" may purge everything", nil)
		}
		return s.purgePrefix(c, "v1/")
	case req.Prefix != "" && callOf(c).who.rights.BoundToSources():
		return fault.New(fault.ForbiddenScope, "server.purge", "a token that is bound to sources purges by source, unit and tag", nil)
	case req.Prefix != "":
		if !prefixPattern.MatchString(req.Prefix) || strings.Contains(req.Prefix, "//") || strings.Contains(req.Prefix, "..") {
			return badPurge("the prefix does not begin like a key: v1/, two hexadecimal digits, /")
		}
		return s.purgePrefix(c, req.Prefix)
	}
	refs, err := s.purgeRefs(ctx, callOf(c).who, req)
	if err != nil {
		return err
	}
	answer := purgeAnswer{Sources: len(refs), CDNTags: []string{}}
	if len(refs) > 0 { // All at once: one that fails in the middle is repeated as a whole.
		if answer.Purged, err = s.deps.Purge(ctx, pipeline.Selector{Refs: refs}); err != nil {
			return purgeFault(err)
		}
	}
	for _, ref := range refs {
		answer.CDNTags = append(answer.CDNTags, "s-"+shortHash(ref))
	}
	return c.JSON(http.StatusOK, answer)
}

// purgeRefs finds the sources that a request names.
func (s *Server) purgeRefs(ctx context.Context, who credential, req purgeRequest) ([]variant.Ref, error) {
	if req.Source != "" {
		ref, err := s.rules.Load().Parser.Ref(req.Source, variant.Spec{})
		if err == nil && !who.rights.AllowsSource(ref.Source) {
			err = fault.New(fault.SourceNotAllowed, "server.purge", "this token may not ask for the source", nil)
		}
		return []variant.Ref{ref}, err
	}
	if s.deps.Prewarm == nil {
		return nil, badPurge("this instance keeps no jobs, by which units and tags are found; purge by source")
	}
	return s.deps.Prewarm.Sources(ctx, who.owner(), req.Unit, req.Tag)
}

// purgePrefix purges by the beginning of keys. Only one that holds a source's whole hash says which tag the CDN knows
// it by.
func (s *Server) purgePrefix(c echo.Context, prefix string) error {
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
	return fault.New(fault.BadOption, "server.purge", sentence, nil)
}

// purgeFault tells a store that fails from a bug: the purge can be repeated.
func purgeFault(err error) error {
	if f := fault.Of(err); f.Kind != fault.Internal {
		return err
	}
	return fault.New(fault.Overloaded, "server.purge", "the store did not answer; what was purged before is gone, the rest is not: repeat the purge", err)
}
