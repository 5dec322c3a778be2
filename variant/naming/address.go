package naming

import (
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// MaxAddress is the maximum length of a source's URL in bytes, after escaping.
const MaxAddress = 16 << 10

// Address checks the URL of an original and returns the one to fetch: byte for byte as given, but without its fragment,
// and with blanks, non-ASCII and other bytes that are not allowed in a URL percent-encoded, as every browser does.
// Besides http and https URLs a source is an object in a bucket (s3://bucket/key, gs://bucket/key) or a file
// (local:///path); the configuration decides whether the server has such sources. wrong is the reason why raw is
// invalid, or "": other schemes, a missing or odd host, userinfo, control characters, excess length.
func Address(raw string) (source, wrong string) {
	const tooLong = "the source's URL is too long"
	if len(raw) > MaxAddress {
		return "", tooLong
	}
	for i := range len(raw) {
		if raw[i] < ' ' || raw[i] == 0x7f {
			return "", "the source's URL contains a control character"
		}
	}
	raw, _, _ = strings.Cut(raw, "#")
	u, ok := splitSource(raw)
	if !ok {
		return "", "the source is not an http or https URL, nor an address of s3://, gs:// or local://"
	}
	if strings.Contains(u.authority, "@") {
		return "", "the source's URL contains a user name"
	}
	if wrong = Wrong(u.scheme, u.authority, u.path, validAuthority(u.authority)); wrong != "" {
		return "", wrong
	}
	source = raw[:len(u.scheme)+len("://")] + u.authority + escape(u.path, true) + escape(u.query, false)
	if len(source) > MaxAddress {
		return "", tooLong
	}
	return source, ""
}

// location is a parsed source; path begins with "/" and query with "?", or they are empty.
type location struct{ scheme, authority, path, query string }

func splitSource(source string) (location, bool) {
	scheme, rest, ok := strings.Cut(source, "://")
	if !ok || !IsScheme(scheme) {
		return location{}, false
	}
	u := location{scheme: scheme, authority: rest}
	if i := strings.IndexAny(rest, "/?"); i >= 0 {
		u.authority, u.path = rest[:i], rest[i:]
	}
	if i := strings.IndexByte(u.path, '?'); i >= 0 {
		u.path, u.query = u.path[:i], u.path[i:]
	}
	return u, true
}

// validAuthority accepts ASCII host names, IPv4 and bracketed IPv6 addresses without a zone, each with an optional
// port. Non-ASCII names must be in punycode: the allow-list must not have to guess what a Unicode name resolves to.
func validAuthority(authority string) bool {
	host, port := splitPort(authority)
	if port != "" && port != ":" {
		if n, err := strconv.ParseUint(port[1:], 10, 16); err != nil || n == 0 {
			return false
		}
	}
	allowed := "-._"
	if strings.HasPrefix(host, "[") {
		if !strings.HasSuffix(host, "]") {
			return false
		}
		host, allowed = host[1:len(host)-1], ":."
	}
	for i := range len(host) {
		if c := host[i]; !Alphanumeric(c) && strings.IndexByte(allowed, c) < 0 {
			return false
		}
	}
	return host != "" && len(host) <= 253 && strings.Trim(host, ".") != ""
}

// splitPort cuts off the port with its colon.
func splitPort(authority string) (host, port string) {
	i := strings.LastIndexByte(authority, ':')
	if i < 0 || strings.HasSuffix(authority, "]") {
		return authority, ""
	}
	return authority[:i], authority[i:]
}

// Alphanumeric reports whether a byte is an ASCII letter or digit.
func Alphanumeric(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
}

// escape percent-encodes the bytes that are not allowed in a URL. In a path, a "%" that begins no escape is encoded
// too: the HTTP client would refuse it.
func escape(s string, path bool) string {
	var b strings.Builder
	done := 0
	for i := range len(s) {
		c := s[i]
		if c == '%' && path && !isEscape(s[i:]) || c != '%' && !urlByte(c) {
			b.WriteString(s[done:i])
			b.WriteByte('%')
			b.WriteByte(upperHex[c>>4])
			b.WriteByte(upperHex[c&15])
			done = i + 1
		}
	}
	if done == 0 {
		return s
	}
	b.WriteString(s[done:])
	return b.String()
}

const upperHex = "0123456789ABCDEF"

func urlByte(c byte) bool {
	return Alphanumeric(c) || strings.IndexByte("-._~:/?#[]@!$&'()*+,;=", c) >= 0
}

func isEscape(s string) bool {
	return len(s) >= 3 && isHex(s[1]) && isHex(s[2])
}

func isHex(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F'
}

// Canonical is the source's identity: scheme and host in lower case, no default port, no fragment, "/" for an empty
// path, no parameter that one of the strip patterns names; otherwise byte for byte. A text that is not a source is
// returned unchanged.
func Canonical(source string, strip []string) string {
	source, _, _ = strings.Cut(source, "#")
	u, ok := splitSource(source)
	if !ok {
		return source
	}
	scheme := strings.ToLower(u.scheme)
	host, port := splitPort(u.authority)
	if port == ":" || scheme == "http" && port == ":80" || scheme == "https" && port == ":443" {
		port = ""
	}
	if u.path == "" {
		u.path = "/"
	}
	return scheme + "://" + strings.ToLower(host) + port + u.path + stripQuery(u.query, strip)
}

// stripQuery removes the parameters whose names match a pattern: exact, or a prefix followed by "*".
func stripQuery(query string, patterns []string) string {
	if query == "" || len(patterns) == 0 {
		return query
	}
	var kept []string
	for _, parameter := range strings.Split(query[1:], "&") {
		name, _, _ := strings.Cut(parameter, "=")
		if decoded, err := url.QueryUnescape(name); err == nil {
			name = decoded
		}
		if !matchesAny(name, patterns) {
			kept = append(kept, parameter)
		}
	}
	if len(kept) == 0 {
		return ""
	}
	return "?" + strings.Join(kept, "&")
}

func matchesAny(name string, patterns []string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool {
		stem, open := strings.CutSuffix(p, "*")
		return name == p || open && strings.HasPrefix(name, stem)
	})
}
