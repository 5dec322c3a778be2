package access

import (
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/goldcrest/goldcrest/prewarm/ledger"

	"golang.org/x/sync/semaphore"

	"github.com/goldcrest/goldcrest/fault"
	"github.com/goldcrest/goldcrest/prewarm/unit"
	"github.com/goldcrest/goldcrest/secretfile"
	"github.com/goldcrest/goldcrest/signing"
	"github.com/goldcrest/goldcrest/variant"
)

// Caller is a token without its secret.
type Caller struct {
	Name   string
	Scopes []string
	Key    string         // that signs for it; "" = the first valid one
	Rights signing.Rights // what it may ask for
	Bodies []string       // the allowed interpretations of a body; none = all

	sum    [sha256.Size]byte
	limit  signing.Limit
	bucket *bucket             // nil = no limit
	room   *semaphore.Weighted // memory for its bodies
	stays  *semaphore.Weighted // requests that only wait
}

// readTokens loads the secrets of the configured tokens.
func readTokens(api API) ([]Caller, error) {
	list := make([]Caller, 0, len(api.Tokens))
	for i, t := range api.Tokens {
		secret, err := secretfile.Value(t.Token, t.TokenFile)
		if err == nil && len(secret) < minToken {
			err = fmt.Errorf("the token in %s is shorter than %d characters", t.TokenFile, minToken)
		}
		if err != nil {
			return nil, fmt.Errorf("api.tokens[%d] (%s): %w", i, t.Name, err)
		}
		rights, err := signing.NewRights(t.Sources, t.Presets)
		if err != nil {
			return nil, fmt.Errorf("api.tokens[%d] (%s): %w", i, t.Name, err)
		}
		limit := signing.Limit{Rate: t.Rate, Burst: t.Burst}.Or(signing.Limit{Rate: api.Rate, Burst: api.Burst})
		list = append(list, Caller{
			Name: t.Name, Scopes: t.Scopes, Key: t.Key, Rights: rights, Bodies: t.Bodies, sum: sha256.Sum256([]byte(secret)), limit: limit,
		})
	}
	return list, nil
}

// holder finds the token of a request. It compares all digests, so that the time reveals nothing.
func (r *Current) holder(req *http.Request) (Caller, bool) {
	kind, secret, _ := strings.Cut(req.Header.Get("Authorization"), " ")
	if !strings.EqualFold(kind, "Bearer") {
		return Caller{}, false
	}
	return r.find(sha256.Sum256([]byte(strings.TrimSpace(secret))))
}

// find returns the token of a digest.
func (r *Current) find(sum [sha256.Size]byte) (who Caller, found bool) {
	for _, t := range r.callers {
		if subtle.ConstantTimeCompare(sum[:], t.sum[:]) == 1 {
			who, found = t, true
		}
	}
	return who, found
}

// RightsOf returns what a token may ask for: its own rights, and the sources of the key that signs for it.
func (r *Current) RightsOf(who Caller) signing.Rights {
	if who.Key == "" {
		return who.Rights
	}
	return who.Rights.Within(r.Keys.Hosts(who.Key))
}

// Owner is the caller in the terms of prewarm. One with the scope admin sees the jobs of all.
func (t Caller) Owner() ledger.Caller {
	return ledger.Caller{Name: t.Name, All: slices.Contains(t.Scopes, ScopeAdmin)}
}

// Allowed is Rules.Allowed for a ref whose source is not opaque.
func Allowed(key unit.Rights, ref variant.Ref, terms variant.Terms) error {
	for _, source := range []string{ref.Source, ref.Spec.Fallback, ref.Spec.Watermark.Source} {
		if source != "" && !key.AllowsSource(source) {
			return fault.New(fault.SourceNotAllowed, "access.Allowed",
				"the signing key or token may not be used for this source", nil)
		}
	}
	presets := terms.Presets
	if terms.Free || len(presets) == 0 {
		presets = append([]string{""}, presets...) // options outside presets, which no key with presets may use
	}
	for _, name := range presets {
		if !key.AllowsPreset(name) {
			return fault.New(fault.SourceNotAllowed, "access.Allowed",
				"the signing key or token may not be used for these options", nil)
		}
	}
	return nil
}

// May reports whether a caller has one of the scopes.
func (t Caller) May(scopes ...string) bool {
	return slices.ContainsFunc(scopes, func(s string) bool { return slices.Contains(t.Scopes, s) })
}
