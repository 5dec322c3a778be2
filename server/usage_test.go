package server

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/goldcrest/goldcrest/fault"
	"github.com/goldcrest/goldcrest/prewarm"
	"github.com/goldcrest/goldcrest/prewarm/ledger"
	"github.com/goldcrest/goldcrest/prewarm/unit"
	"github.com/goldcrest/goldcrest/prewarm/usage"
	"github.com/goldcrest/goldcrest/server/access"
)

const shopBearer = "Authorization: Bearer a-token-of-the-shop"

// withShop is the access.API with a token that is no admin's beside the one that is.
func withShop(t *testing.T) *apiFixture {
	return newAPI(t, func(_ *Config, r *access.Rules) {
		r.API.Tokens = append(r.API.Tokens, access.Token{
			Name: "shop", Token: "a-token-of-the-shop", Scopes: []string{access.ScopePrewarm},
		})
	})
}

// A token sees its own usage; admin sees that of all, or of the one that it names.
func TestTokensSeeOnlyTheirOwnUsage(t *testing.T) {
	a := withShop(t)
	type asked struct {
		who   ledger.Caller
		owner string
		days  int
	}
	var got asked
	a.prewarm.onUsage = func(_ context.Context, who ledger.Caller, owner string, days int) ([]usage.Owner, error) {
		got = asked{who, owner, days}
		return nil, nil
	}
	shop, admin := ledger.Caller{Name: "shop"}, ledger.Caller{Name: "backend", All: true}
	for _, x := range []struct {
		query, bearer string
		status        int
		want          asked
	}{
		{"", shopBearer, 200, asked{shop, "", 7}},
		{"?owner=shop&days=31", shopBearer, 200, asked{shop, "shop", 31}},
		{"?owner=backend", shopBearer, 403, asked{}},
		{"?days=0", shopBearer, 400, asked{}}, {"?days=32", shopBearer, 400, asked{}}, {"?days=a", shopBearer, 400, asked{}}, {"?day=1", shopBearer, 400, asked{}},
		{"", bearer, 200, asked{admin, "", 7}}, {"?owner=shop", bearer, 200, asked{admin, "shop", 7}},
	} {
		got = asked{}
		w := a.private("GET", "/v1/usage"+x.query, "", x.bearer)
		if w.Code != x.status || got != x.want {
			t.Errorf("%s by %s: status %d, asked %+v, want %d, %+v: %s",
				x.query, x.bearer, w.Code, got, x.status, x.want, w.Body)
		}
		if w.Code == 200 && !strings.Contains(w.Body.String(), `{"usage":[]}`) {
			t.Errorf("%s: %s", x.query, w.Body)
		}
	}
}

// A refusal for a quota says when to come again.
func TestQuotaIsA429(t *testing.T) {
	a := withShop(t)
	a.prewarm.onAccept = func(context.Context, string, string, [32]byte, unit.Call) (prewarm.Accepted, error) {
		f := fault.New(fault.QuotaExceeded, "test", "the quota is used up", nil)
		f.RetryAfter = 90 * time.Minute
		return prewarm.Accepted{}, f
	}
	w := a.private("POST", "/v1/prewarm",
		`{"urls":["https://c.example/a.jpg"]}`, shopBearer, "Content-Type: application/json")
	if w.Code != http.StatusTooManyRequests || code(t, w) != "quota_exceeded" || w.Header().Get("Retry-After") != "5400" {
		t.Errorf("%d %v %s", w.Code, w.Header(), w.Body)
	}
}

// Whose a job is, is told to those who see the jobs of everybody, by every route that tells of jobs.
func TestJobsNameTheirOwnerToAdmin(t *testing.T) {
	a := withShop(t)
	job := doneJob()
	job.ID, job.Token = "j1", "shop"
	a.prewarm.onJob = func(context.Context, string, time.Duration) (ledger.Job, error) { return job, nil }
	a.prewarm.onJobs = func(context.Context, ledger.Caller, int, string) ([]ledger.Job, string, error) {
		return []ledger.Job{job}, "", nil
	}
	a.prewarm.onRetry = func(context.Context, string) (ledger.Job, error) { return job, nil }
	a.prewarm.onCancel = a.prewarm.onRetry
	a.prewarm.onWatch = func(context.Context, string) (<-chan ledger.Job, error) {
		jobs := make(chan ledger.Job, 1)
		jobs <- job
		close(jobs)
		return jobs, nil
	}
	for _, route := range []string{"GET /v1/jobs", "GET /v1/jobs/j1", "GET /v1/jobs/j1/events", "POST /v1/jobs/j1/retry", "DELETE /v1/jobs/j1"} {
		method, path, _ := strings.Cut(route, " ")
		for who, want := range map[string]bool{bearer: true, shopBearer: false} {
			w := a.private(method, path, "", who)
			if w.Code >= 300 || strings.Contains(w.Body.String(), `"owner":"shop"`) != want {
				t.Errorf("%s by %s: %d %s", route, who, w.Code, w.Body)
			}
		}
	}
}

func TestQuotasValidate(t *testing.T) {
	token := func(name, secret string, q usage.Quota) access.Token {
		return access.Token{Name: name, Token: secret + "-of-sixteen-and-more", Scopes: []string{access.ScopePrewarm}, Quota: q}
	}
	some := usage.Quota{UnitsQueued: 1}
	for _, x := range []struct {
		tokens []access.Token
		want   string
	}{
		{[]access.Token{token("a", "1", some), token("a", "2", some), token("b", "3", usage.Quota{ImagesADay: 2}), token("", "4", usage.Quota{})}, ""},
		{[]access.Token{token("a", "1", some), token("a", "2", usage.Quota{})}, "tokens of one name share it"},
		{[]access.Token{token("", "1", some)}, "belongs to the token's name"},
		{[]access.Token{token("a", "1", usage.Quota{ImagesADay: -1})}, "images_a_day: -1"},
	} {
		api := access.API{Tokens: x.tokens}
		err := api.Validate()
		if (err == nil) != (x.want == "") || err != nil && !strings.Contains(err.Error(), x.want) {
			t.Errorf("%+v: %v, want %q", x.tokens, err, x.want)
		}
		if all := api.Quotas(); err == nil && (len(all) != 2 || all["a"] != some) {
			t.Errorf("quotas are %+v", all)
		}
	}
}
