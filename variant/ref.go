package variant

import (
	"time"

	"github.com/goldcrest/goldcrest/reach"
)

// Ref identifies a variant: the URL of an original and how to make the variant. It is comparable. Make one with
// Parser.Ref or Parser.ParsePath, so that parameters which the configuration strips from sources are stripped from its
// Key.
type Ref struct {
	Source string // the URL to fetch
	Spec   Spec
	// Within are the hosts from which the original may come for this caller, redirects included. It is not part of the
	// Key: entries are shared, and checked for each response.
	Within reach.Hosts

	identity string // the canonical source if configured parameters were stripped from it; else "" (derived from Source)
}

// Terms are the parts of a URL that affect the response and never the Key.
type Terms struct {
	Expires    time.Time // zero = never
	Filename   string    // base name for Content-Disposition; "" = none
	Attachment bool
	CacheTags  []string // ct: tags for CDNs
	Presets    []string // the presets that the URL itself names, for the key's allow-list
	Free       bool     // the URL has Spec options besides its presets, which a key bound to presets refuses
}

// Expired reports whether the URL has expired. At exactly its expiry it has.
func (t Terms) Expired(now time.Time) bool { return !t.Expires.IsZero() && !now.Before(t.Expires) }
