package server

import (
	"fmt"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/labstack/echo/v4"

	"github.com/goldcrest/goldcrest/pipeline"
	"github.com/goldcrest/goldcrest/variant"
)

// openHeaders sets what every answer of a door has, errors included.
func (s *Server) openHeaders(c echo.Context, k *call) {
	h := c.Response().Header()
	h.Set("X-Request-Id", k.id)
	h.Set("X-Content-Type-Options", "nosniff")
	// Nothing that we serve may run, even if a hostile picture is read as a page.
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; sandbox")
	if k.door == privateDoor {
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Cache-Control", "no-store")
		h.Set("Vary", "Authorization, Cookie")
		return
	}
	h.Set("Cross-Origin-Resource-Policy", "cross-origin")
	if s.draining.Load() || c.Request().ContentLength != 0 {
		// The next request belongs to another instance; and a body that nobody reads must not hold the connection.
		h.Set("Connection", "close")
	}
	if allowed := s.corsOrigin(c.Request().Header.Get("Origin")); allowed != "" {
		h.Set("Access-Control-Allow-Origin", allowed)
		h.Set("Access-Control-Expose-Headers", "ETag, Cache-Status, Content-Disposition, Content-Length, Goldcrest-Frames, Goldcrest-Reduced, Retry-After, Server-Timing, X-Error, X-Request-Id")
		h.Set("Timing-Allow-Origin", allowed)
	}
	if s.byOrigin {
		h.Set("Vary", "Origin")
	}
}

// corsOrigin is the Access-Control-Allow-Origin for a request of origin; "" = none.
func (s *Server) corsOrigin(origin string) string {
	switch {
	case slices.Contains(s.cfg.CORS, "*"):
		return "*"
	case origin != "" && slices.Contains(s.cfg.CORS, origin):
		return origin
	}
	return ""
}

// setShared sets what successes, 304s and errors of an image URL have in common, from what is known by now.
func (s *Server) setShared(h http.Header, k *call) {
	if k.door == privateDoor {
		return
	}
	vary := k.vary
	if s.byOrigin {
		vary = strings.TrimPrefix(vary+", Origin", ", ")
	}
	if vary != "" {
		h.Set("Vary", vary)
	}
	if k.source != "" {
		tags := append([]string{"s-" + k.source}, k.tags...)
		h.Set("Cache-Tag", strings.Join(tags, ","))
		h.Set("Surrogate-Key", strings.Join(tags, " "))
	}
	if status := cacheStatus(k); status != "" {
		h.Set("Cache-Status", status)
	}
	if timing := serverTiming(k); timing != "" {
		h.Set("Server-Timing", timing)
	}
}

// cacheStatus is the RFC 9211 member of what the look-up met.
func cacheStatus(k *call) string {
	switch {
	case k.outcome == pipeline.Hit:
		return "goldcrest; hit; detail=" + k.tier
	case k.outcome == pipeline.Stale:
		return "goldcrest; hit; ttl=-" + seconds(k.over) + "; detail=stale"
	case k.outcome == pipeline.Collapsed || k.outcome == pipeline.Miss:
		status := "goldcrest; fwd=miss"
		if k.outcome == pipeline.Collapsed {
			status += "; collapsed"
		}
		if k.tier == pipeline.TierMaster {
			status += "; detail=master"
		}
		return status
	case k.kind != "" && k.looked:
		return "goldcrest; fwd=miss; detail=" + string(k.kind)
	case k.kind != "":
		return "goldcrest; detail=" + string(k.kind)
	}
	return ""
}

// serverTiming lists the phases so far in milliseconds.
func serverTiming(k *call) string {
	b := make([]byte, 0, 128)
	for p, d := range k.took {
		b = appendTiming(b, phaseNames[p], d)
	}
	return string(appendTiming(b, "probe", k.probe))
}

func appendTiming(b []byte, name string, d time.Duration) []byte {
	if d < time.Microsecond {
		return b
	}
	if len(b) > 0 {
		b = append(b, ", "...)
	}
	b = append(b, name...)
	b = append(b, ";dur="...)
	return strconv.AppendFloat(b, milliseconds(d), 'f', -1, 64)
}

// setVariant sets the headers of a variant that is there: of a 200, a 206 and a 304 alike.
func (s *Server) setVariant(h http.Header, k *call, l Lifetimes, a pipeline.Answer, terms variant.Terms) {
	m := a.Entry.Meta
	h.Set("Content-Type", m.ContentType)
	h.Set("ETag", m.ETag)
	h.Set("Last-Modified", m.Created.UTC().Format(http.TimeFormat))
	h.Set("Accept-Ranges", "bytes")
	h.Set("Cache-Control", string(appendCacheControl(make([]byte, 0, 112), l, k.expires, a, s.deps.Now())))
	facts := variant.DecodeFacts(m.Attrs)
	if frames := framesLost(facts); frames != "" {
		h.Set("Goldcrest-Frames", frames)
	}
	if sizes := reduced(facts); sizes != "" {
		h.Set("Goldcrest-Reduced", sizes)
	}
	if d := disposition(terms, k.name, m.ContentType); d != "" {
		h.Set("Content-Disposition", d)
	}
	s.setShared(h, k)
}

// appendCacheControl says how long caches may keep a variant. An expiring URL stays public, but nothing outlives it:
// max-age and the stale allowances together end when it does.
func appendCacheControl(b []byte, l Lifetimes, expires time.Time, a pipeline.Answer, now time.Time) []byte {
	if a.NoStore {
		return append(b, "no-store"...)
	}
	age, final := l.MaxAge, true
	if variant.StageOf(a.Entry.Attrs) == variant.StageFirst || a.Outcome == pipeline.Stale {
		age, final = min(l.FirstMaxAge, l.MaxAge), false
	}
	if life, ok := originLife(l, a); ok {
		age, final = min(age, life), false
	}
	age = clipTo(expires, age, now)
	b = appendSeconds(append(b, "public, max-age="...), age)
	if d := clipTo(expires, age+l.SWR, now) - age; d >= time.Second {
		b = appendSeconds(append(b, ", stale-while-revalidate="...), d)
	}
	if d := clipTo(expires, age+l.SIE, now) - age; d >= time.Second {
		b = appendSeconds(append(b, ", stale-if-error="...), d)
	}
	if final && l.TTL == 0 {
		b = append(b, ", immutable"...)
	}
	return b
}

// originLife is what is left of the life that the origin gave, where that counts.
func originLife(l Lifetimes, a pipeline.Answer) (time.Duration, bool) {
	if !l.HonourOrigin {
		return 0, false
	}
	from := variant.DecodeProvenance(a.Entry.Attrs)
	return max(from.Life-a.Age, 0), from.HasLife
}

// clip cuts a lifetime to what is left of the URL.
func (k *call) clip(d time.Duration, now time.Time) time.Duration { return clipTo(k.expires, d, now) }

// clipTo cuts a lifetime to what is left until expires; zero = never.
func clipTo(expires time.Time, d time.Duration, now time.Time) time.Duration {
	if expires.IsZero() {
		return d
	}
	return max(min(d, expires.Sub(now)), 0)
}

// seconds writes whole seconds, rounded down: a cache must not keep anything a moment too long.
func seconds(d time.Duration) string { return string(appendSeconds(nil, d)) }

func appendSeconds(b []byte, d time.Duration) []byte {
	return strconv.AppendInt(b, int64(d/time.Second), 10)
}

// framesLost is "kept/had" where an animated original was answered with fewer frames, else "".
func framesLost(f variant.Facts) string {
	if f.Frames < 1 || f.Frames >= f.SourceFrames {
		return ""
	}
	return fmt.Sprintf("%d/%d", f.Frames, f.SourceFrames)
}

// reduced is "what is/what was asked for" where a variant would have been too long, else "".
func reduced(f variant.Facts) string {
	if f.AskedWidth == 0 || f.AskedHeight == 0 {
		return ""
	}
	return fmt.Sprintf("%dx%d/%dx%d", f.Width, f.Height, f.AskedWidth, f.AskedHeight)
}

// disposition is the Content-Disposition of RFC 6266: an ASCII name for old clients, the true one beside it where they
// differ. The name gets the extension of what is answered.
func disposition(t variant.Terms, fallback, contentType string) string {
	if t.Filename == "" && !t.Attachment {
		return ""
	}
	kind, name := "inline", t.Filename
	if t.Attachment {
		kind = "attachment"
	}
	if name = cleanName(name); name == "" {
		if name = cleanName(fallback); name == "" {
			name = "image"
		}
	}
	ext := "." + extension(contentType)
	name = strings.TrimSuffix(name, ext) + ext
	ascii := asciiName(name)
	d := kind + `; filename="` + ascii + `"`
	if ascii != name {
		d += "; filename*=UTF-8''" + strings.ReplaceAll(url.QueryEscape(name), "+", "%20")
	}
	return d
}

// cleanName takes out what a file name must not hold: folders, control and formatting characters (a right-to-left
// override can make an .exe look like a .jpg).
func cleanName(name string) string {
	name = strings.Map(func(r rune) rune {
		if r == unicode.ReplacementChar || !unicode.IsPrint(r) {
			return -1
		}
		return r
	}, strings.ToValidUTF8(name, ""))
	if i := strings.LastIndexAny(name, `/\`); i >= 0 {
		name = name[i+1:]
	}
	if len(name) > 200 {
		name = strings.ToValidUTF8(name[:200], "")
	}
	return strings.Trim(name, ". ")
}

// asciiName replaces everything that a quoted-string in a header cannot hold safely.
func asciiName(name string) string {
	return strings.Map(func(r rune) rune {
		if r > unicode.MaxASCII || r == '"' || r == '\\' || r == '%' {
			return '_'
		}
		return r
	}, name)
}

// extension is the usual extension of a media type.
func extension(contentType string) string {
	ext := strings.TrimPrefix(contentType, "image/")
	if ext == "jpeg" {
		return "jpg"
	}
	return ext
}

// baseName is the file name in a source's URL, without extension.
func baseName(source string) string {
	u, err := url.Parse(source)
	if err != nil {
		return ""
	}
	name := path.Base(u.Path)
	return strings.TrimSuffix(name, path.Ext(name))
}
