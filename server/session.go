package server

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/goldcrest/goldcrest/fault"
)

const (
	sessionCookie = "goldcrest_session"
	csrfHeader    = "X-CSRF-Token"
	sessionLife   = 12 * time.Hour
	maxSessions   = 1000 // the oldest ends when there is one more
)

// session is a browser that showed a token. It may do what the token may, and ends with it.
type session struct {
	token   [sha256.Size]byte // digest of the token
	csrf    string            // what unsafe calls carry in csrfHeader: a page of another origin can send the cookie, but not know this
	expires time.Time
}

// sessions are the browsers that are logged in, by the digest of their cookie. They live in memory: a restart ends
// them. Safe for concurrent use.
type sessions struct {
	mu   sync.Mutex
	open map[[sha256.Size]byte]session
}

func newSessions() *sessions { return &sessions{open: map[[sha256.Size]byte]session{}} }

// begin opens a session for the token of a digest and gives its cookie's value.
func (s *sessions) begin(token [sha256.Size]byte, now time.Time) (cookie string) {
	cookie = rand.Text() + rand.Text()
	s.mu.Lock()
	defer s.mu.Unlock()
	var oldest [sha256.Size]byte
	for id, one := range s.open {
		if !now.Before(one.expires) {
			delete(s.open, id)
		} else if first, ok := s.open[oldest]; !ok || one.expires.Before(first.expires) {
			oldest = id
		}
	}
	if len(s.open) >= maxSessions {
		delete(s.open, oldest)
	}
	s.open[sha256.Sum256([]byte(cookie))] = session{token: token, csrf: rand.Text(), expires: now.Add(sessionLife)}
	return cookie
}

// find gives the session of a request's cookie.
func (s *sessions) find(r *http.Request, now time.Time) (session, bool) {
	c, err := r.Cookie(sessionCookie)
	if err != nil {
		return session{}, false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	one, ok := s.open[sha256.Sum256([]byte(c.Value))]
	return one, ok && now.Before(one.expires)
}

// end closes the session of a request's cookie, if there is one.
func (s *sessions) end(r *http.Request) {
	if c, err := r.Cookie(sessionCookie); err == nil {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.open, sha256.Sum256([]byte(c.Value)))
	}
}

// caller finds who calls the private door: the holder of the bearer token or, without one, of the console's session.
func (s *Server) caller(r *http.Request) (credential, error) {
	if r.Header.Get("Authorization") != "" {
		if who, ok := s.rules.Load().holder(r); ok {
			return who, nil
		}
		return credential{}, s.bearers.wrong(guesser(r), s.deps.Now(), "a valid bearer token is needed")
	}
	who, one, ok := s.visitor(r)
	if !ok {
		return credential{}, fault.New(fault.Unauthorized, "server.caller", "a valid bearer token is needed", nil)
	}
	if r.Method != http.MethodGet && r.Method != http.MethodHead &&
		subtle.ConstantTimeCompare([]byte(r.Header.Get(csrfHeader)), []byte(one.csrf)) != 1 {
		return credential{}, fault.New(fault.ForbiddenScope, "server.caller", "a call by session needs the session's "+csrfHeader+" header; load the console anew", nil)
	}
	return who, nil
}

// visitor finds the session of a request and the token that it stands for, as the rules in force know it. What a page
// of another origin asks for has no session, although the browser may send its cookie: to SameSite all ports of a host
// are one site.
func (s *Server) visitor(r *http.Request) (credential, session, bool) {
	path := r.URL.Path
	if !strings.HasPrefix(path, "/v1/") && !strings.HasPrefix(path, "/console") || foreign(r) {
		return credential{}, session{}, false
	}
	one, ok := s.sessions.find(r, s.deps.Now())
	if !ok {
		return credential{}, one, false
	}
	who, ok := s.rules.Load().find(one.token)
	return who, one, ok
}

// foreign reports whether a browser says that a page of another origin asks.
func foreign(r *http.Request) bool {
	switch site := r.Header.Get("Sec-Fetch-Site"); site {
	case "", "same-origin", "none":
	default:
		return true
	}
	return new(http.CrossOriginProtection).Check(r) != nil
}
