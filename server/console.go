package server

import (
	"bytes"
	"crypto/sha256"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/goldcrest/goldcrest/fault"
	"github.com/goldcrest/goldcrest/server/console"
)

// consolePolicy lets the console's pages run their own script and style and nothing else. Trusted types keep outside
// strings out of the markup even where the script would err: it names no policy, so that no sink takes a string.
const consolePolicy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; connect-src 'self'; form-action 'self'; " +
	"base-uri 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"

// Where the console is.
const (
	consoleHome  = "/console/"
	consoleLogin = "/console/login"
)

// routeConsole lays out the operators' page. Without a session there is the way to one, its style sheet and its icon.
func (s *Server) routeConsole(e *echo.Echo) {
	e.GET("/console", s.consoleHome)
	e.GET(consoleHome, s.consoleHome)
	e.GET(consoleLogin, s.loginPage)
	e.POST(consoleLogin, s.login)
	e.POST("/console/logout", s.logout)
	e.GET("/console/session", s.consoleSession)
	e.GET("/console/files/:name", s.consoleFiles)
	e.GET("/console/picture/*", s.consolePicture, s.need(ScopeExplain))
}

// consoleHome is the page itself, for who is logged in.
func (s *Server) consoleHome(c echo.Context) error {
	who, _, ok := s.visitor(c.Request())
	if !ok {
		return c.Redirect(http.StatusSeeOther, consoleLogin)
	}
	if c.Request().URL.Path != consoleHome {
		return c.Redirect(http.StatusSeeOther, consoleHome)
	}
	callOf(c).who = who
	return consoleFile(c, "index.html")
}

// consoleFiles gives a file that the page is made of.
func (s *Server) consoleFiles(c echo.Context) error {
	name := c.Param("name")
	if _, _, ok := s.visitor(c.Request()); !ok && name != console.Style && name != console.Icon {
		return fault.New(fault.Unauthorized, "server.consoleFiles", "log in at "+consoleLogin+" first", nil)
	}
	return consoleFile(c, name)
}

// consoleFile answers with an embedded file.
func consoleFile(c echo.Context, name string) error {
	body, contentType, ok := console.File(name)
	if !ok {
		return fault.New(fault.NotFound, "server.consoleFile", "there is nothing at this path", nil)
	}
	consoleHeaders(c)
	return writeBody(c, http.StatusOK, contentType, body)
}

// writeBody answers with a body as it is.
func writeBody(c echo.Context, status int, contentType string, body []byte) error {
	c.Response().Header().Set("Content-Type", contentType)
	c.Response().WriteHeader(status)
	_, err := c.Response().Write(body)
	return err
}

func consoleHeaders(c echo.Context) {
	h := c.Response().Header()
	h.Set("Content-Security-Policy", consolePolicy)
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("X-Frame-Options", "DENY")
}

// loginPage asks for a token.
func (s *Server) loginPage(c echo.Context) error {
	if _, _, ok := s.visitor(c.Request()); ok {
		return c.Redirect(http.StatusSeeOther, consoleHome)
	}
	return s.askToken(c, http.StatusOK, "")
}

func (s *Server) askToken(c echo.Context, status int, message string) error {
	var page bytes.Buffer
	if err := console.Login(&page, message); err != nil {
		return fault.New(fault.Internal, "server.askToken", "the page cannot be written", err)
	}
	consoleHeaders(c)
	return writeBody(c, status, "text/html; charset=utf-8", page.Bytes())
}

// maxLogin bounds the body of a login, in bytes.
const maxLogin = 4 << 10

// login exchanges a token for a session. It is a form's plain POST: it works before any script does.
func (s *Server) login(c echo.Context) error {
	r, now := c.Request(), s.deps.Now()
	if foreign(r) {
		return s.refuseLogin(c, fault.New(fault.ForbiddenScope, "server.login", "Another site sent this form. Open this page yourself and log in here.", nil))
	}
	body, err := io.ReadAll(http.MaxBytesReader(c.Response(), r.Body, maxLogin))
	if err != nil {
		return fault.New(bodyTooLarge, "server.login", "the form is larger than "+strconv.Itoa(maxLogin)+" bytes", nil)
	}
	form, _ := url.ParseQuery(string(body)) // What cannot be read is no token.
	sum := sha256.Sum256([]byte(strings.TrimSpace(form.Get("token"))))
	who, wrong := s.loginToken(r, sum)
	if wrong != nil {
		return s.refuseLogin(c, wrong)
	}
	s.sessions.end(r)
	callOf(c).who = who
	c.SetCookie(s.cookie(r, s.sessions.begin(sum, now), int(sessionLife/time.Second)))
	return c.Redirect(http.StatusSeeOther, consoleHome)
}

// refuseLogin asks again, and says why. The log has it as any refusal.
func (s *Server) refuseLogin(c echo.Context, f *fault.Error) error {
	k, h := callOf(c), c.Response().Header()
	k.kind, k.cause = f.Kind, f
	row := s.refuse(h, k, f)
	h.Set("Cache-Control", "no-store")
	h.Del("WWW-Authenticate")
	return s.askToken(c, row.status, f.Public)
}

// cookie is the session's. It is marked Secure where a TLS proxy says that the browser came by https; of several
// proxies the first one speaks of the browser.
func (s *Server) cookie(r *http.Request, value string, maxAge int) *http.Cookie {
	proto, _, _ := strings.Cut(r.Header.Get("X-Forwarded-Proto"), ",")
	return &http.Cookie{
		Name: sessionCookie, Value: value, Path: "/", MaxAge: maxAge, HttpOnly: true, SameSite: http.SameSiteStrictMode,
		Secure: r.TLS != nil || strings.EqualFold(strings.TrimSpace(proto), "https"),
	}
}

// logout ends the session.
func (s *Server) logout(c echo.Context) error {
	r := c.Request()
	who, err := s.caller(r)
	if err != nil {
		return err
	}
	callOf(c).who = who
	s.sessions.end(r)
	c.SetCookie(s.cookie(r, "", -1))
	return c.NoContent(http.StatusNoContent)
}

// sessionAnswer is the answer of GET /console/session: what the page needs to know of its server and its rights.
type sessionAnswer struct {
	Token       string    `json:"token"` // the name, not the secret
	Scopes      []string  `json:"scopes"`
	CSRF        string    `json:"csrf"`
	Expires     time.Time `json:"expires"`
	BaseURL     string    `json:"base_url"`
	Presets     []string  `json:"presets"`
	OnlyPresets bool      `json:"only_presets"`
	Queue       bool      `json:"queue"` // this instance takes Data Units
}

// consoleSession tells the page who it is.
func (s *Server) consoleSession(c echo.Context) error {
	who, one, ok := s.visitor(c.Request())
	if !ok {
		return fault.New(fault.Unauthorized, "server.consoleSession", "log in at "+consoleLogin+" first", nil)
	}
	r := s.rules.Load()
	callOf(c).who = who
	return c.JSON(http.StatusOK, sessionAnswer{
		Token: who.name, Scopes: who.scopes, CSRF: one.csrf, Expires: one.expires, BaseURL: s.cfg.PublicURL(),
		Presets: r.Parser.Presets(), OnlyPresets: r.OnlyPresets, Queue: s.deps.Prewarm != nil,
	})
}

// consolePicture shows a variant that is stored, to the page that explained it: also where the browser cannot reach the
// public listener. It makes nothing.
func (s *Server) consolePicture(c echo.Context) error {
	r, rl := c.Request(), s.rules.Load()
	target, err := s.targetBelow(r, "/console/picture")
	if err != nil {
		return err
	}
	verified, err := rl.Keys.Verify(target)
	if err != nil {
		return err
	}
	ref, terms, err := rl.Parser.ParsePath(verified.Path)
	if err == nil {
		err = allowed(verified.Key, ref, terms)
	}
	if err != nil {
		return err
	}
	if terms.Expired(s.deps.Now()) {
		return fault.New(fault.URLExpired, "server.consolePicture", "the URL has expired", nil)
	}
	ref.Spec = ref.Spec.Resolve(accept(r.Header, rl.Negotiation))
	ref.Within = verified.Key.Hosts()
	a, err := s.deps.Images.Peek(r.Context(), ref)
	if err != nil {
		return err
	}
	return writeBody(c, http.StatusOK, a.Entry.ContentType, a.Entry.Body)
}
