// Package access decides who the caller is and what the caller may do: API tokens and their scopes, console sessions,
// rights of tokens and signing keys, and limits of each. It reads no body and writes no response.
package access

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/goldcrest/goldcrest/fault"
	"github.com/goldcrest/goldcrest/intake/bucketevents"
	"github.com/goldcrest/goldcrest/prewarm/unit"
	"github.com/goldcrest/goldcrest/signing"
	"github.com/goldcrest/goldcrest/variant"
)

// Rules is what a reload replaces as a whole.
type Rules struct {
	Keys        *signing.Keyring
	Parser      *variant.Parser
	OnlyPresets bool // as in the Parser
	Negotiation variant.Negotiation
	Lifetimes   Lifetimes
	API         API
	Prewarm     unit.Rules // how prewarm calls are parsed
	Links       Links      // nil = links appear in URLs
	Buckets     bucketevents.Rules
}

// Lifetimes are the values for Cache-Control, from the cache's configuration.
type Lifetimes struct {
	MaxAge       time.Duration // of a final response
	FirstMaxAge  time.Duration // of a first-stage or stale response, which a better one will replace
	SWR          time.Duration // stale-while-revalidate; 0 = none
	SIE          time.Duration // stale-if-error; 0 = none
	TTL          time.Duration // lifetime of an entry; 0 = for ever, which makes final responses immutable
	HonourOrigin bool          // the origin's own lifetime limits MaxAge
}

// Current are the rules in force. They are immutable: one request uses the same ones throughout.
type Current struct {
	Rules
	callers []Caller
	keys    map[string]*bucket // by key id; absent = no limit
}

// Meter counts refusals. Implemented by metrics.Metrics.
type Meter interface {
	// Limited counts a refusal by the limit of what, a token or key; name is its configured name.
	Limited(what, name string)
}

// Access identifies callers. Safe for concurrent use.
type Access struct {
	now     func() time.Time
	meter   Meter // nil = none
	current atomic.Pointer[Current]
	intake  *semaphore.Weighted // the memory for the bodies of all calls

	sessions        *sessions // of the console
	logins, bearers *guesses  // wrong tokens
}

// New makes an Access without any callers before its first Reload. A nil meter counts nothing.
func New(now func() time.Time, meter Meter) *Access {
	return &Access{
		now: now, meter: meter, intake: newIntake(), sessions: newSessions(),
		logins: newGuesses(loginGuesses), bearers: newGuesses(bearerGuesses),
	}
}

// Current returns the rules in force.
func (a *Access) Current() *Current { return a.current.Load() }

// Reload applies rules to requests that begin from now on, and returns them. On an error the old ones stay.
func (a *Access) Reload(r Rules) (*Current, error) {
	if r.Keys == nil || r.Parser == nil {
		return nil, errors.New("server: a keyring and a parser are needed")
	}
	if r.Prewarm.Limits == (unit.Limits{}) {
		r.Prewarm.Limits = unit.DefaultLimits()
	}
	if err := r.API.Validate(); err != nil {
		return nil, err
	}
	callers, err := readTokens(r.API)
	if err != nil {
		return nil, err
	}
	for i, t := range r.API.Tokens {
		if _, known := r.Keys.Limits()[t.Key]; t.Key != "" && !known {
			return nil, fmt.Errorf("api.tokens[%d] (%s): key: there is no key with the id %q in signing.keys", i, t.Name, t.Key)
		}
	}
	next := &Current{Rules: r, callers: callers}
	a.limit(next, a.Current())
	a.current.Store(next)
	return next, nil
}

// Identify finds the caller: the holder of the bearer token or, without one, of the console's session.
func (a *Access) Identify(r *http.Request) (Caller, error) {
	if r.Header.Get("Authorization") != "" {
		if who, ok := a.Current().holder(r); ok {
			return who, nil
		}
		return Caller{}, a.bearers.wrong(guesser(r), a.now(), "a valid bearer token is needed")
	}
	who, one, ok := a.Visitor(r)
	if !ok {
		return Caller{}, fault.New(fault.Unauthorized, "access.Identify", "a valid bearer token is needed", nil)
	}
	if r.Method != http.MethodGet && r.Method != http.MethodHead &&
		subtle.ConstantTimeCompare([]byte(r.Header.Get(csrfHeader)), []byte(one.CSRF)) != 1 {
		return Caller{}, fault.New(fault.ForbiddenScope, "access.Identify",
			"a call by session needs the session's "+csrfHeader+" header; load the console again", nil)
	}
	return who, nil
}

// Visitor finds the session of a request and its token under the current rules. A request from a page of another origin
// has no session, although the browser may send the cookie: for SameSite all ports of a host are one site.
func (a *Access) Visitor(r *http.Request) (Caller, Session, bool) {
	path := r.URL.Path
	if !strings.HasPrefix(path, "/v1/") && !strings.HasPrefix(path, "/console") || Foreign(r) {
		return Caller{}, Session{}, false
	}
	one, ok := a.sessions.find(r, a.now())
	if !ok {
		return Caller{}, one, false
	}
	who, ok := a.Current().find(one.token)
	return who, one, ok
}

// Login exchanges a token for a session, and returns its cookie. The request's old session ends.
func (a *Access) Login(r *http.Request, token string) (Caller, *http.Cookie, *fault.Error) {
	sum := sha256.Sum256([]byte(strings.TrimSpace(token)))
	who, ok := a.Current().find(sum)
	if !ok {
		return Caller{}, nil, a.logins.wrong(guesser(r), a.now(),
			"No API token of this server reads like that. Take one from api.tokens in its configuration.")
	}
	a.sessions.end(r)
	return who, cookie(r, a.sessions.begin(sum, a.now()), int(sessionLife/time.Second)), nil
}

// Logout ends the session of a request, if it has one, and returns the cookie that deletes the browser's.
func (a *Access) Logout(r *http.Request) *http.Cookie {
	a.sessions.end(r)
	return cookie(r, "", -1)
}

// Idle reports whether no call holds memory for bodies.
func (a *Access) Idle() bool {
	const all = intakeRoom * intakeUnits
	if !a.intake.TryAcquire(all) {
		return false
	}
	a.intake.Release(all)
	return true
}

// Enter returns an empty Place for the bodies of a caller's call. The caller must call Leave; twice is fine.
func (a *Access) Enter(ctx context.Context, who Caller) *Place {
	size := max(a.Current().Prewarm.Limits.Body/intakeUnits, 1)
	return &Place{ctx: ctx, all: a.intake, own: who.room, unit: size, patience: intakePatience}
}

// Foreign reports whether the browser says that a page of another origin made the request.
func Foreign(r *http.Request) bool {
	switch site := r.Header.Get("Sec-Fetch-Site"); site {
	case "", "same-origin", "none":
	default:
		return true
	}
	return new(http.CrossOriginProtection).Check(r) != nil
}

// cookie is the session cookie. It is Secure if a TLS proxy says that the browser used https; of several proxies the
// first one counts.
func cookie(r *http.Request, value string, maxAge int) *http.Cookie {
	proto, _, _ := strings.Cut(r.Header.Get("X-Forwarded-Proto"), ",")
	return &http.Cookie{
		Name: sessionCookie, Value: value, Path: "/", MaxAge: maxAge, HttpOnly: true, SameSite: http.SameSiteStrictMode,
		Secure: r.TLS != nil || strings.EqualFold(strings.TrimSpace(proto), "https"),
	}
}

// HostOnly removes the port and the brackets from a host.
func HostOnly(host string) string {
	if name, _, err := net.SplitHostPort(host); err == nil {
		return name
	}
	return strings.Trim(host, "[]")
}
