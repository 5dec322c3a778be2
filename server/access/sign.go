package access

import (
	"cmp"
	"strconv"
	"strings"
	"time"

	"github.com/goldcrest/goldcrest/signing"
	"github.com/goldcrest/goldcrest/variant"
)

// URL describes a signed URL.
type URL struct {
	Base    string // its prefix
	Key     string // the id of the signing key; "" = the first valid one
	Source  string
	Link    string    // the newest link of an opaque source, by which rights are checked; "" = the source itself
	Options string    // those of an image path; a single preset may be written "pr:name" even if only presets are allowed
	Expires time.Time // zero = never
}

// SignURL returns a signed URL, within the rights of both the token and the key. It parses and checks the path before
// it signs, so it never returns a URL that would be refused.
func (r Rules) SignURL(u URL, rights signing.Rights) (string, error) {
	options := strings.Trim(u.Options, "/")
	if r.OnlyPresets {
		options = strings.TrimPrefix(options, "pr:")
	}
	if !u.Expires.IsZero() {
		options += "/exp:" + strconv.FormatInt(u.Expires.Unix(), 10)
	}
	path := variant.Path(options, u.Source, variant.Open)
	ref, terms, err := r.Parser.ParsePath(path)
	if err != nil {
		return "", err
	}
	asked := ref
	asked.Source = cmp.Or(u.Link, ref.Source)
	if err := Allowed(rights, asked, terms); err != nil {
		return "", err
	}
	if r.Links != nil {
		if concealed, _ := r.Parser.Opaque(u.Source); concealed != "" {
			path = variant.Path(options, concealed, variant.Open)
		}
	}
	signed, err := r.Keys.Sign(u.Key, path)
	if err != nil {
		return "", err
	}
	verified, err := r.Keys.Verify(signed)
	if err != nil {
		return "", err
	}
	if err := Allowed(verified.Key, asked, terms); err != nil {
		return "", err
	}
	return u.Base + signed, nil
}
