// Package access decides who calls, and what the caller may do: API tokens and their scopes, sessions of the console,
// rights of tokens and signing keys, and limits of each of them. It reads no body and writes no answer.
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

// Rules is what a reload replaces, as a whole.
type Rules struct {
	Keys        *signing.Keyring
	Parser      *variant.Parser
	OnlyPresets bool // as the Parser was told
	Negotiation variant.Negotiation
	Lifetimes   Lifetimes
	API         API
	Prewarm     unit.Rules // how prewarm calls are read
	Links       Links      // nil = links stand in URLs
	Buckets     bucketevents.Rules
}

// Lifetimes are the answers' Cache-Control, as the cache's configuration says it.
type Lifetimes struct {
	MaxAge       time.Duration // of a final answer
	FirstMaxAge  time.Duration // of a first-stage or stale answer, which a better one will replace
	SWR          time.Duration // stale-while-revalidate; 0 = not said
	SIE          time.Duration // stale-if-error; 0 = not said
	TTL          time.Duration // life of an entry; 0 = for ever, which makes final answers immutable
	HonourOrigin bool          // the origin's own lifetime bounds MaxAge
}

// Current are the rules in force. They never change: one request sees the same ones from beginning to end.
type Current struct {
	Rules
	callers []Caller
	keys    map[string]*bucket // by key id; absent = no limit
}

// Meter counts refusals. Implemented by metrics.Metrics.
type Meter interface {
	// Limited counts what was refused for the limit of a token or key, which are what; name is the operator's for it.
	Limited(what, name string)
}

// Access knows the callers. Safe for concurrent use.
type Access struct {
	now     func() time.Time
	meter   Meter // nil = none
	current atomic.Pointer[Current]
	intake  *semaphore.Weighted // what the bodies of all calls may take in memory

	sessions        *sessions // of the console
	logins, bearers *guesses  // wrong tokens
}

// New makes an Access that knows nobody before its first Reload. A nil meter counts nothing.
func New(now func() time.Time, meter Meter) *Access {
	return &Access{
		now: now, meter: meter, intake: newIntake(), sessions: newSessions(),
		logins: newGuesses(loginGuesses), bearers: newGuesses(bearerGuesses),
	}
}

// Current gives the rules in force.
func (a *Access) Current() *Current { return a.current.Load() }

// Reload puts rules in force for requests that begin from now on, and gives them. On an error the old ones stay.
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

// Identify finds who calls: the holder of the bearer token or, without one, of the console's session.
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
			"a call by session needs the session's "+csrfHeader+" header; load the console anew", nil)
	}
	return who, nil
}

// Visitor finds the session of a request and the token that it stands for, as the rules in force know it. What a page
// of another origin asks for has no session, although the browser may send its cookie: to SameSite all ports of a host
// are one site.
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

// Login exchanges a token for a session, whose cookie it gives. The session that the request has ends.
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

// Logout ends the session of a request, if it has one, and gives the cookie that takes its cookie back.
func (a *Access) Logout(r *http.Request) *http.Cookie {
	a.sessions.end(r)
	return cookie(r, "", -1)
}

// Idle reports whether no call holds room for its bodies.
func (a *Access) Idle() bool {
	const all = intakeRoom * intakeUnits
	if !a.intake.TryAcquire(all) {
		return false
	}
	a.intake.Release(all)
	return true
}

// Enter opens an empty place for the bodies of a caller's call. The caller must leave it; leaving twice is fine.
func (a *Access) Enter(ctx context.Context, who Caller) *Place {
	size := max(a.Current().Prewarm.Limits.Body/intakeUnits, 1)
	return &Place{ctx: ctx, all: a.intake, own: who.room, unit: size, patience: intakePatience}
}

// Foreign reports whether a browser says that a page of another origin asks.
func Foreign(r *http.Request) bool {
	switch site := r.Header.Get("Sec-Fetch-Site"); site {
	case "", "same-origin", "none":
	default:
		return true
	}
	return new(http.CrossOriginProtection).Check(r) != nil
}

// cookie is the session's. It is marked Secure where a TLS proxy says that the browser came by https; of several
// proxies the first one speaks of the browser.
func cookie(r *http.Request, value string, maxAge int) *http.Cookie {
	proto, _, _ := strings.Cut(r.Header.Get("X-Forwarded-Proto"), ",")
	return &http.Cookie{
		Name: sessionCookie, Value: value, Path: "/", MaxAge: maxAge, HttpOnly: true, SameSite: http.SameSiteStrictMode,
		Secure: r.TLS != nil || strings.EqualFold(strings.TrimSpace(proto), "https"),
	}
}

// HostOnly cuts the port and the brackets off a host.
func HostOnly(host string) string {
	if name, _, err := net.SplitHostPort(host); err == nil {
		return name
	}
	return strings.Trim(host, "[]")
}
