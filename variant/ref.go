package variant

import (
	"time"

	"github.com/goldcrest/goldcrest/reach"
)

// Ref names a variant: the URL of an original and how to make the variant of it. It is comparable. Make one with
// Parser.Ref or Parser.ParsePath, so that parameters which the configuration strips from sources are stripped from its
// Key.
type Ref struct {
	Source string // the source's URL as it is to be fetched
	Spec   Spec
	// Within are the hosts that the original may come from, redirects included, for whoever asks. It is no part of the
	// Key: entries are shared, and judged at each answer.
	Within reach.Hosts

	identity string // the canonical source, where configured parameters were stripped from it; else "" (derived from Source)
}

// Terms are the parts of a URL that govern the answer and never the Key.
type Terms struct {
	Expires    time.Time // zero = never
	Filename   string    // base name for Content-Disposition; "" = none
	Attachment bool
	CacheTags  []string // ct: tags for CDNs
	Presets    []string // the names of the presets that the URL uses itself, for the key's allow-list
	Free       bool     // the URL sets options of the Spec beside its presets; a key that is bound to presets refuses that
}

// Expired reports whether the URL's time is over. At exactly its expiry it is.
func (t Terms) Expired(now time.Time) bool { return !t.Expires.IsZero() && !now.Before(t.Expires) }
