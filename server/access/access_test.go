package access

import (
	"fmt"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"github.com/goldcrest/goldcrest/fault"
	"github.com/goldcrest/goldcrest/signing"
	"github.com/goldcrest/goldcrest/variant"
)

var testNow = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// newAccess knows two tokens.
func newAccess(t *testing.T) *Access {
	t.Helper()
	now := func() time.Time { return testNow }
	key := signing.Key{Key: "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f", Salt: "5a17"}
	keys, err := signing.New(signing.Config{Keys: []signing.Key{key}}, now)
	if err != nil {
		t.Fatal(err)
	}
	parser, err := variant.NewParser(nil, false)
	if err != nil {
		t.Fatal(err)
	}
	a := New(now, nil)
	if _, err := a.Reload(Rules{Keys: keys, Parser: parser, API: API{Tokens: []Token{
		{Name: "one", Token: "the-token-of-the-first", Scopes: []string{ScopePrewarm}},
		{Name: "two", Token: "the-token-of-the-second", Scopes: []string{ScopePrewarm}},
	}}}); err != nil {
		t.Fatal(err)
	}
	return a
}

// TestIntakeIsShared has one token fill its share of the room for bodies with what it sends; other tokens are read all
// the same.
func TestIntakeIsShared(t *testing.T) {
	a := newAccess(t)
	mine, other := a.Current().callers[0], a.Current().callers[1]
	limit := a.Current().Prewarm.Limits.Body
	var held []*Place
	for range intakeShare {
		p := a.Enter(t.Context(), mine)
		if err := p.Grow(limit); err != nil {
			t.Fatal(err)
		}
		held = append(held, p)
	}
	synctest.Test(t, func(t *testing.T) {
		p := a.Enter(t.Context(), mine)
		if err := p.Grow(1); fault.KindOf(err) != fault.RateLimited {
			t.Errorf("beyond the share: %v", err)
		}
	})
	p := a.Enter(t.Context(), other)
	if err := p.Grow(limit); err != nil {
		t.Errorf("another token: %v", err)
	}
	for _, p := range append(held, p) {
		p.Leave()
		p.Leave()
	}
	if !a.Idle() {
		t.Error("not all room was given back")
	}
}

// TestOneCallTakesAShareAtMost: a call larger than there can be takes the share of its token, and gives it back.
func TestOneCallTakesAShareAtMost(t *testing.T) {
	a := newAccess(t)
	big := a.Enter(t.Context(), a.Current().callers[0])
	if err := big.Ask(100_000_000); err != nil || big.units != intakeShare*intakeUnits {
		t.Fatalf("%v, %d units", err, big.units)
	}
	big.Keep(0)
	if big.units != 0 || !a.Idle() {
		t.Errorf("%d units are held while the call waits", big.units)
	}
}

func TestSessionsAreBounded(t *testing.T) {
	s := newSessions()
	for i := range maxSessions + 3 {
		s.begin([32]byte{1}, testNow.Add(time.Duration(i)*time.Second))
	}
	if n := s.open.Len(); n != maxSessions {
		t.Errorf("%d sessions are open", n)
	}
}

// TestGuessersAreBounded guesses from more addresses than are remembered.
func TestGuessersAreBounded(t *testing.T) {
	a := newAccess(t)
	for i := range maxGuessers + 10 {
		r := httptest.NewRequest("POST", "/console/login", nil)
		r.RemoteAddr = fmt.Sprintf("10.0.%d.%d:9", i/256, i%256)
		if _, _, wrong := a.Login(r, "nonsense-nonsense"); wrong == nil || wrong.Kind != fault.Unauthorized {
			t.Fatalf("address %d: %v", i, wrong)
		}
	}
	if n := a.logins.by.Len(); n != maxGuessers {
		t.Errorf("%d addresses are remembered", n)
	}
}
