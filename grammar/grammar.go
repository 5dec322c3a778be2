// Package grammar reads the URLs of the public listener, in whichever grammar their prefix names: imgproxy's, that of
// /info, or thumbor's. Nothing is parsed before its signature is verified.
package grammar

import (
	"strings"

	"github.com/goldcrest/goldcrest/signing"
	"github.com/goldcrest/goldcrest/thumbor"
	"github.com/goldcrest/goldcrest/variant"
	"github.com/goldcrest/goldcrest/variant/about"
)

// ThumborPrefix begins the target of a request in thumbor's grammar, before the signature.
const ThumborPrefix = "/thumbor"

// Parse reads a verified path.
type Parse func(path string) (variant.Ref, variant.Terms, error)

// Verify checks the signature of a raw request target, and gives what its path is parsed with.
func Verify(keys *signing.Keyring, p *variant.Parser, target string) (signing.Verified, Parse, error) {
	if rest, ok := below(target, ThumborPrefix); ok && keys.HasThumbor() {
		v, err := keys.VerifyThumbor(rest)
		return v, func(path string) (variant.Ref, variant.Terms, error) { return ParseThumbor(p, path) }, err
	}
	parse := p.ParsePath
	if rest, ok := below(target, about.Prefix); ok {
		target = rest
		parse = func(path string) (variant.Ref, variant.Terms, error) { return about.ParsePath(p, path) }
	}
	v, err := keys.Verify(target)
	return v, parse, err
}

// below is what follows a prefix in a target, beginning with "/".
func below(target, prefix string) (rest string, ok bool) {
	rest, ok = strings.CutPrefix(target, prefix)
	return rest, ok && strings.HasPrefix(rest, "/")
}

// ParseThumbor reads a path in thumbor's grammar, which begins behind the signature's slash. Presets have no part in
// it.
func ParseThumbor(p *variant.Parser, path string) (variant.Ref, variant.Terms, error) {
	image, err := thumbor.Parse(path)
	if err != nil {
		return variant.Ref{}, variant.Terms{}, err
	}
	return p.WithoutPresets().ParsePath(variant.Path(image.Options, image.Source, variant.Open))
}
