package e2e

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"
)

// TestAttackOtherTenants is attack 3.3: a token with the same scopes tries to read, stop and rerun the job of another
// token, and to read the queries of its sources from listing, results, events and the feed of broken sources.
func TestAttackOtherTenants(t *testing.T) {
	corpus(t)
	const mine, other, secret = "e2e-token-of-the-owner", "e2e-token-of-a-stranger", "hush-hush-signature"
	o := startOrigin(t)
	s := start(t, fmt.Sprintf("GOLDCREST_API_TOKENS=[{name: mine, token: %s, scopes: [prewarm, check, purge]}, {name: other, token: %s, scopes: [prewarm, check, purge]}]", mine, other))
	by := func(token, method, path, body string) answer {
		t.Helper()
		a, err := send(method, s.admin+path, strings.NewReader(body), "Authorization", "Bearer "+token)
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	unit := fmt.Sprintf(`{"id": "unit-of-the-owner", "images": ["%s/photos/groceries.jpg?sig=%s", "%[1]s/missing/x.jpg?sig=%[2]s"]}`, o.URL, secret)
	var job accepted
	if a := by(mine, "POST", "/v1/prewarm?variants=w:60/f:jpg&tag=campaign", unit); json.Unmarshal(a.body, &job) != nil || job.Job == "" {
		t.Fatalf("the call: %d %s", a.StatusCode, a.body)
	}
	within(t, time.Minute, "the job ended", func() bool {
		return strings.Contains(string(by(mine, "GET", "/v1/jobs/"+job.Job+"?wait=5", "").body), `"partial"`)
	})
	for _, path := range []string{"", "/results", "/events", "/results?state=broken"} {
		a := by(other, "GET", "/v1/jobs/"+job.Job+path, "")
		if a.StatusCode != 404 || strings.Contains(string(a.body), secret) {
			t.Errorf("GET %s: %d %.200s", path, a.StatusCode, a.body)
		}
	}
	for _, call := range [][2]string{{"POST", "/retry"}, {"DELETE", ""}} {
		if a := by(other, call[0], "/v1/jobs/"+job.Job+call[1], ""); a.StatusCode != 404 {
			t.Errorf("%s %s: %d %.200s", call[0], call[1], a.StatusCode, a.body)
		}
	}
	for _, path := range []string{"/v1/jobs", "/v1/broken"} {
		if a := by(other, "GET", path, ""); strings.Contains(string(a.body), job.Job) || strings.Contains(string(a.body), secret) || strings.Contains(string(a.body), "unit-of-the-owner") {
			t.Errorf("%s tells a stranger of the job: %s", path, a.body)
		}
		if a := by(mine, "GET", path, ""); a.StatusCode != 200 || !strings.Contains(string(a.body), job.Job) && !strings.Contains(string(a.body), secret) {
			t.Errorf("%s does not tell the owner: %d %s", path, a.StatusCode, a.body)
		}
	}
	by(other, "POST", "/v1/purge", `{"tag": "campaign"}`)
	if a := s.get(urlPath(t, job.Units[0].Images[0].Variants[0].URL)); !strings.Contains(a.Header.Get("Cache-Status"), "hit") {
		t.Errorf("a stranger purged by the owner's tag: %s", a.Header.Get("Cache-Status"))
	}
}
