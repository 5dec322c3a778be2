package console

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/goldcrest/goldcrest/fault"
	"github.com/goldcrest/goldcrest/grammar"
	"github.com/goldcrest/goldcrest/pipeline"
	"github.com/goldcrest/goldcrest/server/access"
	"github.com/goldcrest/goldcrest/server/exchange"
	"github.com/goldcrest/goldcrest/server/fields"
	"github.com/goldcrest/goldcrest/variant"
)

// Config is the configuration of a Door.
type Config struct {
	PublicURL  string // prefix of image paths
	PathPrefix string // precedes every image path and is not signed
	Queue      bool   // this instance accepts Data Units
}

// Images returns stored variants. Implemented by pipeline.Pipeline.
type Images interface {
	// Peek returns a variant only if memory or the store has it; not_cached otherwise.
	Peek(ctx context.Context, ref variant.Ref) (pipeline.Answer, error)
}

// Door serves the page, its files and its sessions. Safe for concurrent use.
type Door struct {
	*exchange.Responder
	cfg    Config
	access *access.Access
	images Images
}

// New makes a Door.
func New(cfg Config, r *exchange.Responder, a *access.Access, images Images) *Door {
	return &Door{Responder: r, cfg: cfg, access: a, images: images}
}

// consolePolicy lets the console's pages run only their own script and style. Trusted types keep strings from outside
// out of the markup even if the script has a bug: no policy exists, so no sink accepts a string.
const consolePolicy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; connect-src 'self'; form-action 'self'; " +
	"base-uri 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"

// The console's paths.
const (
	homePath  = "/console/"
	loginPath = "/console/login"
)

// Route registers the routes. Without a session only the login page, its style sheet and its icon are served.
func (s *Door) Route(e *echo.Echo) {
	e.GET("/console", s.home)
	e.GET(homePath, s.home)
	e.GET(loginPath, s.loginPage)
	e.POST(loginPath, s.login)
	e.POST("/console/logout", s.logout)
	e.GET("/console/session", s.session)
	e.GET("/console/files/:name", s.files)
	e.GET("/console/picture/*", s.picture, exchange.Need(s.access, access.ScopeExplain))
}

// home is the page itself, for logged-in users.
func (s *Door) home(c echo.Context) error {
	who, _, ok := s.access.Visitor(c.Request())
	if !ok {
		return c.Redirect(http.StatusSeeOther, loginPath)
	}
	if c.Request().URL.Path != homePath {
		return c.Redirect(http.StatusSeeOther, homePath)
	}
	exchange.CallOf(c).Who = who
	return consoleFile(c, "index.html")
}

// files serves a file of the page.
func (s *Door) files(c echo.Context) error {
	name := c.Param("name")
	if _, _, ok := s.access.Visitor(c.Request()); !ok && name != Style && name != Icon {
		return fault.New(fault.Unauthorized, "console.files", "log in at "+loginPath+" first", nil)
	}
	return consoleFile(c, name)
}

// consoleFile serves an embedded file.
func consoleFile(c echo.Context, name string) error {
	body, contentType, ok := File(name)
	if !ok {
		return fault.New(fault.NotFound, "console.consoleFile", "there is nothing at this path", nil)
	}
	consoleHeaders(c)
	return writeBody(c, http.StatusOK, contentType, body)
}

// writeBody writes a body unchanged.
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
func (s *Door) loginPage(c echo.Context) error {
	if _, _, ok := s.access.Visitor(c.Request()); ok {
		return c.Redirect(http.StatusSeeOther, homePath)
	}
	return s.askToken(c, http.StatusOK, "")
}

func (s *Door) askToken(c echo.Context, status int, message string) error {
	var page bytes.Buffer
	if err := Login(&page, message); err != nil {
		return fault.New(fault.Internal, "console.askToken", "the page cannot be written", err)
	}
	consoleHeaders(c)
	return writeBody(c, status, "text/html; charset=utf-8", page.Bytes())
}

// maxLogin is the maximum size of a login's body, in bytes.
const maxLogin = 4 << 10

// login exchanges a token for a session. It is a form's plain POST, so it works without a script.
func (s *Door) login(c echo.Context) error {
	r := c.Request()
	if access.Foreign(r) {
		return s.refuseLogin(c, fault.New(fault.ForbiddenScope, "console.login",
			"Another site sent this form. Open this page yourself and log in here.", nil))
	}
	body, err := io.ReadAll(http.MaxBytesReader(c.Response(), r.Body, maxLogin))
	if err != nil {
		return fault.New(fault.BodyTooLarge, "console.login",
			"the form is larger than "+strconv.Itoa(maxLogin)+" bytes", nil)
	}
	form, _ := url.ParseQuery(string(body)) // an invalid form has no token
	who, cookie, wrong := s.access.Login(r, form.Get("token"))
	if wrong != nil {
		return s.refuseLogin(c, wrong)
	}
	exchange.CallOf(c).Who = who
	c.SetCookie(cookie)
	return c.Redirect(http.StatusSeeOther, homePath)
}

// refuseLogin shows the login page again, with the reason. It is logged as every refusal is.
func (s *Door) refuseLogin(c echo.Context, f *fault.Error) error {
	k, h := exchange.CallOf(c), c.Response().Header()
	k.Fail(f.Kind, f)
	status, _ := s.Refuse(h, k, f)
	h.Set("Cache-Control", "no-store")
	h.Del("WWW-Authenticate")
	return s.askToken(c, status, f.Public)
}

// logout ends the session.
func (s *Door) logout(c echo.Context) error {
	r := c.Request()
	who, err := s.access.Identify(r)
	if err != nil {
		return err
	}
	exchange.CallOf(c).Who = who
	c.SetCookie(s.access.Logout(r))
	return c.NoContent(http.StatusNoContent)
}

// sessionAnswer is the response of GET /console/session: what the page needs to know about its server and its rights.
type sessionAnswer struct {
	Token       string    `json:"token"` // the name, not the secret
	Scopes      []string  `json:"scopes"`
	CSRF        string    `json:"csrf"`
	Expires     time.Time `json:"expires"`
	BaseURL     string    `json:"base_url"`
	Presets     []string  `json:"presets"`
	OnlyPresets bool      `json:"only_presets"`
	Queue       bool      `json:"queue"` // this instance accepts Data Units
}

// session returns the session's rights to the page.
func (s *Door) session(c echo.Context) error {
	who, one, ok := s.access.Visitor(c.Request())
	if !ok {
		return fault.New(fault.Unauthorized, "console.session", "log in at "+loginPath+" first", nil)
	}
	r := s.access.Current()
	exchange.CallOf(c).Who = who
	return c.JSON(http.StatusOK, sessionAnswer{
		Token: who.Name, Scopes: who.Scopes, CSRF: one.CSRF, Expires: one.Expires, BaseURL: s.cfg.PublicURL,
		Presets: r.Parser.Presets(), OnlyPresets: r.OnlyPresets, Queue: s.cfg.Queue,
	})
}

// picture serves a stored variant to the page that explained it, also if the browser cannot reach the public listener.
// It makes nothing.
func (s *Door) picture(c echo.Context) error {
	r, rl := c.Request(), s.access.Current()
	target, err := exchange.TargetBelow(r, "/console/picture", s.cfg.PathPrefix)
	if err != nil {
		return err
	}
	verified, parse, err := grammar.Verify(rl.Keys, rl.Parser, target)
	if err != nil {
		return err
	}
	ref, terms, err := parse(verified.Path)
	if err == nil {
		err = rl.Allowed(r.Context(), verified.Key.Rights, ref, terms)
	}
	if err != nil {
		return err
	}
	if terms.Expired(s.Now()) {
		return fault.New(fault.URLExpired, "console.picture", "the URL has expired", nil)
	}
	ref.Spec = ref.Spec.Resolve(fields.Accept(r.Header, rl.Negotiation))
	ref.Within = verified.Key.Hosts()
	a, err := s.images.Peek(r.Context(), ref)
	if err != nil {
		return err
	}
	return writeBody(c, http.StatusOK, a.Entry.ContentType, a.Entry.Body)
}
