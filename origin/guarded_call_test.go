package origin

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// Requests of the house's own meet the same guard, and follow nobody.
func TestGuardedCalls(t *testing.T) {
	hits, agent := 0, ""
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		hits++
		agent = r.UserAgent()
		http.Redirect(w, r, "/further", http.StatusFound)
	}))
	defer srv.Close()
	post := func(c *Client) (*http.Response, error) {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, srv.URL, strings.NewReader("{}"))
		if err != nil {
			t.Fatal(err)
		}
		return c.Guarded().Do(r)
	}
	guarded, err := New(Default(), Hooks{})
	if err != nil {
		t.Fatal(err)
	}
	defer guarded.Close()
	if res, err := post(guarded); !errors.Is(err, errBlocked) || hits != 0 {
		t.Errorf("a loopback address: got %v, %v after %d hits", res, err, hits)
	}
	cfg := Default()
	cfg.AllowPrivate = []string{"127.0.0.0/8"}
	open, err := New(cfg, Hooks{Agent: "goldcrest/1.2.3"})
	if err != nil {
		t.Fatal(err)
	}
	defer open.Close()
	res, err := post(open)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if agent != "goldcrest/1.2.3" {
		t.Errorf("the User-Agent is %q", agent)
	}
	if res.StatusCode != http.StatusFound || hits != 1 {
		t.Errorf("got %d after %d hits, want the redirect itself", res.StatusCode, hits)
	}
}
