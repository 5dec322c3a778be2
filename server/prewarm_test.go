package server

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/klauspost/compress/zstd"

	"github.com/goldcrest/goldcrest/fault"
	"github.com/goldcrest/goldcrest/prewarm"
	"github.com/goldcrest/goldcrest/prewarm/ledger"
	"github.com/goldcrest/goldcrest/prewarm/unit"
	"github.com/goldcrest/goldcrest/server/access"
)

const unitBody = `{"id":"du_1","photo_url":"https://c.example/a.jpg"}`

// accepting makes the fake accept everything, and gives what it was told last.
func accepting(a *apiFixture, job ledger.Job) *struct {
	token, idem string
	sum         [32]byte
	call        unit.Call
} {
	last := &struct {
		token, idem string
		sum         [32]byte
		call        unit.Call
	}{}
	a.prewarm.onAccept = func(_ context.Context, token, idem string, sum [32]byte, call unit.Call) (prewarm.Accepted, error) {
		last.token, last.idem, last.sum, last.call = token, idem, sum, call
		out, units := prewarm.Accepted{Job: job}, []prewarm.AcceptedUnit{}
		for _, u := range call.Units {
			unit := prewarm.AcceptedUnit{Index: u.Index, Line: u.Line, ID: u.ID, Err: u.Err}
			var images []prewarm.AcceptedImage
			for _, i := range u.Images {
				images = append(images, prewarm.AcceptedImage{Pointer: i.Pointer, Source: i.Source, State: ledger.Pending, Variants: []prewarm.AcceptedVariant{
					{Name: "lite", URL: "https://img.example/x", State: ledger.Pending},
					{Name: "std", Format: "webp", URL: "https://img.example/y", State: ledger.Made, Bytes: 5, Width: 3, Height: 2},
				}})
			}
			unit.Note, unit.Images = u.Note(), slices.Values(images)
			if call.Return != "none" || unit.Err != nil || unit.Note != nil { // As the service does.
				units = append(units, unit)
			}
		}
		out.Units = slices.Values(units)
		return out, nil
	}
	return last
}

func TestPrewarmIsAccepted(t *testing.T) {
	a := newAPI(t, nil)
	last := accepting(a, aJob())
	w := a.private("POST", "/v1/prewarm?variants=lite,std&tag=spring",
		unitBody, bearer, "Content-Type: application/json", "Idempotency-Key: k1", "X-Request-Id: req-1")
	if w.Code != 202 {
		t.Fatalf("status %d: %s", w.Code, w.Body)
	}
	header(t, w, "Location", "/v1/jobs/j1")
	if last.token != "backend" || last.idem != "k1" || last.call.Request != "req-1" || len(last.call.Variants) != 2 || len(last.call.Units) != 1 || last.call.Units[0].ID != "du_1" {
		t.Errorf("told %+v", last)
	}
	want := `{"job":"j1","state":"running","counts":{"data_units":1,"images":1,"variants":3,"made":1,"present":0,"broken":0,"failed":0,"pending":2,"skipped":0},` +
		`"units":[{"index":0,"id":"du_1","error":null,"images":[{"pointer":"/photo_url","source":"https://c.example/a.jpg","state":"pending","reason":null,"variants":[` +
		`{"name":"lite","format":null,"url":"https://img.example/x","state":"pending","bytes":null,"width":null,"height":null},` +
		`{"name":"std","format":"webp","url":"https://img.example/y","state":"made","bytes":5,"width":3,"height":2}]}` + "\n]}]}\n"
	if got := w.Body.String(); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	accepting(a, doneJob())
	if w := a.private("POST", "/v1/prewarm", unitBody, bearer); w.Code != 200 {
		t.Errorf("all was present: status %d, want 200", w.Code)
	}
}

// The same units are the same call, however they were packed; anything else that the answer depends on makes another.
func TestPrewarmBodyHash(t *testing.T) {
	a := newAPI(t, nil)
	last := accepting(a, aJob())
	var fast bytes.Buffer
	s, _ := zstd.NewWriter(&fast)
	s.Write([]byte(unitBody))
	s.Close()
	sum := func(path, body string, headers ...string) [32]byte {
		t.Helper()
		w := a.private("POST", path, body, append([]string{bearer, "Content-Type: application/json"}, headers...)...)
		if w.Code != 202 || len(last.call.Units) != 1 || last.call.Units[0].ID != "du_1" {
			t.Fatalf("status %d: %s", w.Code, w.Body)
		}
		return last.sum
	}
	plain := sum("/v1/prewarm", unitBody)
	if got := sum("/v1/prewarm", zipped(unitBody), "Content-Encoding: gzip"); got != plain {
		t.Error("compressed by gzip it is another call")
	}
	if got := sum("/v1/prewarm", fast.String(), "Content-Encoding: zstd"); got != plain {
		t.Error("compressed by zstd it is another call")
	}
	if got := sum("/v1/prewarm?variants=lite", unitBody); got == plain {
		t.Error("other variants, and still the same call")
	}
	if got := sum("/v1/prewarm", unitBody+" "); got == plain {
		t.Error("another body, and still the same call")
	}
}

// zipped is text as gzip, with the time of packing in it, as Python writes it.
func zipped(text string) string {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	z.ModTime = time.Now()
	z.Write([]byte(text))
	z.Close()
	return b.String()
}

func TestPrewarmRefuses(t *testing.T) {
	a := newAPI(t, func(_ *Config, r *access.Rules) {
		r.Prewarm.Limits = unit.Limits{Body: 1000, Units: 2, Images: 10, Depth: 20}
	})
	accepting(a, aJob())
	for _, tc := range []struct {
		name, body string
		headers    []string
		status     int
		code       fault.Kind
	}{
		{"no token", unitBody, nil, 401, fault.Unauthorized},
		{"another scope", unitBody, []string{checkBearer}, 403, fault.ForbiddenScope},
		{"empty", "", []string{bearer}, 400, fault.BadUnit},
		{"no JSON", "photo", []string{bearer}, 400, fault.BadUnit},
		{"not what its encoding says", unitBody, []string{bearer, "Content-Encoding: gzip"}, 400, fault.BadUnit},
		{"zstd that is none", unitBody, []string{bearer, "Content-Encoding: zstd"}, 400, fault.BadUnit},
		{"an encoding that nobody knows", unitBody, []string{bearer, "Content-Encoding: br"}, 400, fault.BadUnit},
		{"cut off", zipped(unitBody)[:30], []string{bearer, "Content-Encoding: gzip"}, 400, fault.BadUnit},
		{"too large", `{"a":"` + strings.Repeat("x", 1000) + `"}`, []string{bearer}, 413, fault.BodyTooLarge},
		{"a bomb", zipped(strings.Repeat(" ", 1<<20)), []string{bearer, "Content-Encoding: gzip"}, 413, fault.BodyTooLarge},
		{"too many units", `[{},{},{}]`, []string{bearer}, 413, fault.BodyTooLarge},
		{"a long key", unitBody, []string{bearer, "Idempotency-Key: " + strings.Repeat("k", 256)}, 400, fault.BadOption},
	} {
		w := a.private("POST", "/v1/prewarm", tc.body, tc.headers...)
		if w.Code != tc.status || code(t, w) != tc.code {
			t.Errorf("%s: status %d, code %s; want %d %s", tc.name, w.Code, code(t, w), tc.status, tc.code)
		}
	}
	for kind, want := range map[fault.Kind]int{fault.QueueFull: 429, fault.DiskFull: 507, fault.IdempotencyConflict: 409, fault.Overloaded: 503} {
		a.prewarm.onAccept = func(context.Context, string, string, [32]byte, unit.Call) (prewarm.Accepted, error) {
			return prewarm.Accepted{}, fault.New(kind, "test", "no", nil)
		}
		w := a.private("POST", "/v1/prewarm", unitBody, bearer)
		if w.Code != want || code(t, w) != kind {
			t.Errorf("%s: status %d, want %d", kind, w.Code, want)
		}
		if retry := w.Header().Get("Retry-After"); (retry != "") != kind.Retryable() {
			t.Errorf("%s: Retry-After %q", kind, retry)
		}
	}
}

// One unit that cannot be read does not keep the others; without URLs wanted, it is all that is told of.
func TestPrewarmUnitErrors(t *testing.T) {
	a := newAPI(t, nil)
	accepting(a, aJob())
	for what, want := range map[string]int{"urls": 2, "none": 1} {
		w := a.private("POST", "/v1/prewarm?return="+what, unitBody+"\n{broken\n", bearer, "Content-Type: application/x-ndjson")
		var got struct {
			Units []struct {
				acceptedUnit
				Images []json.RawMessage
			}
		}
		if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil || w.Code != 202 {
			t.Fatalf("status %d: %v: %s", w.Code, err, w.Body)
		}
		if len(got.Units) != want {
			t.Fatalf("return=%s: %d units, want %d", what, len(got.Units), want)
		}
		u := got.Units[want-1]
		if u.Index != 1 || u.Line == nil || *u.Line != 2 || u.Error == nil || u.Error.Code != fault.BadUnit || len(u.Images) != 0 {
			t.Errorf("return=%s: %+v", what, u)
		}
	}
}

func TestPrewarmWaits(t *testing.T) {
	a := newAPI(t, nil)
	accepting(a, aJob())
	asked := time.Duration(0)
	a.prewarm.onJob = func(_ context.Context, id string, wait time.Duration) (ledger.Job, error) {
		asked = wait
		if !a.access.Idle() {
			t.Error("a caller that waits keeps others out")
		}
		return doneJob(), nil
	}
	a.prewarm.onRefresh = func(_ context.Context, acc prewarm.Accepted, call unit.Call) (prewarm.Accepted, error) {
		if kept := call.Units[0].Data != nil; kept != (call.Return == "rewritten") {
			t.Errorf("return=%q: the unit's text is kept: %v", call.Return, kept)
		}
		if a.access.Idle() {
			t.Error("the answer is made again without room for it")
		}
		unit := prewarm.AcceptedUnit{Images: slices.Values([]prewarm.AcceptedImage{{State: ledger.Made}})}
		return prewarm.Accepted{Job: doneJob(), Units: slices.Values([]prewarm.AcceptedUnit{unit})}, nil
	}
	for prefer, want := range map[string]time.Duration{"wait=20": 20 * time.Second, "respond-async, wait=5": 5 * time.Second, "wait=900": time.Minute, `wait="7"; x=1`: 7 * time.Second,
		"WAIT = 3": 3 * time.Second, "wait=99999999999999999999": time.Minute, "wait=4, wait=5": 4 * time.Second} {
		w := a.private("POST", "/v1/prewarm", unitBody, bearer, "Prefer: "+prefer)
		if w.Code != 200 || asked != want || !strings.Contains(w.Body.String(), `"state":"made"`) {
			t.Errorf("%s: status %d, waited %v, want %v: %s", prefer, w.Code, asked, want, w.Body)
		}
		header(t, w, "Preference-Applied", fmt.Sprintf("wait=%d", int(want.Seconds())))
	}
	for _, ignored := range []string{"wait=soon", "wait=-1", "wait=1.5", "wait", "wait=", "await=5", "respond-async", ";;=,"} {
		asked = 0
		w := a.private("POST", "/v1/prewarm", unitBody, bearer, "Prefer: "+ignored)
		if w.Code != 202 || asked != 0 || w.Header().Get("Preference-Applied") != "" {
			t.Errorf("%s: status %d, waited %v; want 202 at once: %s", ignored, w.Code, asked, w.Body)
		}
	}
	if w := a.private("POST", "/v1/prewarm?return=rewritten", unitBody, bearer, "Prefer: wait=1"); w.Code != 200 {
		t.Errorf("rewritten: status %d", w.Code)
	}
	a.prewarm.onRefresh = func(_ context.Context, acc prewarm.Accepted, _ unit.Call) (prewarm.Accepted, error) {
		acc.Units = slices.Values([]prewarm.AcceptedUnit(nil))
		return acc, nil
	}
	if w := a.private("POST", "/v1/prewarm", unitBody, bearer, "Prefer: wait=1"); w.Code != 202 {
		t.Errorf("not ended within the wait: status %d, want 202", w.Code)
	}
}

// Bodies that would take too much memory together wait for one another, and are refused when that takes too long. What
// counts is what came of them.
func TestPrewarmIntakeIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const limit = 64 << 10
		a := newAPI(t, func(_ *Config, r *access.Rules) {
			r.Prewarm.Limits = unit.DefaultLimits()
			r.Prewarm.Limits.Body = limit
		})
		enter, leave := make(chan struct{}, 100), make(chan struct{})
		a.prewarm.onAccept = func(context.Context, string, string, [32]byte, unit.Call) (prewarm.Accepted, error) {
			t.Error("a body that never ended was accepted")
			return prewarm.Accepted{}, nil
		}
		for range 4 {
			go func() {
				r, _ := http.NewRequest("POST", "http://localhost/v1/prewarm", io.MultiReader(strings.NewReader(strings.Repeat(" ", limit)), slowBody{enter, leave}))
				r.ContentLength = -1
				r.Header.Set("Authorization", strings.TrimPrefix(bearer, "Authorization: "))
				a.Private().ServeHTTP(discardWriter{http.Header{}}, r)
			}()
			<-enter
		}
		w := a.private("POST", "/v1/prewarm", unitBody, bearer)
		if w.Code != 429 || code(t, w) != fault.RateLimited || w.Header().Get("Retry-After") == "" {
			t.Errorf("status %d, Retry-After %q", w.Code, w.Header().Get("Retry-After"))
		}
		close(leave)
		synctest.Wait()
		accepting(a, aJob())
		if w := a.private("POST", "/v1/prewarm", unitBody, bearer); w.Code != 202 {
			t.Errorf("after the others left: status %d", w.Code)
		}
	})
}

// slowBody says when it is read, and fails when it is let go.
type slowBody struct{ enter, leave chan struct{} }

func (b slowBody) Read([]byte) (int, error) {
	b.enter <- struct{}{}
	<-b.leave
	return 0, errors.New("the connection broke")
}

type discardWriter struct{ h http.Header }

func (d discardWriter) Header() http.Header         { return d.h }
func (d discardWriter) Write(p []byte) (int, error) { return len(p), nil }
func (d discardWriter) WriteHeader(int)             {}

// A misspelt field of a query is refused on every route of the access.API, and not taken for one left out.
func TestUnknownQueryFieldsAreRefused(t *testing.T) {
	a := newAPI(t, nil)
	for _, tt := range []struct{ method, target, body, says string }{
		{"GET", "/v1/jobs?limt=5", "", `did you mean \"limit\"?`},
		{"GET", "/v1/jobs/j1?wiat=5", "", `did you mean \"wait\"?`},
		{"GET", "/v1/jobs/j1/results?sate=broken", "", `did you mean \"state\"?`},
		{"GET", "/v1/jobs/j1/events?x=1", "", "there is none here"},
		{"DELETE", "/v1/jobs/j1?x=1", "", "there is none here"},
		{"POST", "/v1/jobs/j1/retry?x=1", "", "there is none here"},
		{"GET", "/v1/broken?sinse=24h", "", `did you mean \"since\"?`},
		{"GET", "/v1/history?sinse=24h", "", `did you mean \"since\"?`},
		{"GET", "/v1/stats?x=1", "", "there is none here"},
		{"GET", "/v1/config?x=1", "", "there is none here"},
		{"POST", "/v1/prewarm?varaints=lite", unitBody, `did you mean \"variants\"?`},
		{"POST", "/v1/check?varaints=lite", unitBody, `did you mean \"variants\"?`},
		{"POST", "/v1/check", `{"keys":["v1/ab/x"],"urls":[]}`, "keys cannot be combined"},
		{"POST", "/v1/purge?x=1", `{"all":true}`, "there is none here"},
		{"POST", "/v1/purge", `{"tags":"a"}`, `did you mean \"tag\"?`},
		{"POST", "/v1/sign", `{"sorce":"https://c.example/a.jpg"}`, `did you mean \"source\"?`},
	} {
		w := a.private(tt.method, tt.target, tt.body, bearer)
		if w.Code != 400 || code(t, w) != fault.BadOption || !strings.Contains(w.Body.String(), tt.says) {
			t.Errorf("%s %s: status %d, want 400 with %s: %s", tt.method, tt.target, w.Code, tt.says, w.Body)
		}
	}
}
