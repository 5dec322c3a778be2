// Package reach says from which hosts a caller's originals may come, and whether an original came through those only.
package reach

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/goldcrest/goldcrest/fault"
)

// Hosts is a set of hosts. Equal sets are equal values, whatever the order of their patterns, since downloads and fills
// are shared by it. The zero value is every host.
//
// Its text is the patterns, sorted and joined by ",". Sets that are intersected (And) are joined by " ".
type Hosts string

// Place is the text of a source that patterns match: the host of an http or https URL; for other sources the scheme and
// the authority, as s3://bucket and local://.
func Place(scheme, host string) string {
	if scheme == "http" || scheme == "https" {
		return host
	}
	return scheme + "://" + host
}

// Of parses patterns: each is a host, or "*." and a host for every host below it; "s3://bucket" or "gs://bucket", where
// a trailing "*" matches any continuation; or "local://", which is every file. No pattern means every source.
func Of(patterns []string) (Hosts, error) {
	var all []string
	for _, p := range patterns {
		if strings.Contains(p, "://") {
			name, err := bucket(p)
			if err != nil {
				return "", err
			}
			all = append(all, name)
			continue
		}
		name, below := strings.CutPrefix(p, "*.")
		if name == "" || len(name) > 253 || strings.ContainsFunc(name, func(r rune) bool { return !inHost(r) }) {
			return "", fmt.Errorf("%q is not a host, alone or after \"*.\"", p)
		}
		if name = normal(name); below {
			name = "*." + name
		}
		all = append(all, name)
	}
	slices.Sort(all)
	return Hosts(strings.Join(slices.Compact(all), ",")), nil
}

// bucket parses a pattern that is not a host.
func bucket(p string) (string, error) {
	scheme, name, _ := strings.Cut(strings.ToLower(p), "://")
	stem := strings.TrimSuffix(name, "*")
	switch {
	case scheme == "local" && name == "":
	case scheme != "s3" && scheme != "gs", name == "", len(name) > 253, strings.Contains(name, ":"),
		strings.ContainsFunc(stem, func(r rune) bool { return !inHost(r) }):
		return "", fmt.Errorf("%q is neither a host nor s3://bucket, gs://bucket or local://", p)
	}
	return scheme + "://" + name, nil
}

func inHost(r rune) bool {
	return 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || r == '-' || r == '_' || r == '.' || r == ':'
}

// normal is the spelling in which hosts are compared: lower case, no trailing dot, addresses in their shortest form.
func normal(host string) string {
	if addr, err := netip.ParseAddr(host); err == nil {
		return addr.Unmap().String()
	}
	return strings.ToLower(strings.TrimSuffix(host, "."))
}

// And is the intersection of two sets.
func (h Hosts) And(other Hosts) Hosts {
	switch {
	case h == "" || h == other:
		return other
	case other == "":
		return h
	}
	sets := append(strings.Fields(string(h)), strings.Fields(string(other))...)
	slices.Sort(sets)
	return Hosts(strings.Join(slices.Compact(sets), " "))
}

// Allows reports whether a host is in the set. Hosts are compared label by label.
func (h Hosts) Allows(host string) bool {
	return h == "" || h.allows(normal(host))
}

func (h Hosts) allows(normal string) bool {
	for set := range strings.SplitSeq(string(h), " ") {
		if !within(set, normal) {
			return false
		}
	}
	return true
}

func within(set, host string) bool {
	for p := range strings.SplitSeq(set, ",") {
		if host == p || below(p, host) || begins(p, host) {
			return true
		}
	}
	return false
}

// below reports whether a pattern matches all hosts below one, and host is one of them. A bucket is never a host,
// whatever its name.
func below(p, host string) bool {
	above, ok := strings.CutPrefix(p, "*")
	return ok && len(host) > len(above) && strings.HasSuffix(host, above) && !strings.Contains(host, "://")
}

// begins reports whether a pattern matches all buckets with a prefix, and host is one of them.
func begins(p, host string) bool {
	stem, ok := strings.CutSuffix(p, "*")
	return ok && strings.Contains(stem, "://") && strings.HasPrefix(host, stem)
}

// Via is the hosts that an original came through besides its source's own, joined by " ". Only hosts are kept, since
// patterns match nothing else and paths and queries of redirects may hold secrets. The zero value is none.
type Via string

// maxVia is the maximum length of a Via in bytes: it is kept among the attributes of each entry. far replaces a longer
// one; no limited set allows it.
const (
	maxVia     = 256
	far    Via = "*"
)

// Through is v with one more host, in the spelling of fetched URLs.
func (v Via) Through(host string) Via {
	switch {
	case v == far || slices.Contains(strings.Fields(string(v)), host):
		return v
	case len(v)+1+len(host) > maxVia:
		return far
	case v == "":
		return Via(host)
	}
	return v + " " + Via(host)
}

// AllowsAll reports whether every host of v is in the set.
func (h Hosts) AllowsAll(v Via) bool {
	if h == "" || v == "" {
		return true
	}
	for host := range strings.SplitSeq(string(v), " ") {
		if !h.allows(host) {
			return false
		}
	}
	return true
}

// ErrBeyond marks, as a cause, the refusal of one caller. It says nothing about the source, so it is not cached for
// that. Test with errors.Is.
var ErrBeyond = errors.New("the caller may not request images from this host")

// Refused is the fault of a caller that asks for an original from, or through, a host outside its set.
func Refused(op string) error {
	return fault.New(fault.SourceNotAllowed, op, "the source leads to a host that the signing key or token may not be used for", ErrBeyond)
}
