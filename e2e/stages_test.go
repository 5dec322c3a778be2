package e2e

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
)

// The lifetimes of a variant that a better one will replace, and of a final one.
const (
	shortLife = "public, max-age=300, stale-while-revalidate=3600, stale-if-error=86400"
	longLife  = "public, max-age=2592000, stale-while-revalidate=3600, stale-if-error=86400, immutable"
)

// upgraded is the number of upgrades that ended with a final entry.
func (s *server) upgraded() float64 {
	return s.metric("goldcrest_upgrades_total", `outcome="made"`) + s.metric("goldcrest_upgrades_total", `outcome="kept"`)
}

// A cold AVIF is made by the fast encoder and has a short lifetime. After another hit it is replaced, once, by one that
// is not larger.
func TestTwoStages(t *testing.T) {
	corpus(t)
	o, dir := startOrigin(t), t.TempDir()
	s := startIn(t, dir)
	path := signed("rs:fit:800:0", o.URL+"/photos/groceries.jpg")
	cold := s.get(path, "Accept", chrome)
	cold.want(t, "Content-Type", "image/avif")
	cold.want(t, "Cache-Control", shortLife)
	if n := s.metric("goldcrest_upgrades_total"); n != 0 {
		t.Errorf("got %v upgrades before anybody asked again", n)
	}
	again := s.get(path, "Accept", chrome)
	again.want(t, "Cache-Status", "goldcrest; hit; detail=memory")
	again.want(t, "ETag", cold.Header.Get("ETag"))
	again.want(t, "Cache-Control", shortLife)
	eventually(t, "the entry is upgraded", func() bool { return s.upgraded() == 1 })

	final := s.get(path, "Accept", chrome)
	final.want(t, "Cache-Control", longLife)
	final.want(t, "Cache-Status", "goldcrest; hit; detail=memory")
	if len(final.body) >= len(cold.body) || final.Header.Get("ETag") == cold.Header.Get("ETag") {
		t.Errorf("got %d bytes after %d, ETag %s after %s", len(final.body), len(cold.body), final.Header.Get("ETag"), cold.Header.Get("ETag"))
	}
	for range 5 { // Also through the fast path, and to clients that hold the first stage.
		if a := s.get(path, "Accept", chrome, "If-None-Match", cold.Header.Get("ETag")); a.StatusCode != 200 || !bytes.Equal(a.body, final.body) {
			t.Errorf("the old ETag: got %d with %d bytes", a.StatusCode, len(a.body))
		}
		if a := s.get(path, "Accept", chrome, "If-Modified-Since", cold.Header.Get("Last-Modified")); a.StatusCode != 200 {
			t.Errorf("the old Last-Modified: got %d", a.StatusCode)
		}
	}
	if a := s.get(path, "Accept", chrome, "If-None-Match", final.Header.Get("ETag")); a.StatusCode != 304 {
		t.Errorf("the new ETag: got %d", a.StatusCode)
	}
	if a := s.get(path, "Accept", chrome, "Range", "bytes=0-9", "If-Range", cold.Header.Get("ETag")); a.StatusCode != 200 || !bytes.Equal(a.body, final.body) {
		t.Errorf("a range of the first stage: got %d with %d bytes", a.StatusCode, len(a.body))
	}
	if a := s.get(path, "Accept", chrome, "Range", "bytes=0-9", "If-Range", final.Header.Get("ETag")); a.StatusCode != 206 || !bytes.Equal(a.body, final.body[:10]) {
		t.Errorf("a range of the final stage: got %d with %d bytes", a.StatusCode, len(a.body))
	}
	eventually(t, "two transforms are counted", func() bool { return s.metric("goldcrest_transforms_total") == 2 })
	if fetched := o.total(); fetched != 2 {
		t.Errorf("got %d fetches, want 2", fetched)
	}
	s.stop()

	stored := startIn(t, dir)
	a := stored.get(path, "Accept", chrome)
	a.want(t, "Cache-Status", "goldcrest; hit; detail=store")
	a.want(t, "Cache-Control", longLife)
	if !bytes.Equal(a.body, final.body) {
		t.Error("the store has other bytes than memory had")
	}
}

// A client that only revalidates gets the upgrade as well.
func TestTwoStagesByRevalidation(t *testing.T) {
	corpus(t)
	o := startOrigin(t)
	s := start(t)
	path := signed("w:400/f:avif", o.URL+"/photos/groceries.jpg")
	cold := s.get(path)
	if a := s.get(path, "If-None-Match", cold.Header.Get("ETag")); a.StatusCode != 304 || a.Header.Get("Cache-Control") != shortLife {
		t.Errorf("got %d, %s", a.StatusCode, a.Header.Get("Cache-Control"))
	}
	eventually(t, "the entry is upgraded", func() bool { return s.upgraded() == 1 })
}

// Clients of other formats get the final stage at once, for any number of requests.
func TestOneStageForOtherFormats(t *testing.T) {
	corpus(t)
	o := startOrigin(t)
	s := start(t)
	path := signed("rs:fit:400:0", o.URL+"/photos/groceries.jpg")
	for _, accept := range []string{"image/webp,*/*", "*/*"} {
		tag := ""
		for range 4 {
			a := s.get(path, "Accept", accept)
			a.want(t, "Cache-Control", longLife)
			if got := a.Header.Get("ETag"); tag != "" && got != tag {
				t.Errorf("%s: got ETag %s after %s", accept, got, tag)
			} else {
				tag = got
			}
		}
	}
	eventually(t, "two transforms are counted", func() bool { return s.metric("goldcrest_transforms_total") == 2 }) // They are counted after their responses.
	if got := s.metric("goldcrest_upgrades_total"); got != 0 {
		t.Errorf("got %v upgrades, want none", got)
	}
}

// Prewarmed variants are final at once, with the same bytes as after an upgrade. A first-stage variant that a job finds
// is reported as present, and upgraded.
func TestPrewarmMakesTheFinalStage(t *testing.T) {
	corpus(t)
	o := startOrigin(t)
	s := start(t, append(prewarmEnv, "GOLDCREST_PREWARM_PRESETS=[std]", "GOLDCREST_PREWARM_FORMATS=[avif]")...)
	unit := func(photo string) job {
		t.Helper()
		a := s.prewarm("", fmt.Sprintf(`{"id":%q,"images":[%q]}`, photo, o.URL+"/photos/"+photo), "Prefer", "wait=60")
		return s.ended(a.Job)
	}
	if j := unit("groceries.jpg"); j.State != "done" || j.Counts["made"] != 1 {
		t.Fatalf("got %+v", j)
	}
	path := signed("pr:std", o.URL+"/photos/groceries.jpg")
	a := s.get(path, "Accept", chrome)
	a.want(t, "Cache-Control", longLife)
	if status := a.Header.Get("Cache-Status"); !strings.HasPrefix(status, "goldcrest; hit") {
		t.Errorf("got %s", status)
	}
	if n := s.metric("goldcrest_upgrades_total"); n != 0 || o.total() != 1 {
		t.Errorf("got %v upgrades and %d fetches", n, o.total())
	}

	cold := s.get(signed("pr:std", o.URL+"/photos/truck-street.jpg"), "Accept", chrome)
	cold.want(t, "Cache-Control", shortLife)
	eventually(t, "it is stored", func() bool { return s.metric("goldcrest_fills_in_flight") == 0 })
	if j := unit("truck-street.jpg"); j.State != "done" || j.Counts["present"] != 1 {
		t.Errorf("got %+v", j)
	}
	eventually(t, "the entry is upgraded", func() bool { return s.upgraded() == 1 })
	s.get(signed("pr:std", o.URL+"/photos/truck-street.jpg"), "Accept", chrome).want(t, "Cache-Control", longLife)
}

// A picture that is requested often becomes smaller once more, and stays so, in the store too. The configured price of
// bytes is high here, so that a few views suffice.
func TestHotPicturesBecomeLighter(t *testing.T) {
	corpus(t)
	o, dir := startOrigin(t), t.TempDir()
	s := startIn(t, dir, append(prewarmEnv, "GOLDCREST_QUALITY_PRICE_GB=0.4")...)
	path := signed("rs:fit:400:0", o.URL+"/photos/groceries.jpg")
	get := func() answer { return s.get(path, "Accept", chrome) }
	get()
	get()
	eventually(t, "the entry is upgraded", func() bool { return s.upgraded() == 1 })
	final := get()
	explained := func(want string) bool {
		return strings.Contains(string(s.call("GET", "/v1/explain"+path, "", "Accept", chrome).body), want)
	}
	eventually(t, "explain tells of the view", func() bool { return explained(`"stage":"final","views":1,"needed":`) })
	eventually(t, "the slower encoder made it", func() bool {
		get()
		return s.metric("goldcrest_hot_total", `outcome="made"`) == 1
	})
	hot := get()
	if hot.Header.Get("ETag") == final.Header.Get("ETag") || len(hot.body) >= len(final.body) {
		t.Fatalf("%d bytes after %d", len(hot.body), len(final.body))
	}
	hot.want(t, "Cache-Control", longLife)
	for range 50 {
		if a := get(); !bytes.Equal(a.body, hot.body) {
			t.Fatalf("%d bytes after %d", len(a.body), len(hot.body))
		}
	}
	if n := s.metric("goldcrest_hot_total", `outcome="queued"`); n != 1 {
		t.Errorf("it was queued %v times", n)
	}
	if n := s.metric("goldcrest_hot_spared_bytes_total"); int(n) != len(final.body)-len(hot.body) {
		t.Errorf("%v bytes spared, want %d", n, len(final.body)-len(hot.body))
	}
	if !explained(`"stage":"hot"`) {
		t.Error("explain does not tell that it is hot")
	}
	s.stop()
	if a := startIn(t, dir, prewarmEnv...).get(path, "Accept", chrome); !bytes.Equal(a.body, hot.body) {
		t.Error("the store has other bytes than memory had")
	}
}

// With quality.hot off, no number of views has this effect.
func TestHotEncodesAreOffByConfiguration(t *testing.T) {
	corpus(t)
	o := startOrigin(t)
	s := start(t, "GOLDCREST_QUALITY_HOT=off", "GOLDCREST_QUALITY_PRICE_CPU_HOUR=0")
	path := signed("rs:fit:400:0", o.URL+"/photos/groceries.jpg")
	s.get(path, "Accept", chrome)
	s.get(path, "Accept", chrome)
	eventually(t, "the entry is upgraded", func() bool { return s.upgraded() == 1 })
	final := s.get(path, "Accept", chrome)
	for range 50 {
		if a := s.get(path, "Accept", chrome); !bytes.Equal(a.body, final.body) {
			t.Fatalf("%d bytes after %d", len(a.body), len(final.body))
		}
	}
	if n := s.metric("goldcrest_hot_total", `outcome="queued"`); n != 0 {
		t.Errorf("it was queued %v times", n)
	}
}
