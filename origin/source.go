package origin

import (
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/net/idna"

	"github.com/goldcrest/goldcrest/fault"
)

// pattern is one entry of the allow-list.
type pattern struct {
	host  string // normalised; "" = every host
	below bool   // hosts below host, without host itself
}

func parsePattern(text string) (pattern, error) {
	if text == "*" {
		return pattern{}, nil
	}
	name, below := strings.CutPrefix(text, "*.")
	host, err := normalHost(strings.Trim(name, "[]"))
	if err != nil {
		return pattern{}, fmt.Errorf("%q is neither a host like img.example.com nor one like *.example.com", text)
	}
	if _, err := netip.ParseAddr(host); err == nil && below {
		return pattern{}, fmt.Errorf("%q: an address has nothing below it", text)
	}
	return pattern{host, below}, nil
}

func (p pattern) matches(host string) bool {
	switch {
	case p.host == "":
		return true
	case p.below:
		return strings.HasSuffix(host, "."+p.host)
	}
	return host == p.host
}

// normalHost returns the only accepted spelling of a host: lower case, punycode, no trailing dot, addresses in
// canonical form. Spellings that resolvers interpret differently (numeric forms such as 127.1 or 0x7f000001) are
// errors.
func normalHost(host string) (string, error) {
	if addr, err := netip.ParseAddr(host); err == nil {
		if addr.Zone() != "" {
			return "", errOddAddress
		}
		return addr.Unmap().String(), nil
	}
	if strings.ContainsFunc(host, func(r rune) bool { return r > '~' }) {
		// Non-ASCII digits and dots become ASCII here; the result is checked like any other host.
		ascii, err := idna.Lookup.ToASCII(host)
		if err != nil {
			return "", err
		}
		if addr, err := netip.ParseAddr(ascii); err == nil {
			return addr.Unmap().String(), nil
		}
		host = ascii
	}
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	if len(host) > 253 {
		return "", fmt.Errorf("the name is too long")
	}
	labels := strings.Split(host, ".")
	for _, label := range labels {
		if !validLabel(label) {
			return "", fmt.Errorf("%q is not a host label", label)
		}
	}
	if last := labels[len(labels)-1]; isNumber(last) {
		return "", errOddAddress
	}
	return host, nil
}

var errOddAddress = fmt.Errorf("an address in an unusual spelling")

func validLabel(label string) bool {
	if label == "" || len(label) > 63 {
		return false
	}
	return strings.Trim(label, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_") == ""
}

// isNumber reports labels that resolvers read as a number: some take a name that ends in one for an address.
func isNumber(label string) bool {
	if digits, ok := strings.CutPrefix(strings.ToLower(label), "0x"); ok {
		return strings.Trim(digits, "0123456789abcdef") == ""
	}
	return strings.Trim(label, "0123456789") == ""
}

// parse makes every check of a source that needs no I/O and returns the URL to fetch: normalised host, unchanged path
// and query, no fragment.
func (s *settings) parse(source string) (*url.URL, error) {
	u, err := url.Parse(source)
	if err != nil {
		return nil, fault.New(fault.BadSource, "origin.parse", "the source is not a URL", fault.WithoutURL(err))
	}
	if !isWeb(u.Scheme) {
		return s.checkSource(u)
	}
	if u.User != nil {
		return nil, fault.New(fault.BadSource, "origin.parse", "the source must not contain a user name", nil)
	}
	if u.Opaque != "" || u.Hostname() == "" {
		return nil, fault.New(fault.BadSource, "origin.parse", "the source names no host", nil)
	}
	host, err := normalHost(u.Hostname())
	if err == errOddAddress {
		return nil, fault.New(fault.AddressBlocked, "origin.parse", "the source's host is an address in an unusual spelling", nil)
	}
	if err != nil {
		return nil, fault.New(fault.BadSource, "origin.parse", "the source's host is not a valid name", err)
	}
	port, err := portOf(u)
	if err != nil {
		return nil, fault.New(fault.BadSource, "origin.parse", "the source's port is not a number", nil)
	}
	if err := s.permits(host, port); err != nil {
		return nil, err
	}
	if err := s.checkManner(u.Scheme, host); err != nil {
		return nil, err
	}
	u.Host = joinHost(u, host, port)
	u.Fragment, u.RawFragment = "", ""
	u.RawQuery = wireQuery(u.RawQuery)
	if u.Path == "" {
		u.Path = "/"
	}
	return u, nil
}

// permits checks host and port against the allow-list, the ports, our own names, and private addresses.
func (s *settings) permits(host string, port int) error {
	if len(s.cfg.Ports) > 0 && !slices.Contains(s.cfg.Ports, port) {
		return fault.New(fault.SourceNotAllowed, "origin.parse", "the source's port is not allowed", nil)
	}
	if len(s.allow) > 0 && !slices.ContainsFunc(s.allow, func(p pattern) bool { return p.matches(host) }) {
		return fault.New(fault.SourceNotAllowed, "origin.parse", "the source's host is not allowed", nil)
	}
	if slices.Contains(s.own, ownName(host, port)) {
		return fault.New(fault.SourceNotAllowed, "origin.parse", "the source is this server itself", nil)
	}
	if addr, err := netip.ParseAddr(host); err == nil {
		if err := s.guard.check(addr); err != nil {
			return fault.New(fault.AddressBlocked, "origin.parse", "the source's address is not public", err)
		}
	}
	return nil
}

// ownName is the spelling in which Config.Own and sources are compared.
func ownName(host string, port int) string { return host + ":" + strconv.Itoa(port) }

func portOf(u *url.URL) (int, error) {
	text := u.Port()
	if text == "" {
		if u.Scheme == "https" {
			return 443, nil
		}
		return 80, nil
	}
	port, err := strconv.ParseUint(text, 10, 16)
	if err == nil && port == 0 {
		err = strconv.ErrRange
	}
	return int(port), err
}

func joinHost(u *url.URL, host string, port int) string {
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	if u.Port() == "" {
		return host
	}
	return ownName(host, port)
}

// escapeLocation escapes what origins leave unescaped in a Location, as it is done for sources: in the path every byte
// that is not allowed, and a "%" that begins no escape. Tabs are dropped, as in browsers, and so is the fragment. The
// host is not changed: parse checks it.
func escapeLocation(location string) string {
	location, _, _ = strings.Cut(strings.ReplaceAll(location, "\t", ""), "#")
	path, query, asked := strings.Cut(location, "?")
	var b strings.Builder
	if scheme, rest, ok := strings.Cut(path, "//"); ok && (scheme == "" || strings.HasSuffix(scheme, ":")) {
		host := len(rest)
		if i := strings.IndexByte(rest, '/'); i >= 0 {
			host = i
		}
		b.WriteString(scheme + "//" + rest[:host])
		path = rest[host:]
	}
	for i := range len(path) {
		if c := path[i]; pathByte(c) || c == '%' && isEscape(path[i:]) {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	if asked {
		b.WriteString("?" + wireQuery(query))
	}
	return b.String()
}

// pathByte reports bytes that need no escape in a path.
func pathByte(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("-._~:/[]@!$&'()*+,;=", c) >= 0
}

// isEscape reports whether s begins with a percent escape.
func isEscape(s string) bool {
	return len(s) >= 3 && strings.Trim(s[1:3], "0123456789abcdefABCDEF") == ""
}

// odd reports bytes that are not allowed in a request line.
func odd(c byte) bool { return c <= ' ' || c >= 0x7f || c == '"' || c == '<' || c == '>' }

// wireQuery escapes the bytes that are not allowed in a request line, and nothing else: signed queries are compared
// byte for byte.
func wireQuery(query string) string {
	var b strings.Builder
	for i := range len(query) {
		if c := query[i]; odd(c) {
			fmt.Fprintf(&b, "%%%02X", c)
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}
