package e2e

import (
	"encoding/hex"
	"encoding/json"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
)

// boundKey signs for "shop", which may only use originals from 127.0.0.1. tenantToken is a token of that key.
var boundKey = []byte("a-key-for-one-host-0123456789abc")

const tenantToken = "e2e-tenant-token-00001"

// bound is a path signed with boundKey.
func bound(options, source string) string {
	_, path, _ := strings.Cut(signed(options, source)[1:], "/")
	return "/shop." + signWith(boundKey, "/"+path)[1:]
}

// redirects is an origin at 127.0.0.1, near. Each of its files redirects to 127.0.0.2, far, to a URL with a secret.
type redirects struct {
	near, far string
	asked     atomic.Int64        // requests at far
	onNear    func(*http.Request) // before it redirects
}

func startRedirects(t *testing.T) *redirects {
	t.Helper()
	picture, r := photo(t, "groceries.jpg"), &redirects{}
	l, err := net.Listen("tcp", "127.0.0.2:0")
	if err != nil {
		t.Skipf("127.0.0.2 is not an address of this machine: %v", err)
	}
	far := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		r.asked.Add(1)
		w.Write(picture)
	}))
	far.Listener.Close()
	far.Listener = l
	far.Start()
	t.Cleanup(far.Close)
	near := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		if r.onNear != nil {
			r.onNear(q)
		}
		http.Redirect(w, q, far.URL+"/inside"+q.URL.Path+"?signature=redirect-secret", http.StatusFound)
	}))
	t.Cleanup(near.Close)
	r.near, r.far = near.URL, far.URL
	return r
}

func startBounded(t *testing.T, dir string) *server {
	t.Helper()
	pair := "key: " + hex.EncodeToString(key) + ", salt: " + hex.EncodeToString(salt)
	shop := "id: shop, sources: [127.0.0.1], key: " + hex.EncodeToString(boundKey) + ", salt: " + hex.EncodeToString(salt)
	return startIn(t, dir, append(prewarmEnv,
		"GOLDCREST_SIGNING_KEYS=[{"+pair+"}, {"+shop+"}]",
		"GOLDCREST_API_TOKENS=[{name: backend, token: "+backendToken+", scopes: [prewarm, check, explain, admin]}, "+
			"{name: tenant, token: "+tenantToken+", scopes: [prewarm, check, explain], key: shop, sources: [127.0.0.1]}]")...)
}

// TestAttackRedirectBeyondAKey is attack 3.2: a source on a host that the key may use redirects to one that it may not.
// It is tested before and after another key's viewers have put the same variant into the cache. At every door the key
// gets the same as for a source on the forbidden host.
func TestAttackRedirectBeyondAKey(t *testing.T) {
	r, dir := startRedirects(t), t.TempDir()
	const options = "rs:fit:160:0/f:jpg" // The options of the preset that prewarm makes.
	source := r.near + "/a.jpg"
	s := startBounded(t, dir)
	s.get(bound(options, r.far+"/a.jpg")).want(t, "X-Error", "source_not_allowed")
	for range 8 { // More than a failing host may fail: its circuit stays closed.
		a := s.get(bound(options, source))
		a.want(t, "X-Error", "source_not_allowed")
		a.want(t, "Cache-Control", "max-age=60")
	}
	if n := r.asked.Load(); n != 0 {
		t.Errorf("cold: %d requests to the host beyond the key", n)
	}
	made := s.get(signed(options, source))
	if made.StatusCode != 200 || r.asked.Load() != 1 {
		t.Fatalf("without bounds: got %d %s after %d requests\n%s", made.StatusCode, made.body, r.asked.Load(), s.log)
	}
	s.refusesBounded("in memory", options, source, made)
	s.stop()
	s = startBounded(t, dir)
	s.refusesBounded("in the store", options, source, made) // Its first look-up loads it into memory.
	s.get(signed(options, source)).want(t, "Cache-Status", "goldcrest; hit; detail=memory")
	s.get(bound("rs:fit:90:0/f:jpg", source)).want(t, "X-Error", "source_not_allowed")
	s.keepsTenantWithin(options, source)
	if n := r.asked.Load(); n != 1 {
		t.Errorf("%d requests to the host beyond the key, want the one without bounds", n)
	}
	if log := s.log.String(); strings.Contains(log, "redirect-secret") {
		t.Errorf("the log tells the redirect's query:\n%s", log)
	}
}

// refusesBounded expects that a cached variant is refused to the bounded key's viewers for every kind of request.
func (s *server) refusesBounded(where, options, source string, made answer) {
	s.t.Helper()
	for _, headers := range [][]string{
		nil, {"If-None-Match", made.Header.Get("ETag")}, {"If-None-Match", "*"}, {"If-Modified-Since", made.Header.Get("Last-Modified")},
		{"If-Match", made.Header.Get("ETag")}, {"Range", "bytes=0-99"}, {"Cache-Control", "only-if-cached"}, {"Cache-Control", "no-cache"},
	} {
		for _, method := range []string{"GET", "HEAD"} {
			a := s.do(method, s.public+bound(options, source), headers...)
			if a.StatusCode != 403 || a.Header.Get("X-Error") != "source_not_allowed" || a.Header.Get("ETag") != "" {
				s.t.Errorf("%s: %s with %v: got %d %s, ETag %q", where, method, headers, a.StatusCode, a.Header.Get("X-Error"), a.Header.Get("ETag"))
			}
		}
	}
}

// keepsTenantWithin expects that the private listener refuses the key's token, and tells others that the key's viewers
// are refused.
func (s *server) keepsTenantWithin(options, source string) {
	s.t.Helper()
	tenant := []string{"Authorization", "Bearer " + tenantToken}
	for _, path := range []string{signed(options, source), bound(options, source), bound(options, source) + "?run=1"} {
		s.call("GET", "/v1/explain"+path, "", tenant...).want(s.t, "X-Error", "source_not_allowed")
	}
	var e struct {
		Refused string
		Stored  struct{ Attrs map[string]string }
	}
	a := s.call("GET", "/v1/explain"+bound(options, source), "")
	if err := json.Unmarshal(a.body, &e); err != nil || e.Refused != "source_not_allowed" || e.Stored.Attrs["via"] != "127.0.0.2" {
		s.t.Errorf("explain: %d %v %+v", a.StatusCode, err, e)
	}
	check := func(want string, headers ...string) {
		s.t.Helper()
		a := s.call("POST", "/v1/check", `{"urls":["`+source+`"]}`, headers...)
		var got struct{ Checked []verdict }
		if err := json.Unmarshal(a.body, &got); err != nil || len(got.Checked) != 1 || strings.TrimSpace(got.Checked[0].State+" "+got.Checked[0].Reason) != want {
			s.t.Errorf("check: %d %v %s, want %s", a.StatusCode, err, a.body, want)
		}
	}
	check("broken source_not_allowed", tenant...)
	var ordered accepted
	a = s.call("POST", "/v1/prewarm", `{"urls":["`+source+`"]}`, append(tenant, "Prefer", "wait=20")...)
	if err := json.Unmarshal(a.body, &ordered); err != nil || len(ordered.Units) != 1 {
		s.t.Fatalf("prewarm: %d %v %s", a.StatusCode, err, a.body)
	}
	if img := ordered.Units[0].Images[0]; img.State != "broken" || img.Reason != "source_not_allowed" {
		s.t.Errorf("prewarm: %+v", img)
	}
	check("present") // The tenant's verdict does not apply to others.
}

// TestAttackRedirectsTogether requests the same uncached variant with both keys at the same time. Each key has a
// separate fetch, and gets the same as alone.
func TestAttackRedirectsTogether(t *testing.T) {
	r := startRedirects(t)
	both, arrived := make(chan struct{}), atomic.Int64{}
	r.onNear = func(q *http.Request) { // Each waits until the other is there.
		if arrived.Add(1) == 2 {
			close(both)
		}
		select {
		case <-both:
		case <-q.Context().Done():
		}
	}
	s := startBounded(t, t.TempDir())
	const options = "rs:fit:160:0/f:jpg"
	codes := make(chan string, 1)
	go func() {
		a, err := request("GET", s.public+bound(options, r.near+"/a.jpg"))
		if err != nil {
			codes <- err.Error()
			return
		}
		codes <- a.Header.Get("X-Error")
	}()
	if a := s.get(signed(options, r.near+"/a.jpg")); a.StatusCode != 200 {
		t.Errorf("without bounds: got %d %s", a.StatusCode, a.body)
	}
	if code := <-codes; code != "source_not_allowed" || r.asked.Load() != 1 {
		t.Errorf("within bounds: %s; %d requests to the host beyond", code, r.asked.Load())
	}
}
