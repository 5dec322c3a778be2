package server

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"mime"
	"net/http/httptest"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v3"

	"github.com/goldcrest/goldcrest/fault"
	"github.com/goldcrest/goldcrest/intake/bucketevents"
	"github.com/goldcrest/goldcrest/pipeline"
	"github.com/goldcrest/goldcrest/prewarm"
	"github.com/goldcrest/goldcrest/prewarm/ledger"
	"github.com/goldcrest/goldcrest/prewarm/usage"
	"github.com/goldcrest/goldcrest/server/access"
	"github.com/goldcrest/goldcrest/variant"
)

// description is openapi.yaml as the tests use it.
type description struct {
	t        *testing.T
	doc      map[string]any
	compiler *jsonschema.Compiler
	answered map[string]map[int]bool // operation -> statuses that were validated
}

func readDescription(t *testing.T) *description {
	t.Helper()
	text, err := os.ReadFile("../openapi.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var tree any
	if err := yaml.Unmarshal(text, &tree); err != nil {
		t.Fatal(err)
	}
	plain, err := json.Marshal(tree)
	if err != nil {
		t.Fatal(err)
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(plain))
	if err != nil {
		t.Fatal(err)
	}
	d := &description{t: t, doc: doc.(map[string]any), compiler: jsonschema.NewCompiler(), answered: map[string]map[int]bool{}}
	d.compiler.AssertFormat()
	if err := d.compiler.AddResource("openapi.json", doc); err != nil {
		t.Fatal(err)
	}
	return d
}

// at follows a path through the document, through references too, and gives where it ended up.
func (d *description) at(path ...string) (node any, pointer []string) {
	node = d.doc
	for _, p := range path {
		m, ok := node.(map[string]any)
		if !ok {
			return nil, nil
		}
		node, pointer = m[p], append(pointer, p)
		for {
			m, ok := node.(map[string]any)
			ref, isRef := m["$ref"].(string)
			if !ok || !isRef {
				break
			}
			return d.at(append(strings.Split(strings.TrimPrefix(ref, "#/"), "/"), path[len(pointer):]...)...)
		}
	}
	return node, pointer
}

// validate reports what differs between a JSON text and the schema at pointer.
func (d *description) validate(what, text string, pointer []string) {
	d.t.Helper()
	if err := d.differs(text, pointer); err != nil {
		d.t.Errorf("%s: %v\n%.1000s", what, err, text)
	}
}

func (d *description) differs(text string, pointer []string) error {
	escaped := make([]string, len(pointer))
	for i, p := range pointer {
		escaped[i] = strings.NewReplacer("~", "~0", "/", "~1", "{", "%7B", "}", "%7D").Replace(p)
	}
	schema, err := d.compiler.Compile("openapi.json#/" + strings.Join(escaped, "/"))
	if err != nil {
		return err
	}
	value, err := jsonschema.UnmarshalJSON(strings.NewReader(text))
	if err != nil {
		return err
	}
	return schema.Validate(value)
}

// body holds a body to the media type that a request or a response has for it.
func (d *description) body(what, contentType, text string, pointer []string) {
	d.t.Helper()
	media, _, _ := mime.ParseMediaType(contentType)
	_, at := d.at(append(pointer, "content", media, "schema")...)
	if at == nil {
		d.t.Errorf("%s: openapi.yaml does not know the type %q there", what, media)
		return
	}
	switch media {
	case "application/json", "application/problem+json":
		d.validate(what, text, at)
	case "application/x-ndjson":
		for line := range strings.SplitSeq(strings.TrimSpace(text), "\n") {
			d.validate(what, line, at)
		}
	}
}

// exchange validates one request and its answer as those of an operation.
func (d *description) exchange(method, template, contentType, body string, w *httptest.ResponseRecorder) {
	d.t.Helper()
	what := method + " " + template + " " + strconv.Itoa(w.Code)
	operation := []string{"paths", template, strings.ToLower(method)}
	if node, _ := d.at(operation...); node == nil {
		d.t.Errorf("%s: openapi.yaml does not know it", what)
		return
	}
	if body != "" && w.Code < 300 {
		d.body(what+" (request)", contentType, body, append(operation, "requestBody"))
	}
	status := strconv.Itoa(w.Code)
	response, at := d.at(append(operation, "responses", status)...)
	if response == nil {
		if w.Code < 400 {
			d.t.Errorf("%s: openapi.yaml does not know this answer", what)
			return
		}
		_, at = d.at(append(operation, "responses", "default")...)
	}
	if w.Body.Len() > 0 && method != "HEAD" {
		d.body(what, w.Header().Get("Content-Type"), w.Body.String(), at)
	}
	if d.answered[method+" "+template] == nil {
		d.answered[method+" "+template] = map[int]bool{}
	}
	d.answered[method+" "+template][w.Code] = true
}

// routes are what the private door answers, as openapi.yaml writes paths.
func routes(s *Server) map[string]bool {
	out := map[string]bool{}
	for _, r := range s.private.Routes() {
		path := strings.ReplaceAll(r.Path, "*", "{path}")
		parts := strings.Split(path, "/")
		for i, p := range parts {
			if name, ok := strings.CutPrefix(p, ":"); ok {
				parts[i] = "{" + name + "}"
			}
		}
		if r.Method != "echo_route_not_found" {
			out[r.Method+" "+strings.Join(parts, "/")] = true
		}
	}
	return out
}

// operations are what openapi.yaml describes.
func (d *description) operations() map[string]bool {
	out := map[string]bool{}
	for path, node := range d.doc["paths"].(map[string]any) {
		for method := range node.(map[string]any) {
			if method != "parameters" {
				out[strings.ToUpper(method)+" "+path] = true
			}
		}
	}
	return out
}

// describedAPI is a server with every route, whose parts answer with everything that can be said.
func describedAPI(t *testing.T) *apiFixture {
	a := newAPI(t, func(c *Config, r *access.Rules) {
		c.PProf = true
		r.API.Tokens[0].Scopes = append(r.API.Tokens[0].Scopes, access.ScopeCompat, access.ScopeEvents)
		r.Buckets = bucketevents.Rules{{Bucket: "photos", Source: "https://c.example/{key}"}}
	})
	job := doneJob()
	job.Deadline, job.StartedAt, job.ETA = testNow, testNow, 7
	job.Counts.Cancelled, job.Counts.Expired = 1, 1
	p := a.prewarm
	accepting(a, job)
	p.onCheck = func(_ context.Context, asks []prewarm.CheckAsk) ([]prewarm.Checked, error) {
		out := make([]prewarm.Checked, len(asks))
		for i := range out {
			out[i] = prewarm.Checked{State: ledger.Broken, Reason: fault.DecodeFailed, Variants: []ledger.Verdict{{Name: "lite", Format: "webp", Key: "v1/ab/c/d.webp", State: ledger.Present, Bytes: 1, Width: 2, Height: 3}}}
		}
		return out, nil
	}
	p.onJob = func(_ context.Context, id string, _ time.Duration) (ledger.Job, error) {
		if id != "j1" {
			return ledger.Job{}, noSuchJob()
		}
		return job, nil
	}
	p.onRetry = func(context.Context, string) (ledger.Job, error) { return job, nil }
	p.onCancel = p.onRetry
	p.onJobs = func(context.Context, ledger.Caller, int, string) ([]ledger.Job, string, error) {
		return []ledger.Job{job}, "c", nil
	}
	p.onResults = func(context.Context, string, ledger.ResultFilter, string, int) ([]ledger.Verdict, string, error) {
		full := ledger.Verdict{Unit: 1, UnitID: "u", Pointer: "/a", Source: "s", Name: "n", Format: "avif", Key: "k", State: ledger.Made, Reason: fault.Poison, Bytes: 1, Width: 1, Height: 1, From: 1, At: testNow}
		return []ledger.Verdict{full, {State: ledger.Pending}}, "c", nil
	}
	p.onWatch = func(context.Context, string) (<-chan ledger.Job, error) {
		changes := make(chan ledger.Job)
		close(changes)
		return changes, nil
	}
	p.onBroken = func(context.Context, ledger.Caller, time.Time, int) ([]ledger.BrokenCount, error) {
		return []ledger.BrokenCount{{BrokenSource: ledger.BrokenSource{Source: "s", Reason: fault.Poison, At: testNow}, Count: 1}}, nil
	}
	p.onStats = func(context.Context) (prewarm.Stats, error) {
		return prewarm.Stats{Waiting: map[string]int{"low": 1}}, nil
	}
	p.onUsage = func(context.Context, ledger.Caller, string, int) ([]usage.Owner, error) {
		u := usage.Owner{Owner: "backend", Days: []usage.Day{{Day: "2026-11-23", Usage: usage.Usage{Units: 1}}}}
		u.Quota.ImagesADay = &usage.Remaining{Limit: 9, Used: 1, Remaining: 8}
		return []usage.Owner{u, {Owner: "idle", Days: []usage.Day{}}}, nil
	}
	a.images.onPeek = func(_ context.Context, ref variant.Ref) (pipeline.Answer, error) {
		return pipeline.Answer{Entry: testEntry(ref), Outcome: pipeline.Hit, Tier: "store"}, nil
	}
	return a
}

// bucketEvent is of a bucket that describedAPI has a rule for.
const bucketEvent = `{"source":"aws.s3","detail-type":"Object Created",
	"detail":{"bucket":{"name":"photos"},"object":{"key":"a.jpg"}}}`

// Every route is described, everything described is a route, and real requests and answers are as described.
func TestOpenAPI(t *testing.T) {
	d, a := readDescription(t), describedAPI(t)
	for r := range routes(a.Server) {
		if !d.operations()[r] {
			t.Errorf("%s is not in openapi.yaml", r)
		}
	}
	for o := range d.operations() {
		if !routes(a.Server)[o] {
			t.Errorf("%s is in openapi.yaml, but nowhere else", o)
		}
	}
	const js, lines = "application/json", "application/x-ndjson"
	wrapped := `{"variants":["lite",{"name":"w","options":"rs:fit:9:0"}],"select":["$.a"],"priority":"low","deadline":"2026-11-23T12:00:00Z","ttl":"168h","round":"24h","tags":["t"],` +
		`"return":"urls","callback":{"url":"https://b.example/h","events":["job.done"]},"data_units":[{"id":"u","data":{"a":"https://c.example/a.jpg"},"select":"/a"},{"a":"https://c.example/b.jpg"},7]}`
	for _, x := range []struct{ method, template, path, contentType, body string }{
		{"GET", "/healthz", "/healthz", "", ""}, {"HEAD", "/healthz", "/healthz", "", ""},
		{"GET", "/readyz", "/readyz", "", ""}, {"HEAD", "/readyz", "/readyz", "", ""},
		{"GET", "/metrics", "/metrics", "", ""}, {"HEAD", "/metrics", "/metrics", "", ""},
		{"POST", "/v1/prewarm", "/v1/prewarm", js, wrapped},
		{"POST", "/v1/prewarm", "/v1/prewarm?return=none", lines, unitBody + "\n" + unitBody},
		{"POST", "/v1/prewarm", "/v1/prewarm", js, "[" + unitBody + "]"},
		{"POST", "/v1/prewarm", "/v1/prewarm", js, `{"urls":["https://c.example/a.jpg"]}`},
		{"POST", "/v1/prewarm", "/v1/prewarm", js, "nothing"},
		{"GET", "/v1/jobs", "/v1/jobs", "", ""},
		{"GET", "/v1/jobs/{id}", "/v1/jobs/j1?wait=1", "", ""}, {"GET", "/v1/jobs/{id}", "/v1/jobs/j2", "", ""},
		{"DELETE", "/v1/jobs/{id}", "/v1/jobs/j1", "", ""},
		{"GET", "/v1/jobs/{id}/results", "/v1/jobs/j1/results?state=made", "", ""},
		{"GET", "/v1/jobs/{id}/events", "/v1/jobs/j1/events", "", ""},
		{"POST", "/v1/jobs/{id}/retry", "/v1/jobs/j1/retry", "", ""},
		{"GET", "/v1/broken", "/v1/broken?since=1h", "", ""}, {"GET", "/v1/usage", "/v1/usage?days=2", "", ""}, {"GET", "/v1/usage", "/v1/usage?days=x", "", ""},
		{"POST", "/v1/check", "/v1/check", js, wrapped}, {"POST", "/v1/check", "/v1/check", js, `{"keys":["v1/ab/c"]}`},
		{"POST", "/v1/purge", "/v1/purge", js, `{"source":"` + photo + `"}`}, {"POST", "/v1/purge", "/v1/purge", js, `{"all":true}`},
		{"POST", "/v1/purge", "/v1/purge", js, `{}`},
		{"POST", "/v1/sign", "/v1/sign", js, `{"source":"` + photo + `","options":"w:9","ttl":"1h","round":"1h"}`},
		{"POST", "/v1/sign", "/v1/sign", js, `{"urls":["` + photo + `"],"preset":"lite"}`},
		{"GET", "/v1/explain/{path}", "/v1/explain" + a.url("pr:lite/exp:4000000000", photo), "", ""},
		{"GET", "/v1/explain/{path}", "/v1/explain" + a.url("pr:lite/exp:4000000000", photo) + "?run=1", "", ""},
		{"GET", "/v1/explain/{path}", "/v1/explain/x/nonsense", "", ""},
		{"GET", "/v1/history", "/v1/history?since=1h", "", ""},
		{"GET", "/console", "/console", "", ""}, {"GET", "/console/login", "/console/login", "", ""},
		{"GET", "/console/files/{name}", "/console/files/console.css", "", ""}, {"GET", "/console/files/{name}", "/console/files/console.js", "", ""},
		{"GET", "/v1/stats", "/v1/stats", "", ""}, {"GET", "/v1/config", "/v1/config", "", ""},
		{"POST", "/v1/events/s3", "/v1/events/s3", js, `{"Event":"s3:TestEvent"}`},
		{"POST", "/v1/events/s3", "/v1/events/s3", js, bucketEvent},
		{"POST", "/v1/events/s3", "/v1/events/s3", js, `{}`},
		{"GET", "/v1/intakes", "/v1/intakes", "", ""},
		{"POST", "/v1/intakes/{name}/pause", "/v1/intakes/shop/pause", "", ""},
		{"POST", "/v1/intakes/{name}/resume", "/v1/intakes/shop/resume", "", ""},
		{"POST", "/v1/intakes/{name}/pause", "/v1/intakes/none/pause", "", ""},
		{"POST", "/v1/compat/lambda", "/v1/compat/lambda", js, `{"key_urls_map":{"a/b":"` + photo + `"},"quality":90,"bucket_name":"b"}`},
		{"GET", "/debug/pprof/{path}", "/debug/pprof/", "", ""}, {"GET", "/debug/pprof/cmdline", "/debug/pprof/cmdline", "", ""},
		{"GET", "/debug/pprof/symbol", "/debug/pprof/symbol", "", ""},
	} {
		w := a.private(x.method, x.path, x.body, bearer, "Content-Type: "+x.contentType)
		d.exchange(x.method, x.template, x.contentType, x.body, w)
		if !strings.HasPrefix(x.path, "/v1/") {
			continue
		}
		for _, headers := range [][]string{nil, {"Authorization: Bearer a-token-for-nothing"}, {bearer, "Host: evil.example"}} {
			w := a.private(x.method, x.path, x.body, headers...)
			if w.Code != 401 && w.Code != 403 {
				t.Errorf("%s %s with %v: status %d", x.method, x.path, headers, w.Code)
			}
			d.exchange(x.method, x.template, x.contentType, x.body, w)
		}
	}
	d.console(a)
	for o := range d.operations() {
		ok := o == "GET /debug/pprof/profile" || o == "GET /debug/pprof/trace" // They take their time.
		for status := range d.answered[o] {
			ok = ok || status < 400
		}
		if !ok {
			t.Errorf("%s was never answered well: %v", o, d.answered[o])
		}
	}
}

// console goes through the operations of a session.
func (d *description) console(a *apiFixture) {
	form := "token=" + testToken
	w := a.private("POST", "/console/login", form, "Content-Type: application/x-www-form-urlencoded")
	d.exchange("POST", "/console/login", "application/x-www-form-urlencoded", form, w)
	b := a.loginWith(testToken)
	for _, x := range []struct{ method, template, path string }{
		{"GET", "/console/", "/console/"}, {"GET", "/console/session", "/console/session"}, {"GET", "/console/files/{name}", "/console/files/icon.svg"},
		{"GET", "/console/files/{name}", "/console/files/console.js"}, {"GET", "/console/files/{name}", "/console/files/none"},
		{"POST", "/console/logout", "/console/logout"},
	} {
		d.exchange(x.method, x.template, "", "", a.private(x.method, x.path, "", b.cookie, b.csrf))
	}
	w = a.private("GET", "/console/picture"+a.url("w:9/f:webp", photo), "", bearer)
	if d.answered["GET /console/picture/{path}"] = map[int]bool{w.Code: true}; w.Header().Get("Content-Type") != "image/webp" {
		d.t.Errorf("the picture: %d %v", w.Code, w.Header())
	}
}

// A description that forbids nothing validates nothing.
func TestOpenAPIFindsDifferences(t *testing.T) {
	d := readDescription(t)
	_, at := d.at("components", "schemas", "Job")
	good := `{"job":"j","state":"done","counts":{"data_units":1,"images":1,"variants":0,"made":0,"present":0,"broken":0,"failed":0,"pending":0,"skipped":0},` +
		`"bytes":{"source":0,"stored":0,"saved":0},"priority":"low","created_at":"2026-11-23T12:00:00Z"}`
	if err := d.differs(good, at); err != nil {
		t.Fatal(err)
	}
	for _, change := range [][2]string{{`"job":"j"`, `"job":"j","surprise":1`}, {`"priority":"low",`, ``}, {`"done"`, `"finished"`}, {`"made":0`, `"made":"0"`}, {`12:00:00Z`, `noon`}} {
		if d.differs(strings.Replace(good, change[0], change[1], 1), at) == nil {
			t.Errorf("with %s in place of %s it was taken", change[1], change[0])
		}
	}
}

// post is a Predecessor that takes everything.
type post struct{}

func (post) Post(_ context.Context, _ string, body io.Reader, _ func(int) error) error {
	_, err := io.Copy(io.Discard, body)
	return err
}
