package image

import (
	"fmt"
	"net/http"
	"net/url"
	"path"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/goldcrest/goldcrest/pipeline"
	"github.com/goldcrest/goldcrest/server/access"
	"github.com/goldcrest/goldcrest/server/exchange"
	"github.com/goldcrest/goldcrest/variant"
)

// setVariant sets the headers of a variant, the same for 200, 206 and 304.
func (s *Door) setVariant(h http.Header, k *exchange.Call, l access.Lifetimes, a pipeline.Answer, terms variant.Terms) {
	m := a.Entry.Meta
	h.Set("Content-Type", m.ContentType)
	h.Set("ETag", m.ETag)
	h.Set("Last-Modified", m.Created.UTC().Format(http.TimeFormat))
	h.Set("Accept-Ranges", "bytes")
	h.Set("Cache-Control", string(appendCacheControl(make([]byte, 0, 112), l, k.Expires, a, s.Now())))
	facts := variant.DecodeFacts(m.Attrs)
	if frames := framesLost(facts); frames != "" {
		h.Set("Goldcrest-Frames", frames)
	}
	if sizes := reduced(facts); sizes != "" {
		h.Set("Goldcrest-Reduced", sizes)
	}
	if s.cfg.Debug && m.ContentType != variant.Info.MediaType() {
		setSizes(h, facts)
	}
	if d := disposition(terms, k.Name, m.ContentType); d != "" {
		h.Set("Content-Disposition", d)
	}
	s.SetShared(h, k)
}

// appendCacheControl says how long caches may keep a variant. An expiring URL stays public, but nothing outlives it:
// max-age and the stale allowances together end with it.
func appendCacheControl(b []byte, l access.Lifetimes, expires time.Time, a pipeline.Answer, now time.Time) []byte {
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
	age = exchange.ClipTo(expires, age, now)
	b = exchange.AppendSeconds(append(b, "public, max-age="...), age)
	if d := exchange.ClipTo(expires, age+l.SWR, now) - age; d >= time.Second {
		b = exchange.AppendSeconds(append(b, ", stale-while-revalidate="...), d)
	}
	if d := exchange.ClipTo(expires, age+l.SIE, now) - age; d >= time.Second {
		b = exchange.AppendSeconds(append(b, ", stale-if-error="...), d)
	}
	if final && l.TTL == 0 {
		b = append(b, ", immutable"...)
	}
	return b
}

// originLife is the remaining lifetime given by the origin, if it counts.
func originLife(l access.Lifetimes, a pipeline.Answer) (time.Duration, bool) {
	if !l.HonourOrigin {
		return 0, false
	}
	from := variant.DecodeProvenance(a.Entry.Attrs)
	return max(from.Life-a.Age, 0), from.HasLife
}

// setSizes sets imgproxy's debug headers.
func setSizes(h http.Header, f variant.Facts) {
	for name, n := range map[string]int64{
		"X-Origin-Content-Length": f.SourceBytes,
		"X-Origin-Width":          int64(f.SourceWidth), "X-Origin-Height": int64(f.SourceHeight),
		"X-Result-Width": int64(f.Width), "X-Result-Height": int64(f.Height),
	} {
		if n > 0 {
			h.Set(name, strconv.FormatInt(n, 10))
		}
	}
}

// framesLost is "kept/had" if an animated original lost frames, else "".
func framesLost(f variant.Facts) string {
	if f.Frames < 1 || f.Frames >= f.SourceFrames {
		return ""
	}
	return fmt.Sprintf("%d/%d", f.Frames, f.SourceFrames)
}

// reduced is "actual/requested" size if a variant was reduced, else "".
func reduced(f variant.Facts) string {
	if f.AskedWidth == 0 || f.AskedHeight == 0 {
		return ""
	}
	return fmt.Sprintf("%dx%d/%dx%d", f.Width, f.Height, f.AskedWidth, f.AskedHeight)
}

// disposition is the Content-Disposition of RFC 6266: an ASCII name for old clients, and the real one if they differ.
// The name gets the extension of the response's format.
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

// cleanName removes what a file name must not contain: folders, control and formatting characters (a right-to-left
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

// asciiName replaces everything that is not safe in a quoted-string of a header.
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
	_, ext, _ := strings.Cut(contentType, "/")
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
