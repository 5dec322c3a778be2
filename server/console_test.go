package server

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/goldcrest/goldcrest/fault"
	"github.com/goldcrest/goldcrest/prewarm/ledger"
	"github.com/goldcrest/goldcrest/server/access"
	"github.com/goldcrest/goldcrest/server/console"
)

// visit is a browser that is logged in, as headers.
type visit struct{ cookie, csrf string }

// tryLogin sends the form of the login page.
func (f *fixture) tryLogin(token string, headers ...string) *httptest.ResponseRecorder {
	return f.private("POST", "/console/login", url.Values{"token": {token}}.Encode(), append([]string{"Content-Type: application/x-www-form-urlencoded"}, headers...)...)
}

// loginWith exchanges a token for a session.
func (f *fixture) loginWith(token string) visit {
	f.t.Helper()
	w := f.tryLogin(token)
	cookies := w.Result().Cookies()
	if w.Code != http.StatusSeeOther || w.Header().Get("Location") != "/console/" || len(cookies) != 1 {
		f.t.Fatalf("login: status %d, %v", w.Code, w.Header())
	}
	v := visit{cookie: "Cookie: " + cookies[0].Name + "=" + cookies[0].Value}
	var s sessionAnswer
	if err := json.Unmarshal(f.private("GET", "/console/session", "", v.cookie).Body.Bytes(), &s); err != nil || s.CSRF == "" {
		f.t.Fatalf("session: %+v %v", s, err)
	}
	v.csrf = "X-CSRF-Token: " + s.CSRF
	return v
}

// Without a session there is the form, its style sheet and its icon. Nothing else, whatever the cookie says.
func TestConsoleShowsNothingWithoutSession(t *testing.T) {
	f := newAPI(t, nil)
	for _, cookie := range []string{"X-None: x", "Cookie: goldcrest_session=", "Cookie: goldcrest_session=" + testToken, "Cookie: goldcrest_session=" + strings.Repeat("A", 52)} {
		for path, want := range map[string]int{
			"/console": 303, "/console/": 303, "/console/login": 200, "/console/files/console.css": 200, "/console/files/icon.svg": 200,
			"/console/files/console.js": 401, "/console/files/uplot.js": 401, "/console/files/index.html": 401, "/console/files/login.html": 401,
			"/console/files/..%2fconsole.go": 401, "/console/session": 401, "/console/picture" + f.url("", photo): 401, "/console/nothing": 404,
			"/v1/stats": 401, "/v1/config": 401, "/v1/jobs": 401, "/v1/history": 401,
		} {
			if w := f.private("GET", path, "", cookie); w.Code != want || want == 303 && w.Header().Get("Location") != "/console/login" {
				t.Errorf("%s with %s: status %d, want %d", path, cookie, w.Code, want)
			}
		}
		if w := f.private("POST", "/console/logout", "", cookie); w.Code != 401 {
			t.Errorf("logout with %s: status %d", cookie, w.Code)
		}
	}
	// A bearer token opens the access.API, but is no session: the page is for browsers.
	if w := f.private("GET", "/console/", "", bearer); w.Code != 303 {
		t.Errorf("the page by token: status %d", w.Code)
	}
}

func TestConsoleCookie(t *testing.T) {
	f := newAPI(t, nil)
	w := f.tryLogin(" " + testToken + "\n")
	set := w.Header().Get("Set-Cookie")
	for _, want := range []string{"goldcrest_session=", "; Path=/", "; Max-Age=43200", "; HttpOnly", "; SameSite=Strict"} {
		if !strings.Contains(set, want) {
			t.Errorf("the cookie %q lacks %q", set, want)
		}
	}
	if strings.Contains(set, "Secure") || strings.Contains(set, testToken) {
		t.Errorf("the cookie is %q", set)
	}
	if set := f.tryLogin(testToken, "X-Forwarded-Proto: https").Header().Get("Set-Cookie"); !strings.Contains(set, "; Secure") {
		t.Errorf("the cookie by https is %q", set)
	}
	if one, two := f.loginWith(testToken), f.loginWith(testToken); one == two {
		t.Error("two logins share their cookie or their token")
	}
}

// What a hostile page on another site, or on another port of this host, can make a browser send does nothing.
func TestConsoleAgainstForgery(t *testing.T) {
	f := newAPI(t, nil)
	v, other := f.loginWith(testToken), f.loginWith(testToken)
	body := `{"source":"` + photo + `"}`
	for _, x := range []struct {
		name    string
		headers []string
		status  int
	}{
		{"the page itself", []string{v.cookie, v.csrf, "Sec-Fetch-Site: same-origin", "Origin: http://localhost:8081"}, 200},
		{"a browser that sends no metadata", []string{v.cookie, v.csrf}, 200},
		{"no token", []string{v.cookie}, 403},
		{"an empty token", []string{v.cookie, "X-CSRF-Token: "}, 403},
		{"another session's token", []string{v.cookie, other.csrf}, 403},
		{"another session's cookie", []string{other.cookie, v.csrf}, 403},
		{"another site", []string{v.cookie, v.csrf, "Sec-Fetch-Site: cross-site"}, 401},
		{"another port of this host", []string{v.cookie, v.csrf, "Sec-Fetch-Site: same-site"}, 401},
		{"another origin", []string{v.cookie, v.csrf, "Origin: http://localhost:3000"}, 401},
		{"no origin", []string{v.cookie, v.csrf, "Origin: null"}, 401},
		{"a rebound name", []string{v.cookie, v.csrf, "Host: evil.example"}, 403},
		{"a wrong bearer beside it", []string{v.cookie, v.csrf, "Authorization: Bearer nonsense"}, 401},
		{"a narrow bearer beside it", []string{v.cookie, v.csrf, checkBearer}, 403},
	} {
		if w := f.private("POST", "/v1/sign", body, x.headers...); w.Code != x.status {
			t.Errorf("%s: status %d, want %d: %s", x.name, w.Code, x.status, w.Body)
		}
	}
	// Even a GET that does work is not for others.
	path := "/v1/explain" + f.url("", photo) + "?run=1"
	for _, site := range []string{"cross-site", "same-site"} {
		if w := f.private("GET", path, "", v.cookie, "Sec-Fetch-Site: "+site); w.Code != 401 {
			t.Errorf("GET from %s: status %d", site, w.Code)
		}
		if w := f.private("GET", "/console/", "", v.cookie, "Sec-Fetch-Site: "+site); w.Code != 303 {
			t.Errorf("the page from %s: status %d", site, w.Code)
		}
		if w := f.tryLogin(testToken, "Sec-Fetch-Site: "+site); w.Code != 403 || w.Header().Get("Set-Cookie") != "" {
			t.Errorf("login from %s: status %d", site, w.Code)
		}
	}
	if w := f.tryLogin(testToken, "Origin: http://localhost:3000"); w.Code != 403 || w.Header().Get("Set-Cookie") != "" {
		t.Errorf("login from another origin: status %d", w.Code)
	}
	if w := f.private("POST", "/console/logout", "", v.cookie); w.Code != 403 {
		t.Errorf("logout without the token: status %d", w.Code)
	}
	if w := f.private("GET", "/debug/pprof/cmdline", "", v.cookie); w.Code == 200 {
		t.Error("profiles are given to a session")
	}
}

// A session may do what its token may, and no more.
func TestConsoleScopes(t *testing.T) {
	f := newAPI(t, nil)
	v := f.loginWith("a-token-that-may-only-check")
	var own sessionAnswer
	if err := json.Unmarshal(f.private("GET", "/console/session", "", v.cookie).Body.Bytes(), &own); err != nil || own.Token != "narrow" ||
		!slices.Equal(own.Scopes, []string{access.ScopeCheck}) || !slices.Equal(own.Presets, []string{"lite"}) || own.BaseURL != "http://localhost:8080" || !own.Queue {
		t.Errorf("the page is told %+v, %v", own, err)
	}
	for path, want := range map[string]int{"/v1/stats": 403, "/v1/history": 403, "/v1/config": 403, "/v1/jobs": 403, "/console/picture" + f.url("", photo): 403, "/console/": 200, "/console/session": 200} {
		w := f.private("GET", path, "", v.cookie)
		if w.Code != want {
			t.Errorf("%s: status %d, want %d", path, w.Code, want)
		}
	}
	for _, path := range []string{"/v1/sign", "/v1/prewarm", "/v1/purge"} {
		if w := f.private("POST", path, `{}`, v.cookie, v.csrf); w.Code != 403 || code(t, w) != fault.ForbiddenScope {
			t.Errorf("%s: status %d", path, w.Code)
		}
	}
	if w := f.private("POST", "/v1/check", `{"keys":["v1/ab/c"]}`, v.cookie, v.csrf); w.Code == 401 || w.Code == 403 {
		t.Errorf("what it may do: status %d", w.Code)
	}
}

// A session ends by logout, after twelve hours, and with its token.
func TestConsoleSessionEnds(t *testing.T) {
	f := newAPI(t, nil)
	page := func(v visit) int { return f.private("GET", "/console/", "", v.cookie).Code }
	v, w := f.loginWith(testToken), f.loginWith(testToken)
	if got := f.private("POST", "/console/logout", "", v.cookie, v.csrf); got.Code != 204 || !strings.Contains(got.Header().Get("Set-Cookie"), "Max-Age=0") {
		t.Errorf("logout: %d %v", got.Code, got.Header())
	}
	if page(v) != 303 || page(w) != 200 {
		t.Errorf("after the logout of one: %d, of the other %d", page(v), page(w))
	}
	f.later.Store(int64(12*time.Hour - time.Second))
	if page(w) != 200 {
		t.Error("it ends too early")
	}
	f.later.Store(int64(12 * time.Hour))
	if page(w) != 303 {
		t.Error("it outlives its twelve hours")
	}
	v = f.loginWith(testToken)
	r := testRules(t, func() time.Time { return f.now })
	r.API.Tokens[0].Scopes = []string{access.ScopeCheck}
	if err := f.Reload(r); err != nil {
		t.Fatal(err)
	}
	if got := f.private("GET", "/v1/stats", "", v.cookie); got.Code != 403 {
		t.Errorf("with fewer scopes: status %d", got.Code)
	}
	r.API.Tokens[0].Token = "another-token-of-that-name"
	if err := f.Reload(r); err != nil {
		t.Fatal(err)
	}
	if page(v) != 303 || f.private("GET", "/v1/stats", "", v.cookie).Code != 401 {
		t.Error("it outlives its token")
	}
}

// A stream of events does not outlive the session that it was opened by by more than a beat.
func TestConsoleStreamEndsWithSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newAPI(t, nil)
		f.prewarm.onWatch = func(context.Context, string) (<-chan ledger.Job, error) { return make(chan ledger.Job), nil }
		v := f.loginWith(testToken)
		go func() {
			time.Sleep(beat + time.Second)
			f.private("POST", "/console/logout", "", v.cookie, v.csrf)
		}()
		began := time.Now()
		w := f.private("GET", "/v1/jobs/j1/events", "", v.cookie)
		if lived := time.Since(began); w.Code != 200 || lived != 2*beat {
			t.Errorf("status %d; it lived for %v, want %v", w.Code, lived, 2*beat)
		}
	})
}

// Guessing is slow, and costs nobody else their way in.
func TestConsoleLoginTries(t *testing.T) {
	f := newAPI(t, nil)
	from := func(addr, token string) int {
		r := httptest.NewRequest("POST", "/console/login", strings.NewReader("token="+token))
		r.Host, r.RemoteAddr = "localhost", addr
		w := httptest.NewRecorder()
		f.Private().ServeHTTP(w, r)
		return w.Code
	}
	for range 7 { // Those that succeed do not count.
		if got := from("192.0.2.1:9", testToken); got != 303 {
			t.Fatalf("status %d", got)
		}
	}
	for i := range 5 {
		if got := from("192.0.2.1:9", "nonsense-nonsense"); got != 401 {
			t.Errorf("try %d: status %d", i, got)
		}
	}
	if got := from("192.0.2.1:10", "nonsense-nonsense"); got != 429 {
		t.Errorf("a sixth wrong token: status %d", got)
	}
	if got := from("192.0.2.1:10", testToken); got != 303 {
		t.Errorf("the right token after six wrong ones: status %d", got)
	}
	for i := range 5 {
		from(fmt.Sprintf("[2001:db8::%d]:9", i), "nonsense-nonsense")
	}
	if got := from("[2001:db8::ffff]:9", "nonsense-nonsense"); got != 429 {
		t.Errorf("from the same network of IPv6: status %d", got)
	}
	if got := from("192.0.2.2:9", "nonsense-nonsense"); got != 401 {
		t.Errorf("from elsewhere: status %d", got)
	}
	f.later.Store(int64(time.Minute))
	if got := from("192.0.2.1:9", "nonsense-nonsense"); got != 401 {
		t.Errorf("a minute later: status %d", got)
	}
	if w := f.tryLogin(strings.Repeat("a", 4<<10)); w.Code != 413 {
		t.Errorf("a huge form: status %d", w.Code)
	}
	if strings.Contains(f.log.String(), "nonsense") {
		t.Error("the log holds what was typed")
	}
}

// consolePolicy lets the pages run their own script and style, and nothing else.
const consolePolicy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; connect-src 'self'; " +
	"form-action 'self'; base-uri 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"

// The pages run their own script alone, are framed by nobody, and say what they are.
func TestConsoleHeaders(t *testing.T) {
	f := newAPI(t, nil)
	v := f.loginWith(testToken)
	for path, contentType := range map[string]string{
		"/console/": "text/html; charset=utf-8", "/console/files/console.js": "text/javascript; charset=utf-8", "/console/files/uplot.js": "text/javascript; charset=utf-8",
		"/console/files/uplot.css": "text/css; charset=utf-8", "/console/files/icon.svg": "image/svg+xml",
	} {
		w := f.private("GET", path, "", v.cookie)
		header(t, w, "Content-Type", contentType)
		header(t, w, "Content-Security-Policy", consolePolicy)
		header(t, w, "X-Content-Type-Options", "nosniff")
		header(t, w, "Cross-Origin-Resource-Policy", "same-origin")
		header(t, w, "Cache-Control", "no-store")
		if strings.Contains(w.Body.String(), "https://cdn") {
			t.Errorf("%s loads from elsewhere", path)
		}
	}
	for _, weak := range []string{"unsafe", "*", "data:", "http:"} {
		if strings.Contains(consolePolicy, weak) {
			t.Errorf("the policy allows %s", weak)
		}
	}
	if w := f.tryLogin(`"><script>alert(1)</script>`); w.Code != 401 || strings.Contains(w.Body.String(), "<script") {
		t.Errorf("the login page repeats what was typed: %s", w.Body)
	}
	js, _, _ := console.File("console.js")
	for _, sink := range []string{"innerHTML", "outerHTML", "insertAdjacent", "document.write", "eval(", "srcdoc"} {
		if strings.Contains(string(js), sink) {
			t.Errorf("the script has %s: outside strings go by text alone", sink)
		}
	}
}

// The picture is that of the path, by the same rules as for viewers; nothing is made for it.
func TestConsolePicture(t *testing.T) {
	a := describedAPI(t)
	v := a.loginWith(testToken)
	w := a.private("GET", "/console/picture"+a.url("w:9", photo), "", v.cookie, "Accept: image/webp")
	if w.Code != 200 || w.Body.Len() != 1000 || a.images.gets != 0 {
		t.Errorf("status %d, %d bytes, %d gets", w.Code, w.Body.Len(), a.images.gets)
	}
	header(t, w, "Content-Type", "image/webp")
	header(t, w, "Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; sandbox")
	for path, want := range map[string]fault.Kind{"/x" + a.url("w:9", photo)[44:]: fault.BadSignature, a.url("exp:1", photo): fault.URLExpired, a.url("w:x", photo): fault.BadOption} {
		if w := a.private("GET", "/console/picture"+path, "", v.cookie); code(t, w) != want {
			t.Errorf("%s: status %d", path, w.Code)
		}
	}
	a.images.onPeek = nil
	if w := a.private("GET", "/console/picture"+a.url("w:9", photo), "", v.cookie); code(t, w) != fault.NotCached {
		t.Errorf("what is not stored: status %d", w.Code)
	}
}
