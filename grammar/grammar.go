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
	rest, parse, theirs := split(p, target)
	switch {
	case theirs && keys.HasThumbor():
		v, err := keys.VerifyThumbor(rest)
		return v, parse, err
	case theirs:
		rest, parse = target, p.ParsePath
	}
	v, err := keys.Verify(rest)
	return v, parse, err
}

// Unverified is Verify without a look at the signature, for URLs that are only explained or judged. A query stays where
// it may belong to the source.
func Unverified(p *variant.Parser, target string) (path string, parse Parse) {
	rest, parse, theirs := split(p, target)
	_, path, _ = strings.Cut(strings.TrimPrefix(rest, "/"), "/")
	if theirs {
		return path, parse
	}
	if path = "/" + path; !strings.Contains(path, "/plain/") {
		path, _, _ = strings.Cut(path, "?")
	}
	return path, parse
}

// split cuts the prefix off a target and gives what it is parsed with. theirs says that the grammar is thumbor's.
func split(p *variant.Parser, target string) (rest string, parse Parse, theirs bool) {
	if rest, ok := below(target, ThumborPrefix); ok {
		return rest, func(path string) (variant.Ref, variant.Terms, error) { return ParseThumbor(p, path) }, true
	}
	if rest, ok := below(target, about.Prefix); ok {
		return rest, func(path string) (variant.Ref, variant.Terms, error) { return about.ParsePath(p, path) }, false
	}
	return target, p.ParsePath, false
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
