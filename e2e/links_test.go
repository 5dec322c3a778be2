package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"image"
	"image/color"
	"image/jpeg"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// linksEnv makes the server use opaque sources for links that expire.
var linksEnv = append([]string{
	"GOLDCREST_LINKS_KEYS=[{key: e2e-links-key-0123456789abcdef-0001}]", "GOLDCREST_ORIGIN_CANONICAL=[X-Amz-*]",
	"GOLDCREST_LOG_LEVEL=debug",
}, prewarmEnv...)

// vault is an origin that serves its pictures only for links of the current day.
type vault struct {
	*origin
	mu    sync.Mutex
	day   int
	scale int // the pictures are 64 x 48 times this
}

func startVault(t *testing.T, pictures int) *vault {
	t.Helper()
	v := &vault{origin: startOrigin(t), day: 1, scale: 1}
	for i := range pictures {
		v.on(fmt.Sprintf("/private/%d.jpg", i), func(w http.ResponseWriter, r *http.Request) {
			v.mu.Lock()
			want, width, height := fmt.Sprintf("secret-of-day-%d", v.day), 64*v.scale, 48*v.scale
			v.mu.Unlock()
			if r.URL.Query().Get("X-Amz-Signature") != want {
				w.WriteHeader(http.StatusForbidden)
				return
			}
			m := image.NewRGBA(image.Rect(0, 0, width, height))
			for n := range width * height {
				m.Set(n%width, n/width, color.RGBA{uint8(n + i), uint8(n / width * 5), uint8(i * 3), 255})
			}
			w.Header().Set("Content-Type", "image/jpeg")
			_ = jpeg.Encode(w, m, &jpeg.Options{Quality: 95})
		})
	}
	return v
}

// pass begins another day: earlier links expire.
func (v *vault) pass() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.day++
}

// link is a link of the current day to a picture.
func (v *vault) link(i int) string {
	v.mu.Lock()
	defer v.mu.Unlock()
	return fmt.Sprintf("%s/private/%d.jpg?X-Amz-Date=%d&X-Amz-Signature=secret-of-day-%d", v.URL, i, v.day, v.day)
}

// units are Data Units with links of the current day, to the pictures from..to-1.
func (v *vault) units(from, to int) string {
	var b strings.Builder
	for i := from; i < to; i++ {
		fmt.Fprintf(&b, `{"id":"du-%d","photo":"%s"}`+"\n", i, v.link(i))
	}
	return b.String()
}

// leak matches text that only links contain.
var leak = regexp.MustCompile(`secret-of-day|X-Amz-Signature`)

// told collects every byte that servers sent.
type told struct {
	t   *testing.T
	all bytes.Buffer
}

func (k *told) call(s *server, method, path, body string, headers ...string) answer {
	k.t.Helper()
	a := s.call(method, path, body, headers...)
	fmt.Fprintf(&k.all, "%s %s: %v %s\n", method, path, a.Header, a.body)
	return a
}

// post posts units and returns the signed URL of each.
func (k *told) post(s *server, body string) (a accepted, urls []string) {
	k.t.Helper()
	res := k.call(s, "POST", "/v1/prewarm", body, "Content-Type", "application/x-ndjson")
	if err := json.Unmarshal(res.body, &a); err != nil || res.StatusCode/100 != 2 {
		k.t.Fatalf("%d, %v: %.500s\n%s", res.StatusCode, err, res.body, s.log)
	}
	for _, u := range a.Units {
		urls = append(urls, urlPath(k.t, u.Images[0].Variants[0].URL))
	}
	return a, urls
}

// none fails if a link is in a response, in the log, or in the content or name of a file below dirs.
func (k *told) none(dirs []string, servers ...*server) {
	k.t.Helper()
	look := func(where string, text []byte) {
		if at := leak.FindIndex(text); at != nil {
			k.t.Errorf("a link stands in %s: ...%.200q", where, text[max(at[0]-100, 0):])
		}
	}
	look("an answer", k.all.Bytes())
	for _, s := range servers {
		look("the log", []byte(s.log.String()))
	}
	files := 0
	for _, dir := range dirs {
		_ = filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
			if err == nil && d.Type().IsRegular() {
				text, err := os.ReadFile(path)
				if err == nil {
					files++
					look(path, append([]byte(path), text...))
				}
			}
			return nil
		})
	}
	if files < 3 {
		k.t.Errorf("only %d files were looked at", files)
	}
}

// again is the URL path for another width of the picture of a URL.
func again(t *testing.T, url string, width int) string {
	t.Helper()
	_, id, ok := strings.Cut(url, "/ref/")
	if !ok || !regexp.MustCompile(`^[0-9a-f]{32}$`).MatchString(id) {
		t.Fatalf("%s holds no id", url)
	}
	return sign(fmt.Sprintf("/w:%d/f:jpg/ref/%s", width, id))
}

// Units are posted, and posted again with new links to the same pictures. Nothing is fetched or encoded, and all URLs
// stay the same. A later fetch uses the newest link. No link is sent, logged or readable in the store.
func TestLinksThatExpire(t *testing.T) {
	n := 100
	if text := os.Getenv("E2E_LINK_UNITS"); text != "" {
		n, _ = strconv.Atoi(text)
	}
	v, dir, k := startVault(t, n+1), t.TempDir(), &told{t: t}
	s := startIn(t, dir, linksEnv...)
	a, first := k.post(s, v.units(0, n))
	if j := s.ended(a.Job); j.State != "done" || j.Counts["made"] != n || v.total() != n {
		t.Fatalf("%+v after %d fetches\n%s", j, v.total(), s.log)
	}
	made := s.metric("goldcrest_transforms_total")

	v.pass()
	began := time.Now()
	b, second := k.post(s, v.units(0, n))
	t.Logf("%d units with new links were accepted in %v", n, time.Since(began).Round(time.Millisecond))
	if b.State != "done" || b.Counts["present"] != n || !slices.Equal(first, second) || len(second) != n {
		t.Errorf("posted again: %s %v, %d URLs, of the first %q", b.State, b.Counts, len(second), second[:1])
	}
	if got := s.get(second[0]); got.StatusCode != 200 || !strings.Contains(got.Header.Get("Cache-Status"), "; hit") {
		t.Errorf("%d %s", got.StatusCode, got.Header.Get("Cache-Status"))
	}
	if v.total() != n || s.metric("goldcrest_transforms_total") != made {
		t.Errorf("%d fetches and %v more encodes", v.total()-n, s.metric("goldcrest_transforms_total")-made)
	}

	// Another size needs the original: it is fetched with the newest link, also after a restart, and not with an
	// expired one.
	if got := s.get(again(t, first[1], 31)); got.StatusCode != 200 {
		t.Errorf("another size: %d %s", got.StatusCode, got.body)
	}
	s.stop()
	s = startIn(t, dir, linksEnv...)
	if got := s.get(again(t, first[2], 31)); got.StatusCode != 200 {
		t.Errorf("another size after a restart: %d %s", got.StatusCode, got.body)
	}
	old := v.units(n, n+1)
	v.pass()
	if got := s.get(again(t, first[3], 31)); got.StatusCode != 502 || got.Header.Get("X-Error") != "source_forbidden" {
		t.Errorf("with a link that has expired: %d %s", got.StatusCode, got.body)
	}
	c, _ := k.post(s, old)
	if j := s.ended(c.Job); j.Counts["broken"] != 1 {
		t.Errorf("a unit whose link has expired: %+v", j)
	}
	k.call(s, "GET", "/v1/broken", "")
	k.call(s, "GET", "/v1/jobs/"+c.Job+"/results", "")
	d, _ := k.post(s, v.units(3, 4)+v.units(n, n+1))
	if j := s.ended(d.Job); j.State != "done" || j.Counts["made"] != 1 || j.Counts["present"] != 1 {
		t.Errorf("posted with fresh links: %+v", j)
	}
	if got := s.get(again(t, first[3], 31)); got.StatusCode != 200 {
		t.Errorf("with a fresh link: %d %s", got.StatusCode, got.body)
	}

	k.doors(s, v, first[4])
	k.none([]string{dir}, s)
}

// doors requests a picture of a known URL at all other doors.
func (k *told) doors(s *server, v *vault, url string) {
	k.t.Helper()
	var signed struct {
		URLs []struct{ Source, URL string }
	}
	res := k.call(s, "POST", "/v1/sign", fmt.Sprintf(`{"source":%q,"preset":"small"}`, v.link(4)))
	err := json.Unmarshal(res.body, &signed)
	if err != nil || len(signed.URLs) != 1 || urlPath(k.t, signed.URLs[0].URL) != url {
		k.t.Errorf("sign: %v %s, want %s", err, res.body, url)
	}
	got := k.call(s, "POST", "/v1/check", fmt.Sprintf(`{"urls":[%q]}`, v.link(4)))
	if !bytes.Contains(got.body, []byte(`"present"`)) {
		k.t.Errorf("check: %s", got.body)
	}
	if got := k.call(s, "GET", "/v1/explain"+url+"?run=1", ""); got.StatusCode != 200 {
		k.t.Errorf("explain: %d %s", got.StatusCode, got.body)
	}
	k.call(s, "GET", "/v1/stats", "")
	k.call(s, "GET", "/v1/config", "")
	if got := k.call(s, "POST", "/v1/purge", fmt.Sprintf(`{"source":%q}`, v.link(4))); got.StatusCode != 200 {
		k.t.Errorf("purge: %d %s", got.StatusCode, got.body)
	}
	if got := s.get(url, "Cache-Control", "only-if-cached"); got.StatusCode != 504 {
		k.t.Errorf("after the purge of a link: %d", got.StatusCode)
	}
	if got := s.get(url); got.StatusCode != 200 {
		k.t.Errorf("made again after the purge: %d %s", got.StatusCode, got.body)
	}
	fmt.Fprintf(&k.all, "%s\n", s.do("GET", s.admin+"/metrics").body)
}

// Instances share links through the bucket: one fetches with a link that was posted to another.
func TestLinksInABucket(t *testing.T) {
	bucket, v, k := startS3(t), startVault(t, 2), &told{t: t}
	env := append(bucket.env(), linksEnv...)
	one, two := start(t, env...), start(t, env...)
	a, urls := k.post(one, v.units(0, 2))
	if j := one.ended(a.Job); j.State != "done" {
		t.Fatalf("%+v\n%s", j, one.log)
	}
	v.pass()
	k.post(two, v.units(0, 2))
	for i, s := range []*server{one, two} {
		if got := s.get(again(t, urls[i], 31)); got.StatusCode != 200 {
			t.Errorf("%d %s", got.StatusCode, got.body)
		}
	}
	k.none([]string{bucket.dir, one.dir, two.dir}, one, two)
}

// If all links to a picture have expired, other sizes are made from its master, also after a restart. For a size that
// needs more than the master, the error says that the link has expired.
func TestLinksThatExpiredAreServedFromTheMaster(t *testing.T) {
	v, dir, k := startVault(t, 1), t.TempDir(), &told{t: t}
	v.scale = 24
	env := append([]string{"GOLDCREST_CACHE_MASTERS=1024"}, linksEnv...)
	s := startIn(t, dir, env...)
	a, urls := k.post(s, v.units(0, 1))
	if j := s.ended(a.Job); j.State != "done" || j.Counts["made"] != 1 {
		t.Fatalf("%+v\n%s", j, s.log)
	}
	s.mastered(t, 1)
	v.pass()
	for i, width := range []int{320, 321} {
		if i == 1 {
			s.stop()
			s = startIn(t, dir, env...)
		}
		got := s.get(again(t, urls[0], width))
		got.want(t, "Cache-Status", "goldcrest; fwd=miss; detail=master")
		if cfg, err := jpeg.DecodeConfig(bytes.NewReader(got.body)); got.StatusCode != 200 || err != nil || cfg.Width != width {
			t.Errorf("width %d: %d, %d pixels wide, %v", width, got.StatusCode, cfg.Width, err)
		}
	}
	if v.total() != 1 {
		t.Errorf("%d fetches, want the one with the link that worked", v.total())
	}
	if got := s.get(again(t, urls[0], 1500)); got.StatusCode != 502 || got.Header.Get("X-Error") != "source_forbidden" {
		t.Errorf("a size that the master is too small for: %d %s", got.StatusCode, got.body)
	}
	k.none([]string{dir}, s)
}
