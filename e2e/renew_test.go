package e2e

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// For an expired entry whose original is unchanged, the server sends a conditional request and makes no picture: by
// ETag, by date, and for a bucket, until the original changes.
func TestUnchangedOriginalsAreRenewed(t *testing.T) {
	photos := filepath.Join(corpus(t), "photos")
	picture, err := os.ReadFile(filepath.Join(photos, "groceries.jpg"))
	if err != nil {
		t.Fatal(err)
	}
	dir, o := t.TempDir(), startOrigin(t)
	var tag atomic.Value
	tag.Store(`"v1"`)
	modified := time.Now().Add(-time.Hour)
	o.on("/tagged.jpg", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("ETag", tag.Load().(string))
		http.ServeContent(w, r, "", time.Time{}, strings.NewReader(string(picture)))
	})
	o.on("/dated.jpg", func(w http.ResponseWriter, r *http.Request) {
		http.ServeContent(w, r, "", modified, strings.NewReader(string(picture)))
	})
	file := secretFile(t, dir, "files/a.jpg", string(picture))
	s := start(t, "GOLDCREST_CACHE_TTL=1s", "GOLDCREST_CACHE_REVALIDATE=1h",
		"GOLDCREST_ORIGIN_LOCAL=[{dir: "+filepath.Dir(file)+"}]")
	sources := []string{o.URL + "/tagged.jpg", o.URL + "/dated.jpg", "local:///a.jpg"}
	get := func() {
		for _, source := range sources {
			if a := s.get(signed("rs:fit:80:0/f:jpg", source)); a.StatusCode != 200 {
				t.Fatalf("%s: %d %s", source, a.StatusCode, a.body)
			}
		}
	}
	renewed := func() float64 { return s.metric("goldcrest_remakes_total", `outcome="renewed"`) }
	get()
	made := float64(len(sources))
	eventually(t, "they are counted", func() bool { return s.metric("goldcrest_transforms_total") == made })
	eventually(t, "each of them is renewed twice", func() bool {
		get()
		return renewed() >= float64(2*len(sources))
	})
	if n := s.metric("goldcrest_transforms_total"); n != made {
		t.Errorf("%v pictures were made of unchanged originals", n-made)
	}
	tag.Store(`"v2"`)
	eventually(t, "what has changed is made again", func() bool {
		get()
		return s.metric("goldcrest_transforms_total") > made
	})
}
