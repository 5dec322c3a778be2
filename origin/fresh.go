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
