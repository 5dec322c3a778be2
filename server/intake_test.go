package server

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/goldcrest/goldcrest/fault"
	"github.com/goldcrest/goldcrest/prewarm"
	"github.com/goldcrest/goldcrest/prewarm/unit"
)

// TestCallsAreWeighed: what a call asks for takes room before it is built, in all three calls that take lists of
// images; one call alone never waits for itself, and a call for which there is no room is refused before anything is
// done.
func TestCallsAreWeighed(t *testing.T) {
	a := newAPI(t, nil)
	big := a.access.Enter(t.Context(), a.who(bearer))
	if err := big.Ask(100_000_000); err != nil {
		t.Fatalf("a call as large as there is none: %v", err)
	}
	accepting(a, aJob())
	for _, path := range []string{"/v1/prewarm", "/v1/check"} {
		synctest.Test(t, func(t *testing.T) {
			if w := a.private("POST", path, unitBody, bearer); w.Code != http.StatusTooManyRequests {
				t.Errorf("%s beside it: status %d: %s", path, w.Code, w.Body)
			}
		})
	}
	big.Keep(0)
	a.prewarm.onWeigh = func(unit.Call) (int, error) { return 0, fault.New(fault.BodyTooLarge, "", "too many variants", nil) }
	for _, path := range []string{"/v1/prewarm", "/v1/check"} { // The fake has no onCheck: nothing is done for it.
		if w := a.private("POST", path, unitBody, bearer); w.Code != http.StatusRequestEntityTooLarge {
			t.Errorf("%s: status %d: %s", path, w.Code, w.Body)
		}
	}
}

// TestFailedAnswersEndAsProblemsOrBreakOff: an answer that fails before anything was sent is a problem document; one of
// which a part is sent does not end like a whole one.
func TestFailedAnswersEndAsProblemsOrBreakOff(t *testing.T) {
	a := newAPI(t, nil)
	rows := 0
	a.prewarm.onCheck = func(_ context.Context, asks []prewarm.CheckAsk) ([]prewarm.Checked, error) {
		return make([]prewarm.Checked, rows), fault.New(fault.Overloaded, "", "the store does not answer", errors.New("gone"))
	}
	body := `{"keys":["` + strings.Repeat(`k","`, 20_000) + `k"]}`
	if w := a.private("POST", "/v1/check", body, bearer); w.Code < 500 || !strings.Contains(w.Body.String(), string(fault.Overloaded)) {
		t.Errorf("status %d: %.200s", w.Code, w.Body)
	}
	rows = 20_000
	defer func() {
		if r := recover(); r != http.ErrAbortHandler {
			t.Errorf("the rest is missing, and the answer ends with %v", r)
		}
	}()
	a.private("POST", "/v1/check", body, bearer)
}
