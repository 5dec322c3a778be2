// Package reach says which hosts a caller's originals may come from, and whether the hosts that one came through are
// among them.
package reach

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/goldcrest/goldcrest/fault"
)

// Hosts is a set of hosts. Equal sets are equal values, whatever the order that their patterns were written in:
// downloads and fills are collapsed by it. The zero value is every host.
//
// Its text is the patterns, sorted and joined by ",". Sets that hold together (And) are joined by " ".
type Hosts string

// Of reads patterns: each is a host, or "*." before one for every host below it. No pattern means every host.
func Of(patterns []string) (Hosts, error) {
	var all []string
	for _, p := range patterns {
		name, below := strings.CutPrefix(p, "*.")
		if name == "" || len(name) > 253 || strings.ContainsFunc(name, func(r rune) bool { return !inHost(r) }) {
			return "", fmt.Errorf("%q is no host and no \"*.\" before one", p)
		}
		if name = normal(name); below {
			name = "*." + name
		}
		all = append(all, name)
	}
	slices.Sort(all)
	return Hosts(strings.Join(slices.Compact(all), ",")), nil
}

func inHost(r rune) bool {
	return 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || r == '-' || r == '_' || r == '.' || r == ':'
}

// normal is the spelling in which hosts are compared: lower case, no dot at the end, addresses in their shortest form.
func normal(host string) string {
	if addr, err := netip.ParseAddr(host); err == nil {
		return addr.Unmap().String()
	}
	return strings.ToLower(strings.TrimSuffix(host, "."))
}

// And is the set of the hosts that both have.
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
		if below, ok := strings.CutPrefix(p, "*"); ok && len(host) > len(below) && strings.HasSuffix(host, below) || host == p {
			return true
		}
	}
	return false
}

// Via is which hosts an original came through beside its source's own, joined by " ". Patterns match hosts and nothing
// else, so nothing else is kept: paths and queries of redirects hold secrets. The zero value is none.
type Via string

// maxVia bounds a Via in bytes: it is kept among the attributes of each entry. far stands for a longer one, which no
// bounded set allows.
const (
	maxVia     = 256
	far    Via = "*"
)

// Through is v with one more host, in the spelling of URLs that are fetched.
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

// ErrBeyond marks, as a cause, the refusal of one caller. It says nothing of the source, so it is not remembered
// against that. Test with errors.Is.
var ErrBeyond = errors.New("the caller may not have what comes from this host")

// Refused is the fault of a caller who asks for an original that comes from, or through, a host beyond its set.
func Refused(op string) error {
	return fault.New(fault.SourceNotAllowed, op, "the source leads to a host that the signing key or token may not be used for", ErrBeyond)
}
