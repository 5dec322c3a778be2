package server

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"reflect"
	"testing"

	"github.com/goldcrest/goldcrest/fault"
	"github.com/goldcrest/goldcrest/intake/bucketevents"
	"github.com/goldcrest/goldcrest/pipeline"
	"github.com/goldcrest/goldcrest/prewarm"
	"github.com/goldcrest/goldcrest/prewarm/unit"
	"github.com/goldcrest/goldcrest/server/access"
	"github.com/goldcrest/goldcrest/variant"
)

// eventsAnswer is the answer to events.
type eventsAnswer struct {
	Objects, Purged, Ignored int
	Jobs                     []string
}

const eventsToken = "a-token-of-an-object-store"

// eventsAPI is an API with a bucket, and what its calls were for.
func eventsAPI(t *testing.T) (a *apiFixture, asked *[]string) {
	t.Helper()
	asked = &[]string{}
	a = newAPI(t, func(_ *Config, r *access.Rules) {
		r.Buckets = bucketevents.Rules{
			{Bucket: "photos", Source: "https://c.example/{key}"},
			{Bucket: "elsewhere", Source: "https://d.example/{key}"},
		}
		store := access.Token{
			Name: "store", Token: eventsToken, Scopes: []string{access.ScopeEvents}, Sources: []string{"c.example"},
		}
		r.API.Tokens = append(r.API.Tokens, store)
	})
	a.prewarm.onAccept = func(
		_ context.Context, token, idem string, _ [32]byte, call unit.Call,
	) (prewarm.Accepted, error) {
		for _, u := range call.Units {
			*asked = append(*asked, token+idem+" "+u.Images[0].Source)
		}
		if len(a.purged) != 1 || call.Request == "" || call.Rights == nil {
			t.Errorf("accepted before the purge, or without its token's rights: %+v", call)
		}
		return prewarm.Accepted{Job: aJob()}, nil
	}
	return a, asked
}

func TestBucketEvents(t *testing.T) {
	a, asked := eventsAPI(t)
	record := func(name, bucket, key string) string {
		return `{"eventName":"` + name + `","s3":{"bucket":{"name":"` + bucket + `"},"object":{"key":"` + key + `"}}}`
	}
	ref := func(source string) pipeline.Selector {
		found, err := a.access.Current().Parser.Ref(source, variant.Spec{})
		if err != nil {
			t.Fatal(err)
		}
		return pipeline.Selector{Refs: []variant.Ref{found}}
	}
	bearer := "Authorization: Bearer " + eventsToken
	basic := "Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte("any:"+eventsToken))
	put, del := record("ObjectCreated:Put", "photos", "a+b.jpg"), record("ObjectRemoved:Delete", "photos", "a.jpg")
	for name, tt := range map[string]struct {
		body, token string
		status      int
		asked       []string
		purged      []pipeline.Selector
		answer      eventsAnswer
	}{
		"written": {
			`{"Records":[` + put + `]}`, bearer, 202, []string{"store https://c.example/a%20b.jpg"},
			[]pipeline.Selector{ref("https://c.example/a%20b.jpg")}, eventsAnswer{1, 1, 0, []string{aJob().ID}},
		},
		"deleted": {
			`{"Records":[` + del + `]}`, basic, 200, nil,
			[]pipeline.Selector{ref("https://c.example/a.jpg")}, eventsAnswer{0, 1, 0, []string{}},
		},
		"of no rule": {
			`{"Records":[` + record("ObjectCreated:Put", "other", "a.jpg") + `]}`, bearer, 200, nil,
			nil, eventsAnswer{0, 0, 1, []string{}},
		},
		"a test": {`{"Event":"s3:TestEvent"}`, basic, 200, nil, nil, eventsAnswer{0, 0, 0, []string{}}},
		"beyond the token": {
			`{"Records":[` + record("ObjectCreated:Put", "elsewhere", "a.jpg") + `]}`, bearer, 403,
			nil, nil, eventsAnswer{},
		},
		"nonsense":              {`{"id":1}`, bearer, 400, nil, nil, eventsAnswer{}},
		"a token without scope": {`{"Records":[` + put + `]}`, checkBearer, 403, nil, nil, eventsAnswer{}},
		"a wrong password":      {`{"Records":[]}`, "Authorization: Basic YTpi", 401, nil, nil, eventsAnswer{}},
		"nobody":                {`{"Records":[` + put + `]}`, "", 401, nil, nil, eventsAnswer{}},
	} {
		a.purged, *asked = nil, nil
		w := a.private("POST", "/v1/events/s3", tt.body, tt.token)
		var answer eventsAnswer
		if w.Code < 300 {
			if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
		same := reflect.DeepEqual(*asked, tt.asked) && reflect.DeepEqual(a.purged, tt.purged) &&
			reflect.DeepEqual(answer, tt.answer)
		if w.Code != tt.status || !same {
			t.Errorf("%s: %d %s, asked for %q, purged %v", name, w.Code, w.Body, *asked, a.purged)
		}
	}
	if w := a.private("GET", "/v1/jobs", "", basic); w.Code != http.StatusUnauthorized {
		t.Errorf("another route takes a token from a password: %d", w.Code)
	}
	a.purged = nil
	a.prewarm.onAccept = func(context.Context, string, string, [32]byte, unit.Call) (prewarm.Accepted, error) {
		return prewarm.Accepted{}, fault.New(fault.QueueFull, "test", "full", nil)
	}
	if w := a.private("POST", "/v1/events/s3", `{"Records":[`+put+`]}`, bearer); w.Code != http.StatusTooManyRequests {
		t.Errorf("a full queue answers %d", w.Code)
	}
}

// Another door acts as a token by its name: with its rights, within its limit, and with a scope that it has.
func TestActsWithTheRightsLimitsAndScopesOfAToken(t *testing.T) {
	a, _ := eventsAPI(t)
	who, err := a.As("store", access.ScopeEvents)
	if err != nil || who.Name != "store" || who.May.AllowsSource("https://d.example/a.jpg") {
		t.Errorf("As = %+v, %v", who, err)
	}
	for _, x := range [][2]string{{"store", access.ScopePrewarm}, {"nobody", access.ScopeEvents}} {
		if _, err := a.As(x[0], x[1]); fault.KindOf(err) != fault.Overloaded {
			t.Errorf("As(%q) = %v", x, err)
		}
	}
}
