package access

import (
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"

	"github.com/goldcrest/goldcrest/fault"
)

const (
	loginGuesses  = 5    // wrong tokens of one address in a minute, at the console's login
	bearerGuesses = 60   // the same, of the API
	maxGuessers   = 4096 // addresses that are stored; beyond it the one that was silent for the longest time is dropped
)

// guesses counts wrong tokens by address. It never affects a valid token, which is checked first. Safe for concurrent
// use.
type guesses struct {
	limit int

	mu sync.Mutex
	by *simplelru.LRU[string, guessed]
}

// guessed are the wrong tokens of an address in the minute that began at since.
type guessed struct {
	n     int
	since time.Time
}

func newGuesses(limit int) *guesses {
	by, _ := simplelru.NewLRU[string, guessed](maxGuessers, nil) // fails only for a size below 1
	return &guesses{limit: limit, by: by}
}

// wrong counts one more wrong token and returns the refusal: unauthorized, or rate_limited beyond the limit.
func (g *guesses) wrong(addr string, now time.Time, public string) *fault.Error {
	g.mu.Lock()
	defer g.mu.Unlock()
	t, _ := g.by.Get(addr)
	if age := now.Sub(t.since); age < 0 || age >= time.Minute {
		t = guessed{since: now}
	}
	t.n++
	g.by.Add(addr, t)
	if t.n <= g.limit {
		return fault.New(fault.Unauthorized, "access.guesses", public, nil)
	}
	return fault.New(fault.RateLimited, "access.guesses", fmt.Sprintf("More than %d wrong tokens came from this address within a minute. A correct one is accepted at once.", g.limit), nil).
		After(t.since.Add(time.Minute).Sub(now))
}

// guesser is the key that a request's wrong tokens are counted under. The lower 64 bits of an IPv6 address can be
// chosen by its owner.
func guesser(r *http.Request) string {
	host := HostOnly(r.RemoteAddr)
	if ip := net.ParseIP(host); ip != nil && ip.To4() == nil {
		return ip.Mask(net.CIDRMask(64, 128)).String()
	}
	return host
}
