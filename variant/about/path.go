package about

import (
	"fmt"
	"strings"

	"github.com/goldcrest/goldcrest/fault"
	"github.com/goldcrest/goldcrest/variant"
)

// Prefix begins the target of a request for a document, before the signature.
const Prefix = "/info"

// told are imgproxy's options for parts of the document, which has all of them always.
var told = map[string]bool{
	"size": true, "s": true, "format": true, "f": true, "dimensions": true, "d": true, "alpha": true, "a": true,
	"pages_number": true, "pn": true,
}

// shared are the options that mean the same as in the URL of a picture.
var shared = map[string]bool{
	"cachebuster": true, "cb": true, "expires": true, "exp": true, "hashsum": true, "hs": true,
	"max_src_resolution": true, "msr": true, "max_src_file_size": true, "msfs": true, "cache_tag": true, "ct": true,
}

// ParsePath reads the verified text of a URL: the path after the signature, "/options/source". p reads the source.
func ParsePath(p *variant.Parser, path string) (variant.Ref, variant.Terms, error) {
	rest, kept := strings.TrimPrefix(path, "/"), ""
	for {
		segment, tail, more := strings.Cut(rest, "/")
		name, argument, isOption := strings.Cut(segment, ":")
		if !more || !isOption {
			break
		}
		switch {
		case shared[name]:
			kept += "/" + segment
		case !told[name]:
			return variant.Ref{}, variant.Terms{}, fault.New(fault.UnsupportedOption, "about.ParsePath",
				fmt.Sprintf("option %.40q is not supported by /info", name), nil)
		case !truth(argument):
			return variant.Ref{}, variant.Terms{}, fault.New(fault.BadOption, "about.ParsePath",
				fmt.Sprintf("option %q: its value is neither 0 nor 1", name), nil)
		}
		rest = tail
	}
	ref, terms, err := p.WithoutPresets().ParsePath(kept + "/" + rest)
	if err != nil {
		return variant.Ref{}, variant.Terms{}, err
	}
	if ref.Spec.Format != variant.Open {
		return ref, terms, fault.New(fault.BadPath, "about.ParsePath", "a URL of /info has no extension", nil)
	}
	ref.Spec = SpecFor(ref.Spec)
	return ref, terms, nil
}

// truth reports whether a word is one of those that imgproxy takes for true and false.
func truth(word string) bool {
	switch word {
	case "1", "t", "true", "0", "f", "false":
		return true
	}
	return false
}
