package origin

import (
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Freshness is what the origin says about keeping an original, read as a shared cache reads it (RFC 9111).
type Freshness struct {
	TTL     time.Duration // how long it stays fresh from now on; 0 = it must be validated every time
	Said    bool          // false: the origin said nothing, and TTL means nothing
	NoStore bool
	Private bool
}

// Lifetime is how long the original may be kept: the origin's time, at least minimum, and 0 where a shared cache must
// not keep it.
func (f Freshness) Lifetime(minimum time.Duration) time.Duration {
	if f.NoStore || f.Private {
		return 0
	}
	return max(f.TTL, minimum)
}

// Validators name a version of an original, as its origin told it. The zero value names none.
type Validators struct {
	ETag         string
	LastModified time.Time // whole seconds, UTC; zero = unknown
}

// maxETag bounds an ETag in bytes: it is kept among the attributes of each entry.
const maxETag = 128

// validatorsOf reads the validators of an answer.
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

// The attributes under which an entry keeps the version of its original. Stores hold them: a name, or the form of a
// value, never changes its meaning.
const (
	attrTag      = "ov"
	attrModified = "om"
)

// Keep notes the version among the attributes of an entry.
func (v Validators) Keep(attrs map[string]string) {
	if v.ETag != "" {
		attrs[attrTag] = v.ETag
	}
	if at := v.LastModified.Unix(); at > 0 {
		attrs[attrModified] = strconv.FormatInt(at, 10)
	}
}

// Kept is the version among the attributes of an entry.
func Kept(attrs map[string]string) Validators {
	v := Validators{ETag: attrs[attrTag]}
	if at, err := strconv.ParseInt(attrs[attrModified], 10, 64); err == nil {
		v.LastModified = time.Unix(at, 0).UTC()
	}
	return v
}

// String tells versions apart.
func (v Validators) String() string { return v.ETag + " " + v.LastModified.Format(time.RFC3339) }

// None reports whether no version is named.
func (v Validators) None() bool { return v == Validators{} }

// set has a request ask for any other version than this.
func (v Validators) set(h http.Header) {
	if v.ETag != "" {
		h.Set("If-None-Match", v.ETag)
	}
	if !v.LastModified.IsZero() {
		h.Set("If-Modified-Since", v.LastModified.Format(http.TimeFormat))
	}
}

// parseFreshness reads Cache-Control, Expires, Date and Age. s-maxage beats max-age, which beats Expires.
func parseFreshness(h http.Header, now time.Time) Freshness {
	var f Freshness
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
		if at, err := http.ParseTime(expires); err == nil { // "0" and other nonsense have expired.
			f.TTL = at.Sub(date)
		}
	}
	f.TTL = max(f.TTL-seconds(h.Get("Age")), 0)
	if noCache || f.NoStore || f.Private {
		f.TTL = 0
	}
	return f
}

// seconds reads a count of seconds; nonsense and negative numbers are 0, and no time is longer than ten years.
func seconds(text string) time.Duration {
	const longest = 10 * 365 * 24 * 3600
	n, err := strconv.ParseUint(strings.TrimSpace(text), 10, 64)
	if err != nil && !errors.Is(err, strconv.ErrRange) {
		return 0
	}
	return time.Duration(min(n, longest)) * time.Second
}
