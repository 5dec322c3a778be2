package server

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/goldcrest/goldcrest/prewarm/ledger"
	"github.com/goldcrest/goldcrest/prewarm/unit"
	"github.com/goldcrest/goldcrest/prewarm/usage"
	"github.com/goldcrest/goldcrest/server/access"
)

// matrixRow is one route of the private door: what it is asked, and the status that each caller gets.
type matrixRow struct {
	path, body          string // an empty path is the route's own
	owner, other, admin int
}

// matrixRows are all routes by their pattern; explained is a path that the public door serves.
func matrixRows(explained string) map[string]matrixRow {
	call := `{"urls":["https://c.example/a.jpg"]}`
	return map[string]matrixRow{
		"POST /v1/prewarm":               {"", call, 200, 200, 200},
		"POST /v1/check":                 {"", call, 200, 200, 200},
		"GET /v1/jobs":                   {"", "", 200, 200, 200},
		"GET /v1/jobs/{id}":              {"/v1/jobs/j1", "", 200, 404, 200},
		"DELETE /v1/jobs/{id}":           {"/v1/jobs/j1", "", 200, 404, 200},
		"GET /v1/jobs/{id}/results":      {"/v1/jobs/j1/results", "", 200, 404, 200},
		"GET /v1/jobs/{id}/events":       {"/v1/jobs/j1/events", "", 200, 404, 200},
		"POST /v1/jobs/{id}/retry":       {"/v1/jobs/j1/retry", "", 202, 404, 202},
		"GET /v1/broken":                 {"", "", 200, 200, 200},
		"GET /v1/usage":                  {"", "", 200, 200, 200},
		"POST /v1/sign":                  {"", `{"source":"` + photo + `"}`, 200, 200, 200},
		"GET /v1/explain/{path}":         {"/v1/explain" + explained, "", 200, 200, 200},
		"POST /v1/purge":                 {"", `{"source":"` + photo + `"}`, 200, 200, 200},
		"POST /v1/events/s3":             {"", `{"Event":"s3:TestEvent"}`, 200, 200, 403},
		"POST /v1/compat/lambda":         {"", `{"key_urls_map":{},"bucket_name":"b"}`, 202, 202, 202},
		"GET /v1/stats":                  {"", "", 200, 200, 200},
		"GET /v1/history":                {"", "", 200, 200, 200},
		"GET /v1/intakes":                {"", "", 403, 403, 200},
		"POST /v1/intakes/{name}/pause":  {"/v1/intakes/shop/pause", "", 403, 403, 200},
		"POST /v1/intakes/{name}/resume": {"/v1/intakes/shop/resume", "", 403, 403, 200},
		"GET /v1/config":                 {"", "", 403, 403, 200},
		"GET /debug/pprof/{path}":        {"/debug/pprof/", "", 403, 403, 200},
		"GET /debug/pprof/cmdline":       {"", "", 403, 403, 200},
		"GET /debug/pprof/symbol":        {"", "", 403, 403, 200},
	}
}

// listTo makes the lists empty, and tells who asked for one last.
func (f *fakePrewarm) listTo(asked *ledger.Caller) {
	f.onJobs = func(_ context.Context, who ledger.Caller, _ int, _ string) ([]ledger.Job, string, error) {
		*asked = who
		return nil, "", nil
	}
	f.onBroken = func(_ context.Context, who ledger.Caller, _ time.Time, _ int) ([]ledger.BrokenCount, error) {
		*asked = who
		return nil, nil
	}
	f.onUsage = func(_ context.Context, who ledger.Caller, _ string, _ int) ([]usage.Owner, error) {
		*asked = who
		return nil, nil
	}
}

// Every route of the private door, asked by everybody: what is not listed here fails the test.
func TestPrivateRoutesByCaller(t *testing.T) {
	const (
		wrong, other, owner, admin = "a-token-of-the-wrong-scope", "a-token-of-another-tenant", "the-token-that-owns-the-job", "the-token-of-an-operator"
	)
	a := describedAPI(t)
	rules := a.access.Current().Rules
	tenant := []string{access.ScopePrewarm, access.ScopeCheck, access.ScopeSign, access.ScopeExplain, access.ScopePurge, access.ScopeCompat,
		access.ScopeEvents}
	rules.API.Tokens = []access.Token{
		{Name: "other", Token: other, Scopes: tenant}, {Name: "backend", Token: owner, Scopes: tenant},
		{Name: "operator", Token: admin, Scopes: []string{access.ScopeAdmin, access.ScopeExplain, access.ScopeCheck, access.ScopeSign, access.ScopePrewarm, access.ScopeCompat}},
		{Name: "sign", Token: wrong + "-sign", Scopes: []string{access.ScopeSign}}, {Name: "compat", Token: wrong + "-compat", Scopes: []string{access.ScopeCompat}},
	}
	if err := a.Reload(rules); err != nil {
		t.Fatal(err)
	}
	var asked ledger.Caller
	a.prewarm.listTo(&asked)
	rows := matrixRows(a.url("w:9", photo))
	// They take their time for those who may.
	slow := map[string]bool{"GET /debug/pprof/profile": true, "GET /debug/pprof/trace": true}
	// Without tokens; the console has sessions, see TestConsoleScopes.
	open := []string{"/healthz", "/readyz", "/metrics", "/console"}
	for route := range routes(a.Server) {
		method, path, _ := strings.Cut(route, " ")
		row, listed := rows[route]
		isOpen := false
		for _, prefix := range open {
			isOpen = isOpen || strings.HasPrefix(path, prefix)
		}
		switch {
		case isOpen:
			continue
		case slow[route]:
			row.owner, row.other = 403, 403
		case !listed:
			t.Errorf("%s has no row: who may call it?", route)
			continue
		}
		if row.path != "" {
			path = row.path
		}
		unfit := wrong + "-sign"
		if strings.Contains(path, "/sign") {
			unfit = wrong + "-compat"
		}
		for _, x := range []struct {
			who, token string
			want       int
		}{
			{"nobody", "", 401}, {"a stranger", "a-token-of-nobody-at-all", 401}, {"the wrong scope", unfit, 403},
			{"another tenant", other, row.other}, {"the owner", owner, row.owner}, {"admin", admin, row.admin},
		} {
			if x.want == 0 {
				continue
			}
			asked = ledger.Caller{}
			headers := []string{"Content-Type: application/json"}
			if x.token != "" {
				headers = append(headers, "Authorization: Bearer "+x.token)
			}
			w := a.private(method, path, row.body, headers...)
			if w.Code != x.want {
				t.Errorf("%s by %s: status %d, want %d: %s", route, x.who, w.Code, x.want, w.Body)
			}
			if x.want == 404 && code(t, w) != "no_such_job" {
				t.Errorf("%s by %s: an id can be told from one that does not exist: %s", route, x.who, w.Body)
			}
			if asked.All && x.who != "admin" || asked.Name == "" && (path == "/v1/jobs" || path == "/v1/broken" || path == "/v1/usage") && x.want == 200 {
				t.Errorf("%s by %s asks as %+v", route, x.who, asked)
			}
		}
	}
}

// A token whose configuration names one reading posts documents, whatever they look like.
func TestTokenWithAReadingPostsDocuments(t *testing.T) {
	a := newAPI(t, func(_ *Config, r *access.Rules) { r.API.Tokens[0].Bodies = []string{unit.BodyUnit} })
	told := accepting(a, doneJob())
	doc := `{"urls":["https://evil.example/a.jpg"],"keys":["v1/ab/c"],"priority":"high","callback":{"url":"https://evil.example/"},"photo":"https://c.example/a.jpg"}`
	const js = "Content-Type: application/json"
	if w := a.private("POST", "/v1/prewarm", doc, bearer, js); w.Code != 200 || told.call.Callback != nil || told.call.Priority != "" || len(told.call.Units) != 1 {
		t.Errorf("status %d, the call is %+v: %s", w.Code, told.call, w.Body)
	}
	if w := a.private("POST", "/v1/check", doc, bearer, js); w.Code != 200 || strings.Contains(w.Body.String(), "v1/ab/c") || !strings.Contains(w.Body.String(), "c.example/a.jpg") {
		t.Errorf("check: status %d: %s", w.Code, w.Body)
	}
	for _, path := range []string{"/v1/prewarm?body=envelope", "/v1/check?body=envelope"} {
		if w := a.private("POST", path, doc, bearer, js); w.Code != 403 || code(t, w) != "forbidden_scope" {
			t.Errorf("%s: status %d: %s", path, w.Code, w.Body)
		}
	}
}
