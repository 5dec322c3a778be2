package server

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/goldcrest/goldcrest/cache"
	"github.com/goldcrest/goldcrest/fault"
	"github.com/goldcrest/goldcrest/metrics"
	"github.com/goldcrest/goldcrest/pipeline"
	"github.com/goldcrest/goldcrest/reach"
	"github.com/goldcrest/goldcrest/server/access"
	"github.com/goldcrest/goldcrest/signing"
	"github.com/goldcrest/goldcrest/variant"
)

const (
	testKey   = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
	otherKey  = "f00102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
	testETag  = `"0123456789abcdef01234567"`
	testToken = "a-token-with-all-scopes"
	photo     = "http://photos.example/a/cat.jpg"
)

// testNow is the clock of every test; the picture was made an hour before.
var (
	testNow  = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	testMade = testNow.Add(-time.Hour)
)

// fakeImages answers from its func fields and counts. Without them every variant is a memory hit of 1,000 bytes.
type fakeImages struct {
	onGet, onPeek func(context.Context, variant.Ref) (pipeline.Answer, error)
	onStat        func(context.Context, variant.Ref) (pipeline.Answer, error)
	onRecall      func(key string) (pipeline.Answer, bool)
	// for each variant that has to be made and may be, with the id of its signing key; nil = none has to be
	onMake func(key string)

	mu                 sync.Mutex
	via                reach.Via // the hosts that all originals came through
	gets, peeks, stats int
	asked              []variant.Ref
	views              map[string]int // by key and ETag; nil = nobody wants to know
}

func (f *fakeImages) count(n *int, ref variant.Ref) {
	f.mu.Lock()
	defer f.mu.Unlock()
	*n++
	f.asked = append(f.asked, ref)
}

func (f *fakeImages) GetFor(ctx context.Context, ref variant.Ref, who pipeline.Viewer) (pipeline.Answer, error) {
	if f.onMake != nil && who.Toll != nil {
		if err := who.Toll(); err != nil {
			return pipeline.Answer{}, err
		}
		f.onMake(who.Key)
	}
	return f.Get(ctx, ref)
}

func (f *fakeImages) Get(ctx context.Context, ref variant.Ref) (pipeline.Answer, error) {
	f.count(&f.gets, ref)
	if err := f.may(ref.Within); err != nil {
		return pipeline.Answer{}, err
	}
	if f.onGet != nil {
		return f.onGet(ctx, ref)
	}
	return pipeline.Answer{Entry: testEntry(ref), Outcome: pipeline.Hit, Tier: "memory", Age: time.Hour}, nil
}

// come has all originals come through hosts from now on.
func (f *fakeImages) come(via reach.Via) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.via = via
}

// may refuses who may not have what came through via.
func (f *fakeImages) may(within reach.Hosts) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !within.AllowsAll(f.via) {
		return reach.Refused("fake")
	}
	return nil
}

func (f *fakeImages) Recall(key string, within reach.Hosts) (pipeline.Answer, bool) {
	if f.onRecall != nil && f.may(within) == nil {
		return f.onRecall(key)
	}
	return pipeline.Answer{}, false
}

func (f *fakeImages) Peek(ctx context.Context, ref variant.Ref) (pipeline.Answer, error) {
	f.count(&f.peeks, ref)
	if err := f.may(ref.Within); err != nil {
		return pipeline.Answer{}, err
	}
	if f.onPeek != nil {
		return f.onPeek(ctx, ref)
	}
	return pipeline.Answer{}, fault.New(fault.NotCached, "pipeline.Peek", "the variant is not in the cache", nil)
}

func (f *fakeImages) Stat(ctx context.Context, ref variant.Ref) (pipeline.Answer, error) {
	f.count(&f.stats, ref)
	if err := f.may(ref.Within); err != nil {
		return pipeline.Answer{}, err
	}
	if f.onStat != nil {
		return f.onStat(ctx, ref)
	}
	return pipeline.Answer{}, cache.ErrMiss
}

func (f *fakeImages) Viewed(key string, m cache.Meta) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.views != nil {
		f.views[key+" "+m.ETag]++
	}
}

// testEntry is an entry of 1,000 bytes that count up, in the format of the ref.
func testEntry(ref variant.Ref) cache.Entry {
	body := make([]byte, 1000)
	for i := range body {
		body[i] = byte(i)
	}
	return cache.Entry{Body: body, Meta: cache.Meta{
		ContentType: ref.Spec.Format.MediaType(), ETag: testETag, Size: 1000, Created: testMade, Recipe: variant.Recipe,
		Attrs: map[string]string{"w": "480", "h": "320", "q": "70", "sw": "960", "sh": "640", "sf": "jpeg", "sfr": "1", "fr": "1", "sb": "5000"},
	}}
}

// fixture is a server on fakes.
type fixture struct {
	*Server
	t      testing.TB
	images *fakeImages
	keys   *signing.Keyring
	log    *lockedBuffer
	meter  *metrics.Metrics
	now    time.Time
	later  atomic.Int64 // nanoseconds that the clock is ahead of now
}

// lockedBuffer is a log that handlers in several goroutines write.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func testRules(t testing.TB, now func() time.Time, keys ...signing.Key) access.Rules {
	t.Helper()
	if len(keys) == 0 {
		keys = []signing.Key{{Key: testKey, Salt: "5a17"}}
	}
	ring, err := signing.New(signing.Config{Keys: keys}, now)
	if err != nil {
		t.Fatal(err)
	}
	parser, err := variant.NewParser(map[string]string{"lite": "rs:fit:480:0/net:2g"}, false)
	if err != nil {
		t.Fatal(err)
	}
	return access.Rules{
		Keys: ring, Parser: parser, Negotiation: variant.Default(),
		Lifetimes: access.Lifetimes{MaxAge: 720 * time.Hour, FirstMaxAge: 5 * time.Minute, SWR: time.Hour, SIE: 24 * time.Hour},
		API: access.API{Tokens: []access.Token{
			{Name: "backend", Token: testToken, Scopes: []string{access.ScopeSign, access.ScopeExplain, access.ScopeAdmin, access.ScopePrewarm, access.ScopeCheck, access.ScopePurge}},
			{Name: "narrow", Token: "a-token-that-may-only-check", Scopes: []string{access.ScopeCheck}},
		}},
	}
}

// newFixture makes a server; change may alter its configuration and rules before it is made.
func newFixture(t testing.TB, change func(*Config, *access.Rules)) *fixture {
	t.Helper()
	return newFixtureWith(t, change, func(*Deps) {})
}

// newFixtureWith is newFixture with further parts.
func newFixtureWith(t testing.TB, change func(*Config, *access.Rules), add func(*Deps)) *fixture {
	t.Helper()
	f := &fixture{t: t, images: &fakeImages{}, log: &lockedBuffer{}, meter: metrics.New(), now: testNow}
	now := func() time.Time { return f.now.Add(time.Duration(f.later.Load())) }
	cfg, rules := Default(), testRules(t, now)
	if change != nil {
		change(&cfg, &rules)
	}
	f.keys = rules.Keys
	deps := Deps{
		Images: f.images, Metrics: f.meter.Handler(), Meter: f.meter, Now: now,
		Log: slog.New(slog.NewJSONHandler(f.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
	add(&deps)
	var err error
	if f.Server, err = New(cfg, deps, rules); err != nil {
		t.Fatal(err)
	}
	return f
}

// beat is how often a silent stream of events shows that it lives.
const beat = 15 * time.Second

// who is the caller that a line with a token names.
func (f *fixture) who(line string) access.Caller {
	f.t.Helper()
	r := httptest.NewRequest("GET", "/v1/jobs", nil)
	r.Header.Set("Authorization", strings.TrimPrefix(line, "Authorization: "))
	who, err := f.access.Identify(r)
	if err != nil {
		f.t.Fatal(err)
	}
	return who
}

// url is a signed path for options ("" = none) and a source, in base64.
func (f *fixture) url(options, source string) string {
	f.t.Helper()
	signed, err := f.keys.Sign("", variant.Path(options, source, variant.Open))
	if err != nil {
		f.t.Fatal(err)
	}
	return signed
}

// do sends a request to the public door; headers are "Name: value" lines.
func (f *fixture) do(method, target string, headers ...string) *httptest.ResponseRecorder {
	return serve(f.Public(), method, target, "", headers...)
}

// private sends a request to the private door as localhost.
func (f *fixture) private(method, target, body string, headers ...string) *httptest.ResponseRecorder {
	return serve(f.Private(), method, target, body, append([]string{"Host: localhost:8081"}, headers...)...)
}

func serve(h http.Handler, method, target, body string, headers ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, "/", strings.NewReader(body))
	if body == "" {
		r = httptest.NewRequest(method, "/", nil)
	}
	// The raw target, as a real connection would hand it over, even where it is no valid URL for NewRequest.
	r.RequestURI = target
	if u, err := r.URL.Parse(target); err == nil {
		r.URL = u
	}
	for _, line := range headers {
		name, value, _ := strings.Cut(line, ": ")
		if name == "Host" {
			r.Host = value
			continue
		}
		r.Header.Add(name, value)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// code is the problem's code, checked to be the same in body and header.
func code(t testing.TB, w *httptest.ResponseRecorder) fault.Kind {
	t.Helper()
	var p problem
	if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil {
		t.Fatalf("status %d: body is no problem document: %v: %.200q", w.Code, err, w.Body)
	}
	if got := fault.Kind(w.Header().Get("X-Error")); got != p.Code {
		t.Errorf("X-Error %q, code %q", got, p.Code)
	}
	if p.Status != w.Code {
		t.Errorf("status %d in the document of a %d", p.Status, w.Code)
	}
	return p.Code
}

// header fails the test when a header is not as wanted.
func header(t testing.TB, w *httptest.ResponseRecorder, name, want string) {
	t.Helper()
	if got := strings.Join(w.Header().Values(name), ", "); got != want {
		t.Errorf("%s: %q, want %q", name, got, want)
	}
}

// corpusRows reads a TSV of the corpus, header line first, as maps by column; the test is skipped where there is no
// corpus.
func corpusRows(t *testing.T, name string) []map[string]string {
	t.Helper()
	dir := os.Getenv("GOLDCREST_CORPUS")
	if dir == "" {
		dir = "../../shared/corpus"
	}
	text, err := os.ReadFile(filepath.Join(dir, "vectors", name))
	if err != nil {
		t.Skipf("no corpus here (GOLDCREST_CORPUS names its place): %v", err)
	}
	return tableRows(string(text))
}

// tableRows reads a TSV, header line first, as maps by column.
func tableRows(text string) []map[string]string {
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	columns := strings.Split(lines[0], "\t")
	var rows []map[string]string
	for _, line := range lines[1:] {
		row := map[string]string{}
		for i, value := range strings.Split(line, "\t") {
			row[columns[i]] = value
		}
		rows = append(rows, row)
	}
	return rows
}
