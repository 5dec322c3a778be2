package origin

import (
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Freshness is the origin's cache policy for an original, as a shared cache reads it (RFC 9111).
type Freshness struct {
	TTL     time.Duration // how long it stays fresh; 0 = revalidate every time
	Said    bool          // false: the origin said nothing, and TTL is not set
	NoStore bool
	Private bool
}

// Validators identify a version of an original, as its origin named it. The zero value is no version.
type Validators struct {
	ETag         string
	LastModified time.Time // whole seconds, UTC; zero = unknown
}

// maxETag is the maximum length of an ETag in bytes: it is kept among the attributes of each entry.
const maxETag = 128

// validatorsOf reads the validators of a response.
func validatorsOf(h http.Header) (v Validators) {
	if tag := h.Get("ETag"); len(tag) <= maxETag && isTag(tag) {
		v.ETag = tag
	}
	if at, err := http.ParseTime(h.Get("Last-Modified")); err == nil {
		v.LastModified = at.UTC()
	}
	return v
}

// isTag reports whether a text is an ETag of visible ASCII.
func isTag(text string) bool {
	text = strings.TrimPrefix(text, "W/")
	if len(text) < 2 || text[0] != '"' || text[len(text)-1] != '"' {
		return false
	}
	return !strings.ContainsFunc(text[1:len(text)-1], func(r rune) bool { return r <= ' ' || r >= 0x7f || r == '"' })
}

// The attributes in which an entry keeps the version of its original. They are stored: never change the meaning of a
// name or the form of a value.
const (
	attrTag      = "ov"
	attrModified = "om"
)

// Keep writes the version into the attributes of an entry.
func (v Validators) Keep(attrs map[string]string) {
	if v.ETag != "" {
		attrs[attrTag] = v.ETag
	}
	if at := v.LastModified.Unix(); at > 0 {
		attrs[attrModified] = strconv.FormatInt(at, 10)
	}
}

// Kept reads the version from the attributes of an entry.
func Kept(attrs map[string]string) Validators {
	v := Validators{ETag: attrs[attrTag]}
	if at, err := strconv.ParseInt(attrs[attrModified], 10, 64); err == nil {
		v.LastModified = time.Unix(at, 0).UTC()
	}
	return v
}

// String is unique for a version.
func (v Validators) String() string { return v.ETag + " " + v.LastModified.Format(time.RFC3339) }

// None reports whether it is the zero value.
func (v Validators) None() bool { return v == Validators{} }

// set makes a request conditional on another version.
func (v Validators) set(h http.Header) {
	if v.ETag != "" {
		h.Set("If-None-Match", v.ETag)
	}
	if !v.LastModified.IsZero() {
		h.Set("If-Modified-Since", v.LastModified.Format(http.TimeFormat))
	}
}

// parseFreshness reads Cache-Control, Expires, Date and Age. s-maxage overrides max-age, which overrides Expires.
func parseFreshness(h http.Header, now time.Time) Freshness {
	var f Freshness
	directives := cacheDirectives(h)
	_, f.NoStore = directives["no-store"]
	_, f.Private = directives["private"]
	_, noCache := directives["no-cache"]
	f.Said = f.NoStore || f.Private || noCache
	for _, name := range []string{"s-maxage", "max-age"} {
		if value, ok := directives[name]; ok {
			f.Said, f.TTL = true, seconds(value)
			break
		}
	}
	if expires := h.Get("Expires"); expires != "" && !f.Said {
		f.Said = true
		date, err := http.ParseTime(h.Get("Date"))
		if err != nil {
			date = now
		}
		if at, err := http.ParseTime(expires); err == nil { // "0" and other invalid values mean expired.
			f.TTL = at.Sub(date)
		}
	}
	f.TTL = max(f.TTL-seconds(h.Get("Age")), 0)
	if noCache || f.NoStore || f.Private {
		f.TTL = 0
	}
	return f
}

// cacheDirectives are those of Cache-Control, by their names in lower case. The first of two with one name counts.
func cacheDirectives(h http.Header) map[string]string {
	directives := map[string]string{}
	for _, line := range h.Values("Cache-Control") {
		for part := range strings.SplitSeq(line, ",") {
			name, value, _ := strings.Cut(strings.TrimSpace(part), "=")
			name = strings.ToLower(name)
			if _, twice := directives[name]; !twice {
				directives[name] = strings.Trim(value, `"`)
			}
		}
	}
	return directives
}

// seconds parses a number of seconds; invalid and negative values are 0, and the maximum is ten years.
func seconds(text string) time.Duration {
	const longest = 10 * 365 * 24 * 3600
	n, err := strconv.ParseUint(strings.TrimSpace(text), 10, 64)
	if err != nil && !errors.Is(err, strconv.ErrRange) {
		return 0
	}
	return time.Duration(min(n, longest)) * time.Second
}
