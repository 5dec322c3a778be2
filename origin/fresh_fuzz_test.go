package origin

import (
	"net/http"
	"testing"
	"time"
)

// FuzzFreshness holds that no cache policy of an origin gives a lifetime below zero or without end, that refusals count
// more than lifetimes, and that a version is sent back as it came.
func FuzzFreshness(f *testing.F) {
	f.Add("max-age=60, s-maxage=\"5\"", "Sun, 06 Nov 1994 08:49:37 GMT", "3", `W/"a"`)
	f.Add("no-store,,=,max-age=-1", "0", "99999999999999999999", "\"\x00\"")
	now := time.Unix(1e9, 0)
	f.Fuzz(func(t *testing.T, control, expires, age, tag string) {
		h := http.Header{"Cache-Control": {control}, "Expires": {expires}, "Last-Modified": {expires}, "Age": {age},
			"Etag": {tag}}
		got := parseFreshness(h, now)
		if got.TTL < 0 || !got.Said && got.TTL != 0 || (got.NoStore || got.Private) && (got.TTL != 0 || !got.Said) {
			t.Fatalf("%q, %q, %q: %+v", control, expires, age, got)
		}
		h.Set("Cache-Control", control+", no-store")
		if strict := parseFreshness(h, now); !strict.NoStore || strict.TTL != 0 {
			t.Fatalf("%q and no-store: %+v", control, strict)
		}
		attrs := map[string]string{}
		v := validatorsOf(h)
		v.Keep(attrs)
		kept := Kept(attrs)
		if kept.ETag != v.ETag || v.LastModified.Unix() > 0 && !kept.LastModified.Equal(v.LastModified) {
			t.Fatalf("%+v is kept as %+v", v, kept)
		}
		if v.ETag != "" && v.ETag != tag || len(v.ETag) > maxETag {
			t.Fatalf("the tag %q becomes %q", tag, v.ETag)
		}
	})
}
