package e2e

import (
	"bytes"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// masterEnv makes the server keep masters, and treat re-signed links to one original as one source.
var masterEnv = append([]string{"GOLDCREST_CACHE_MASTERS=2048", "GOLDCREST_ORIGIN_CANONICAL=[X-Amz-*]"}, prewarmEnv...)

// mastered waits until n masters have been made.
func (s *server) mastered(t *testing.T, n float64) {
	t.Helper()
	eventually(t, "the master is stored", func() bool { return s.metric("goldcrest_masters_total", `outcome="made"`) == n })
}

// One fetch serves every width that is requested later, until a purge: also by other links to the same original, after
// a restart, and when the original is gone. Widths that need more pixels than the master has cause a fetch.
func TestMasters(t *testing.T) {
	corpus(t)
	o, dir := startOrigin(t), t.TempDir()
	const path = "/photos/dog-12mp-exif6-icc-xmp.jpg"
	source := o.URL + path + "?X-Amz-Signature="
	variant := func(options, signature string) string { return signed(options, source+signature) }
	s := startIn(t, dir, masterEnv...)
	first := s.get(variant("rs:fit:800:0/f:webp", "a"))
	first.want(t, "Cache-Status", "goldcrest; fwd=miss")
	s.mastered(t, 1)

	second := s.get(variant("rs:fit:480:0/f:webp", "a"))
	second.want(t, "Cache-Status", "goldcrest; fwd=miss; detail=master")
	if timing := second.Header.Get("Server-Timing"); strings.Contains(timing, "fetch;") || !strings.Contains(timing, "transform;") {
		t.Errorf("Server-Timing of a variant from the master: %q", timing)
	}
	s.get(variant("rs:fit:480:0/f:webp", "b")).want(t, "Cache-Status", "goldcrest; hit; detail=memory")
	s.get(variant("rs:fill:300:300/f:jpg", "c")).want(t, "Cache-Status", "goldcrest; fwd=miss; detail=master")
	explained := s.call("GET", "/v1/explain"+variant("rs:fill:300:300/f:jpg", "c"), "")
	if !strings.Contains(string(explained.body), "from the master") {
		t.Errorf("explain does not tell of the master: %s", explained.body)
	}
	if got := o.count(path); got != 1 {
		t.Errorf("got %d fetches, want 1", got)
	}
	large := s.get(variant("rs:fit:2400:0/f:jpg/q:60", "a"))
	large.want(t, "Cache-Status", "goldcrest; fwd=miss")
	if got := o.count(path); got != 2 {
		t.Errorf("got %d fetches with one that the master is too small for, want 2", got)
	}
	s.stop()

	o.on(path, http.NotFound)
	again := startIn(t, dir, masterEnv...)
	again.get(variant("rs:fit:320:0/f:webp", "d")).want(t, "Cache-Status", "goldcrest; fwd=miss; detail=master")
	if a := again.get(variant("rs:fit:2500:0/f:jpg/q:60", "d")); a.StatusCode != 404 {
		t.Errorf("what needs the original that is gone: got %d", a.StatusCode)
	}
	if got := o.count(path); got != 3 {
		t.Errorf("got %d fetches, want 3", got)
	}
	if a := again.call("POST", "/v1/purge", `{"source":"`+source+`e"}`); a.StatusCode != 200 {
		t.Fatalf("purge: got %d: %s", a.StatusCode, a.body)
	}
	if a := again.get(variant("rs:fit:321:0/f:webp", "d")); a.StatusCode != 404 {
		t.Errorf("after the purge: got %d %s", a.StatusCode, a.Header.Get("Cache-Status"))
	}
}

// A master contains no metadata of the original: neither location nor camera.
func TestMasterHasNoMetadata(t *testing.T) {
	corpus(t)
	o, dir := startOrigin(t), t.TempDir()
	s := startIn(t, dir, masterEnv...)
	for n, name := range []string{"dog-12mp-exif6-icc-xmp.jpg", "exif-portrait-1.jpg"} {
		if a := s.get(signed("rs:fit:300:0/f:webp", o.URL+"/photos/"+name)); a.StatusCode != 200 {
			t.Fatalf("%s: got %d", name, a.StatusCode)
		}
		s.mastered(t, float64(n+1))
	}
	found := 0
	err := filepath.WalkDir(dir, func(file string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.Contains(d.Name(), "master") {
			return err
		}
		found++
		body, err := os.ReadFile(file)
		for _, trace := range []string{"Exif", "ICC_PROFILE", "http://ns.adobe.com", "photoshop"} {
			if bytes.Contains(body, []byte(trace)) {
				t.Errorf("%s holds %q", file, trace)
			}
		}
		return err
	})
	if err != nil || found != 2 {
		t.Errorf("found %d masters in the store, want 2 (%v)", found, err)
	}
}

// A second batch of Data Units with other variants of the same pictures fetches nothing.
func TestPrewarmFromMasters(t *testing.T) {
	corpus(t)
	o := startOrigin(t)
	s := start(t, masterEnv...)
	body := `{"id":"du-1","images":["` + o.URL + `/photos/dog-12mp-exif6-icc-xmp.jpg","` + o.URL + `/photos/product-saw.jpg"]}`
	call := func(variants string) {
		t.Helper()
		a := s.prewarm("?return=none", `{"variants":[`+variants+`],"data_units":[`+body+`]}`)
		if j := s.ended(a.Job); j.State != "done" || j.Counts["made"] == 0 {
			t.Fatalf("job %+v", j)
		}
	}
	call(`{"name":"a","options":"rs:fit:720:0/f:webp"},{"name":"b","options":"rs:fit:360:0/f:jpg"}`)
	if got := o.total(); got != 2 {
		t.Fatalf("got %d fetches for the first batch, want 2", got)
	}
	s.mastered(t, 2)
	call(`{"name":"c","options":"rs:fit:640:0/f:webp"},{"name":"d","options":"rs:fill:200:200/f:avif"}`)
	if got := o.total(); got != 2 {
		t.Errorf("got %d fetches with the second batch, want 2", got)
	}
	if got := s.metric("goldcrest_masters_total", `outcome="used"`); got != 4 {
		t.Errorf("got %v variants from masters, want 4", got)
	}
}
