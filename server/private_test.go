package server

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/goldcrest/goldcrest/fault"
	"github.com/goldcrest/goldcrest/pipeline"
	"github.com/goldcrest/goldcrest/server/access"
	"github.com/goldcrest/goldcrest/server/api"
	"github.com/goldcrest/goldcrest/signing"
	"github.com/goldcrest/goldcrest/variant"
)

const bearer = "Authorization: Bearer " + testToken

func TestPublicDoorHasNoControlSurface(t *testing.T) {
	f := newFixture(t, func(c *Config, _ *access.Rules) { c.PProf = true })
	for _, path := range []string{
		"/healthz", "/readyz", "/metrics", "/v1/sign", "/v1/explain/x", "/debug/pprof/", "/console/",
	} {
		if w := f.do("GET", path, bearer); w.Code != 403 || code(t, w) != fault.BadSignature {
			t.Errorf("%s: status %d", path, w.Code)
		}
	}
	for _, method := range []string{"GET", "HEAD"} {
		w := f.do(method, "/health")
		if w.Code != 200 || w.Body.Len() != 0 {
			t.Errorf("%s /health: status %d, %d bytes", method, w.Code, w.Body.Len())
		}
		header(t, w, "Cache-Control", "no-store")
	}
}

func TestPrivateHealth(t *testing.T) {
	f := newFixtureWith(t, nil, func(d *Deps) {
		d.About = func() map[string]string {
			return map[string]string{"sandbox": "Landlock 7", "quality": "as expected"}
		}
		d.Overview = &api.Overview{Version: "v1.2.3"}
	})
	w := f.private("GET", "/healthz", "")
	for _, want := range []string{`"sandbox":"Landlock 7"`, `"quality":"as expected"`, `"version":"v1.2.3"`} {
		if !strings.Contains(w.Body.String(), want) {
			t.Errorf("/healthz: %s, want %s", w.Body, want)
		}
	}
	for _, path := range []string{"/healthz", "/readyz", "/metrics"} {
		if w := f.private("GET", path, ""); w.Code != 200 || w.Body.Len() == 0 {
			t.Errorf("%s: status %d", path, w.Code)
		}
		if w := f.private("HEAD", path, ""); w.Code != 200 {
			t.Errorf("HEAD %s: status %d", path, w.Code)
		}
	}
	f.deps.Check = func(context.Context) error { return errors.New("no worker") }
	w = f.private("GET", "/healthz", "")
	if w.Code != 503 || code(t, w) != fault.Overloaded {
		t.Errorf("without workers: status %d", w.Code)
	}
	header(t, w, "Cache-Control", "no-store")
	if w := f.private("GET", "/nothing", ""); w.Code != 404 || code(t, w) != fault.NotFound {
		t.Errorf("/nothing: status %d", w.Code)
	}
	if w := f.private("POST", "/healthz", ""); w.Code != 405 || code(t, w) != fault.MethodNotAllowed {
		t.Errorf("POST /healthz: status %d", w.Code)
	}
}

func TestMetricsCountRequests(t *testing.T) {
	f := newFixture(t, nil)
	f.do("GET", f.url("f:webp", photo))
	f.do("GET", "/broken")
	body := f.private("GET", "/metrics", "").Body.String()
	for _, want := range []string{
		`goldcrest_requests_total{door="public",outcome="hit",status="200",tier="memory"} 1`,
		`goldcrest_errors_total{kind="bad_signature"} 1`,
		`goldcrest_replaced_bytes_total{format="webp"} 5000`,
	} {
		if !strings.Contains(body, want) {
			t.Errorf("no %s", want)
		}
	}
}

func TestHostCheckAgainstRebinding(t *testing.T) {
	f := newFixture(t, func(c *Config, _ *access.Rules) { c.AdminHosts, c.Admin = []string{"Ops.example"}, "10.1.2.3:8081" })
	for host, want := range map[string]int{
		"localhost": 200, "LOCALHOST:8081": 200, "127.0.0.1:8081": 200, "127.9.9.9": 200, "[::1]:8081": 200, "[::1]": 200, "ops.example:8081": 200,
		"10.1.2.3:8081": 200, "a.localhost": 200,
		"evil.example": 403, "localhost.evil.example": 403, "10.9.9.9": 403, "": 403, "0.0.0.0": 403, "2130706433": 403, "127.1": 403, "ops.example.evil": 403,
	} {
		w := f.private("GET", "/healthz", "", "Host: "+host)
		if w.Code != want {
			t.Errorf("%q: status %d, want %d", host, w.Code, want)
		}
	}
	r := httptest.NewRequest("GET", "/healthz", nil)
	r.Host = "10.9.9.9:8081"
	local := &net.TCPAddr{IP: net.IPv4(10, 9, 9, 9), Port: 8081}
	w := httptest.NewRecorder()
	f.Private().ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), http.LocalAddrContextKey, local)))
	if w.Code != 200 {
		t.Errorf("the connection's own address: status %d", w.Code)
	}
}

func TestTokensAndScopes(t *testing.T) {
	f := newFixture(t, func(c *Config, _ *access.Rules) { c.PProf = true })
	for _, tc := range []struct {
		name, header string
		status       int
		code         fault.Kind
	}{
		{"none", "X-None: x", 401, fault.Unauthorized},
		{"wrong", "Authorization: Bearer nonsense", 401, fault.Unauthorized},
		{"empty", "Authorization: Bearer ", 401, fault.Unauthorized},
		{"a prefix", "Authorization: Bearer " + testToken[:10], 401, fault.Unauthorized},
		{"another scheme", "Authorization: Basic " + testToken, 401, fault.Unauthorized},
		{"without the scope", "Authorization: Bearer a-token-that-may-only-check", 403, fault.ForbiddenScope},
		{"good", bearer, 200, ""},
	} {
		for _, path := range []string{"/debug/pprof/cmdline", "/v1/explain" + f.url("", photo)} {
			w := f.private("GET", path, "", tc.header)
			if w.Code != tc.status {
				t.Errorf("%s %s: status %d, want %d", tc.name, path, w.Code, tc.status)
			}
			if tc.code != "" && code(t, w) != tc.code {
				t.Errorf("%s: code %s", tc.name, code(t, w))
			}
			if tc.status == 401 {
				header(t, w, "WWW-Authenticate", `Bearer realm="goldcrest"`)
			}
		}
	}
	if !strings.Contains(f.log.String(), `"token":"backend"`) {
		t.Error("the log does not name the token's holder")
	}
	if w := newFixture(t, nil).private("GET", "/debug/pprof/cmdline", "", bearer); w.Code != 404 {
		t.Errorf("pprof although it is off: status %d", w.Code)
	}
}

func TestReloadReplacesTokensAndKeys(t *testing.T) {
	f := newFixture(t, nil)
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte(" a-fresh-token-from-a-file \n"), 0o600); err != nil {
		t.Fatal(err)
	}
	rules := testRules(t, nil, signing.Key{Key: otherKey})
	rules.API.Tokens = []access.Token{{Name: "filed", TokenFile: file, Scopes: []string{access.ScopeExplain}}}
	old := f.url("", photo)
	if err := f.Reload(rules); err != nil {
		t.Fatal(err)
	}
	if w := f.do("GET", old); w.Code != 403 {
		t.Errorf("a URL of the old key: status %d", w.Code)
	}
	if w := f.private("GET", "/v1/explain"+old, "", bearer); w.Code != 401 {
		t.Errorf("the old token: status %d", w.Code)
	}
	if w := f.private("GET", "/v1/explain"+old, "", "Authorization: bearer a-fresh-token-from-a-file"); w.Code != 200 {
		t.Errorf("the token in the file: status %d", w.Code)
	}
	for name, bad := range map[string]access.Rules{
		"no keyring":   {Parser: rules.Parser},
		"missing file": {Parser: rules.Parser, Keys: rules.Keys, API: access.API{Tokens: []access.Token{{TokenFile: file + "x", Scopes: []string{access.ScopeSign}}}}},
		"short token":  {Parser: rules.Parser, Keys: rules.Keys, API: access.API{Tokens: []access.Token{{Token: "short", Scopes: []string{access.ScopeSign}}}}},
		"no scope":     {Parser: rules.Parser, Keys: rules.Keys, API: access.API{Tokens: []access.Token{{Token: testToken}}}},
		"odd scope":    {Parser: rules.Parser, Keys: rules.Keys, API: access.API{Tokens: []access.Token{{Token: testToken, Scopes: []string{"root"}}}}},
	} {
		if err := f.Reload(bad); err == nil || strings.Contains(err.Error(), testToken) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if w := f.private("GET", "/v1/explain"+old, "", "Authorization: Bearer a-fresh-token-from-a-file"); w.Code != 200 {
		t.Errorf("after refused reloads: status %d", w.Code)
	}
}

func TestSignedURLsWork(t *testing.T) {
	f := newFixture(t, func(c *Config, _ *access.Rules) { c.BaseURL, c.PathPrefix = "https://img.example/", "/i" })
	for _, tc := range []struct {
		name, body string
		urls       int
		expires    string
		width      int
	}{
		{"one", `{"source":"` + photo + `","options":"rs:fit:480:0/f:webp"}`, 1, "", 480},
		{"preset and ttl", `{"source":"` + photo + `","preset":"lite","ttl":"24h"}`, 1, "2026-11-25T00:00:00Z", 480},
		{"several, own rounding", `{"urls":["` + photo + `","` + photo + `?b"],"ttl":"90m","round":"1h"}`, 2, "2026-11-23T14:00:00Z", 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := f.private("POST", "/v1/sign", tc.body, bearer)
			var answer struct{ URLs []signedURL }
			if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil || w.Code != 200 || len(answer.URLs) != tc.urls {
				t.Fatalf("status %d: %v: %s", w.Code, err, w.Body)
			}
			header(t, w, "Cache-Control", "no-store")
			for _, u := range answer.URLs {
				path, ok := strings.CutPrefix(u.URL, "https://img.example")
				if got := f.do("GET", path); !ok || got.Code != 200 {
					t.Errorf("%s: status %d", u.URL, got.Code)
				}
				if ref := f.images.asked[len(f.images.asked)-1]; ref.Source != u.Source || ref.Spec.Width != tc.width {
					t.Errorf("asked for %+v", ref)
				}
				if (u.Expires == nil) != (tc.expires == "") || u.Expires != nil && u.Expires.Format(time.RFC3339) != tc.expires {
					t.Errorf("expires %v, want %q", u.Expires, tc.expires)
				}
			}
		})
	}
}

func TestSignRefuses(t *testing.T) {
	f := newFixture(t, func(_ *Config, r *access.Rules) {
		*r = testRules(t, nil, signing.Key{Key: testKey, Sources: []string{"photos.example"}})
	})
	for _, tc := range []struct {
		body   string
		status int
		code   fault.Kind
	}{
		{`{}`, 400, fault.BadOption},
		{`not json`, 400, fault.BadOption},
		{`{"source":"` + photo + `"} {}`, 400, fault.BadOption},
		{`{"source":"` + photo + `","sauce":1}`, 400, fault.BadOption},
		{`{"source":"` + photo + `","preset":"lite","options":"w:1"}`, 400, fault.BadOption},
		{`{"source":"` + photo + `","ttl":"soon"}`, 400, fault.BadOption},
		{`{"source":"` + photo + `","ttl":"-1h"}`, 400, fault.BadOption},
		{`{"source":"` + photo + `","ttl":"1h","round":"x"}`, 400, fault.BadOption},
		{`{"source":"` + photo + `","options":"w:x"}`, 400, fault.BadOption},
		{`{"source":"` + photo + `","options":"gradient:1"}`, 400, fault.UnsupportedOption},
		{`{"urls":["` + photo + `","ftp://photos.example/a"]}`, 400, fault.BadSource},
		{`{"source":"ftp://photos.example/a"}`, 400, fault.BadSource},
		{`{"source":"http://other.example/a.jpg"}`, 403, fault.SourceNotAllowed},
		{`{"source":"` + photo + `","kid":"nobody"}`, 403, fault.KeyNotValid},
		{`{"source":"` + strings.Repeat("a", 1<<20) + `"}`, 413, fault.BodyTooLarge},
	} {
		w := f.private("POST", "/v1/sign", tc.body, bearer)
		if w.Code != tc.status || code(t, w) != tc.code {
			t.Errorf("%.60s: status %d, code %s; want %d %s", tc.body, w.Code, code(t, w), tc.status, tc.code)
		}
	}
}

func TestExplain(t *testing.T) {
	f := newFixture(t, nil)
	f.images.onPeek = func(_ context.Context, ref variant.Ref) (pipeline.Answer, error) {
		return pipeline.Answer{Entry: testEntry(ref), Outcome: pipeline.Hit, Tier: "store"}, nil
	}
	good := f.url("pr:lite/exp:"+"4000000000", photo+"?token=x")
	var e explanation
	read := func(path string) {
		t.Helper()
		w := f.private("GET", "/v1/explain"+path, "", bearer, "Accept: image/avif,image/webp")
		e = explanation{}
		if err := json.Unmarshal(w.Body.Bytes(), &e); err != nil || w.Code != 200 {
			t.Fatalf("status %d: %v: %s", w.Code, err, w.Body)
		}
	}
	read(good)
	ref := f.images.asked[0]
	if e.Signature != "valid" || e.Refused != "" || e.SourceHost != "photos.example" || e.Options != "rs:fit:480:0/net:2g" || e.Format != variant.AVIF ||
		e.Class != "saver" || e.Key != ref.Key() || e.Tier != "store" || e.Vary != "Accept" || !e.Open || e.Expires.Unix() != 4000000000 || e.Stored.Bytes != 1000 {
		t.Errorf("%+v", e)
	}
	f.images.onPeek = nil
	read("/wrong" + good[44:])
	if e.Signature != "bad_signature" || e.Tier != "none" || e.Stored != nil || e.Key != ref.Key() {
		t.Errorf("%+v", e)
	}
	read(good[44:])
	if e.Signature != "none" || e.Key != ref.Key() {
		t.Errorf("%+v", e)
	}
	read(f.url("exp:1", photo))
	if e.Refused != fault.URLExpired {
		t.Errorf("%+v", e)
	}
	read("/info" + f.url("s:1/cb:v2", photo))
	if e.Signature != "valid" || e.Open || e.Format != variant.Info || e.Options != "cb:v2" || e.Vary != "" {
		t.Errorf("of /info: %+v", e)
	}
	read("/info/wrong" + f.url("s:1", photo)[44:])
	if e.Signature != "bad_signature" || e.Format != variant.Info {
		t.Errorf("of /info, unsigned: %+v", e)
	}
	if w := f.private("GET", "/v1/explain"+f.url("w:x", photo), "", bearer); w.Code != 400 || code(t, w) != fault.BadOption {
		t.Errorf("status %d", w.Code)
	}
	if f.images.gets+f.images.stats != 0 {
		t.Errorf("%d gets and %d stats", f.images.gets, f.images.stats)
	}
}

// Wrong bearer tokens are limited by address, also those that a table of bounded size has to forget; right ones never
// are.
func TestBearerGuesses(t *testing.T) {
	f := newAPI(t, nil)
	from := func(addr, token string) int {
		r := httptest.NewRequest("GET", "/v1/config", nil)
		r.Host, r.RemoteAddr = "localhost", addr
		if token != "" {
			r.Header.Set("Authorization", "Bearer "+token)
		}
		w := httptest.NewRecorder()
		f.Private().ServeHTTP(w, r)
		if (w.Header().Get("Retry-After") != "") != (w.Code == 429) {
			t.Errorf("status %d with Retry-After %q", w.Code, w.Header().Get("Retry-After"))
		}
		return w.Code
	}
	for i := range 60 {
		if got := from("192.0.2.1:9", "a-token-of-nobody"); got != 401 {
			t.Fatalf("guess %d: status %d", i, got)
		}
	}
	if got := from("192.0.2.1:10", "another-token-of-nobody"); got != 429 {
		t.Errorf("one guess more: status %d", got)
	}
	for _, x := range []struct {
		addr, token string
		want        int
	}{
		{"192.0.2.1:9", testToken, 200}, {"192.0.2.1:9", "", 401}, {"192.0.2.2:9", "a-token-of-nobody", 401}, {"192.0.2.1:9", "a-token-of-nobody", 429},
	} {
		if got := from(x.addr, x.token); got != x.want {
			t.Errorf("%s with %q: status %d, want %d", x.addr, x.token, got, x.want)
		}
	}
	f.later.Store(int64(time.Minute))
	if got := from("192.0.2.1:9", "a-token-of-nobody"); got != 401 {
		t.Errorf("a minute later: status %d", got)
	}
}
