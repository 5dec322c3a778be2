package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

const shopToken, otherToken = "e2e-shop-token-00001", "e2e-other-token-0001"

// quotaConfig configures a token with a quota, one without, and an admin.
func quotaConfig(dir, quota string) string {
	const tokens = `api: {tokens: [{name: shop, token: %s, scopes: [prewarm], quota: %s}, {name: other, token: %s, scopes: [prewarm]},
  {name: backend, token: %s, scopes: [prewarm, admin]}]}
`
	return configText(dir, fmt.Sprintf(tokens, shopToken, quota, otherToken, backendToken))
}

// post posts n units of one image each, with a token.
func (s *server) post(token, origin, name string, n int) answer {
	var units []string
	for i := range n {
		units = append(units, fmt.Sprintf(`{"photo":"%s/photos/groceries.jpg?%s%d"}`, origin, name, i))
	}
	return s.call("POST", "/v1/prewarm?variants=w:60/f:jpg&body=units", "["+strings.Join(units, ",")+"]", "Authorization", "Bearer "+token)
}

// usage is what a token has used today, and what remains.
func (s *server) usage(query, token string) (all []struct {
	Owner string
	Quota map[string]map[string]int
	Days  []struct {
		DataUnits int `json:"data_units"`
		Images    int
		Made      int
		Refused   int
		Bytes     map[string]int
	}
}) {
	s.t.Helper()
	a := s.call("GET", "/v1/usage"+query, "", "Authorization", "Bearer "+token)
	var out = struct{ Usage any }{&all}
	if err := json.Unmarshal(a.body, &out); a.StatusCode != 200 || err != nil {
		s.t.Fatalf("usage: %d %s, %v", a.StatusCode, a.body, err)
	}
	return all
}

// Only a token beyond its quota gets 429. The end of its job frees quota. Today's usage survives a killed process, and
// a reload applies another quota.
func TestAttackQuota(t *testing.T) {
	corpus(t)
	o := startOrigin(t)
	dir := t.TempDir()
	file := filepath.Join(dir, "config.yaml")
	write := func(quota string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(quotaConfig(dir, quota)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("{units_queued: 2, images_a_day: 4}")
	if now := time.Now().UTC(); now.Hour() == 23 && now.Minute() >= 55 {
		t.Skip("the day of UTC is about to end")
	}
	hold := make(chan struct{})
	o.on("/photos/groceries.jpg", func(w http.ResponseWriter, r *http.Request) {
		<-hold
		w.Header().Set("Content-Type", "image/jpeg")
		http.ServeFile(w, r, filepath.Join(os.Getenv("GOLDCREST_CORPUS"), "photos", "groceries.jpg"))
	})
	s := startIn(t, dir)
	first := s.post(shopToken, o.URL, "a", 2)
	if first.StatusCode != 202 {
		t.Fatalf("%d %s", first.StatusCode, first.body)
	}
	refused := func(name string, n int, said string) {
		t.Helper()
		a := s.post(shopToken, o.URL, name, n)
		if a.StatusCode != 429 || a.Header.Get("X-Error") != "quota_exceeded" || a.Header.Get("Retry-After") == "" || !strings.Contains(string(a.body), said) {
			t.Errorf("%s: %d %v %s", name, a.StatusCode, a.Header, a.body)
		}
	}
	refused("b", 1, "units_queued")
	if a := s.post(otherToken, o.URL, "c", 9); a.StatusCode != 202 {
		t.Errorf("another token: %d %s", a.StatusCode, a.body)
	}
	close(hold)
	var j job
	if err := json.Unmarshal(first.body, &j); err != nil {
		t.Fatal(err)
	}
	if got := s.ended(j.Job); got.Counts["made"] != 2 {
		t.Fatalf("the job: %+v", got)
	}
	if a := s.call("GET", "/v1/jobs/"+j.Job, ""); !strings.Contains(string(a.body), `"owner":"shop"`) {
		t.Errorf("admin is not told whose the job is: %s", a.body)
	}
	if a := s.post(shopToken, o.URL, "d", 1); a.StatusCode >= 300 {
		t.Errorf("after the end of the job: %d %s", a.StatusCode, a.body)
	}
	refused("e", 2, "images_a_day")
	if got := s.metric("goldcrest_usage_images_total", `token="shop"`); got != 3 {
		t.Errorf("the metric says %v images", got)
	}

	s.kill()
	s = startIn(t, dir)
	refused("f", 2, "images_a_day")
	u := s.usage("", shopToken)
	if len(u) != 1 || u[0].Owner != "shop" || u[0].Quota["images_a_day"]["remaining"] != 1 || u[0].Quota["units_queued"]["limit"] != 2 || u[0].Days[0].Images != 3 {
		t.Errorf("usage: %+v", u)
	}
	if u := s.usage("?owner=shop&days=1", backendToken); len(u) != 1 || u[0].Owner != "shop" {
		t.Errorf("admin's view: %+v", u)
	}
	if a := s.call("GET", "/v1/usage?owner=shop", "", "Authorization", "Bearer "+otherToken); a.StatusCode != 403 {
		t.Errorf("another token's view: %d %s", a.StatusCode, a.body)
	}
	write("{images_a_day: 5}")
	s.cmd.Process.Signal(syscall.SIGHUP)
	eventually(t, "the reload brings another quota", func() bool { return s.post(shopToken, o.URL, "f", 2).StatusCode < 300 })
	refused("g", 1, "5 images may be asked for in a day of UTC, 5 were")
}
