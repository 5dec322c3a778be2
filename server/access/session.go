package access

import (
	"crypto/rand"
	"crypto/sha256"
	"net/http"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
)

const (
	sessionCookie = "goldcrest_session"
	csrfHeader    = "X-CSRF-Token"
	sessionLife   = 12 * time.Hour
	maxSessions   = 1000 // beyond it the oldest ends
)

// Session is a browser that is logged in with a token. It has the token's rights, and ends with it.
type Session struct {
	token [sha256.Size]byte // digest of the token
	// CSRF is the value of csrfHeader in unsafe calls: a page of another origin can send the cookie, but does not know
	// this.
	CSRF    string
	Expires time.Time
}

// sessions are the logged-in browsers, by the digest of their cookie. They are in memory: a restart ends them. Safe for
// concurrent use.
type sessions struct {
	open *lru.Cache[[sha256.Size]byte, Session] // in the order of their begin, since Peek does not change it
}

func newSessions() *sessions {
	open, _ := lru.New[[sha256.Size]byte, Session](maxSessions) // fails only for a size below 1
	return &sessions{open}
}

// begin opens a session for the token of a digest and returns the cookie's value.
func (s *sessions) begin(token [sha256.Size]byte, now time.Time) (cookie string) {
	cookie = rand.Text() + rand.Text()
	s.open.Add(sha256.Sum256([]byte(cookie)), Session{token: token, CSRF: rand.Text(), Expires: now.Add(sessionLife)})
	return cookie
}

// find returns the session of a request's cookie.
func (s *sessions) find(r *http.Request, now time.Time) (Session, bool) {
	c, err := r.Cookie(sessionCookie)
	if err != nil {
		return Session{}, false
	}
	one, ok := s.open.Peek(sha256.Sum256([]byte(c.Value)))
	return one, ok && now.Before(one.Expires)
}

// end closes the session of a request's cookie, if there is one.
func (s *sessions) end(r *http.Request) {
	if c, err := r.Cookie(sessionCookie); err == nil {
		s.open.Remove(sha256.Sum256([]byte(c.Value)))
	}
}
