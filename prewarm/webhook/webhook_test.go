package webhook

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/goldcrest/goldcrest/fault"
	"github.com/goldcrest/goldcrest/prewarm/ledger"
	"github.com/goldcrest/goldcrest/prewarm/unit"
)

// The example published by Standard Webhooks; the client's tests verify the same one.
const (
	hookSecret    = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
	hookID        = "msg_p5jXN8AQM9LWM0D4loKWxJek"
	hookAt        = 1614265330
	hookBody      = `{"test": 2432232314}`
	hookSignature = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
)

// doerFunc is a Doer without a network.
type doerFunc func(r *http.Request) (*http.Response, error)

func (f doerFunc) Do(r *http.Request) (*http.Response, error) { return f(r) }

func secretFile(t *testing.T, text string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

func newHooks(t *testing.T, client Doer, allow ...string) *Sender {
	t.Helper()
	w, err := NewSender(Config{
		Allow:   allow,
		Secrets: []Secret{{ID: "new", SecretFile: secretFile(t, hookSecret+"\n")}, {ID: "old", SecretFile: secretFile(t, "an older secret, taken as it is")}},
	}, client, func() time.Time { return time.Unix(hookAt, 0) })
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func eventTo(target string) Event {
	return Event{
		ID: hookID, Type: JobDone, At: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC),
		Job: ledger.Job{ID: "j1", State: ledger.Partial, Counts: ledger.Counts{Images: 2, Made: 1, Broken: 1}, Tags: []string{"campaign-7"}, Token: "backend", Callback: &unit.Callback{URL: target}},
	}
}

func wantFault(t *testing.T, what string, err error, want fault.Kind) {
	t.Helper()
	if got := fault.KindOf(err); got != want {
		t.Errorf("%s: fault = %q (%v), want %q", what, got, err, want)
	}
}

func TestCallbackSignature(t *testing.T) {
	got := newHooks(t, nil, "*").rules.Load().sign(hookID, fmt.Sprint(hookAt), []byte(hookBody))
	first, second, ok := strings.Cut(got, " ")
	if first != hookSignature || !ok || !strings.HasPrefix(second, "v1,") || second == first {
		t.Errorf("sign = %q, want %q and one of the older secret", got, hookSignature)
	}
}

func TestTellOverTLS(t *testing.T) {
	var got *http.Request
	var body []byte
	s := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got = r
		body, _ = io.ReadAll(r.Body)
		w.WriteHeader(http.StatusAccepted)
		_, _ = w.Write(make([]byte, 1<<20)) // receivers may respond with anything
	}))
	t.Cleanup(s.Close)
	roots := x509.NewCertPool()
	roots.AddCert(s.Certificate())
	w := newHooks(t, s.Client(), "127.0.0.1")
	e := eventTo(s.URL + "/hooks/images?key=hush")
	e.Job.Request = "req-1"
	e.Broken = []BrokenImage{{BrokenSource: ledger.BrokenSource{Source: "https://c.example/a.jpg?sig=hush#f", Reason: fault.SourceNotFound}, Units: []string{"du_1", "du_2"}}}
	if err := w.Tell(t.Context(), e); err != nil {
		t.Fatal(err)
	}
	if got.Method != http.MethodPost || got.URL.RawQuery != "key=hush" || got.Header.Get("Content-Type") != "application/json" {
		t.Errorf("request: %s %s %v", got.Method, got.URL, got.Header)
	}
	if id := got.Header.Get("X-Request-Id"); id != "req-1" {
		t.Errorf("X-Request-Id %q", id)
	}
	if id, at := got.Header.Get("webhook-id"), got.Header.Get("webhook-timestamp"); id != hookID || at != fmt.Sprint(hookAt) {
		t.Errorf("id %q, timestamp %q", id, at)
	}
	if want := w.rules.Load().sign(hookID, fmt.Sprint(hookAt), body); got.Header.Get("webhook-signature") != want {
		t.Errorf("signature %q, want %q", got.Header.Get("webhook-signature"), want)
	}
	want := `{"type":"job.done","timestamp":"2026-01-02T03:04:05Z","data":{"job":"j1","state":"partial","counts":{"data_units":0,"images":2,` +
		`"variants":0,"made":1,"present":0,"broken":1,"failed":0,"pending":0,"skipped":0},"bytes":{"source":0,"stored":0,"saved":0},` +
		`"tags":["campaign-7"],"request_id":"req-1","broken":[{"source":"https://c.example/a.jpg","reason":"source_not_found","units":["du_1","du_2"]}],"broken_omitted":0}}`
	if string(body) != want {
		t.Errorf("body\n%s\nwant\n%s", body, want)
	}
}

func TestTellReadsAnswers(t *testing.T) {
	tests := []struct {
		status int
		after  string
		want   fault.Kind
		wait   time.Duration
	}{
		{200, "", "", 0}, {204, "", "", 0}, {299, "", "", 0},
		{301, "", fault.SourceError, 0}, {307, "", fault.SourceError, 0}, {400, "", fault.SourceError, 0},
		{401, "", fault.SourceError, 0}, {404, "", fault.SourceError, 0}, {500, "", fault.SourceError, 0},
		{410, "", fault.SourceNotFound, 0},
		{429, "120", fault.SourceError, 2 * time.Minute},
		{503, "-5", fault.SourceError, 0}, {503, "soon", fault.SourceError, 0},
		{503, "99999999999999", fault.SourceError, 6 * time.Hour}, {503, "999999999", fault.SourceError, 6 * time.Hour},
		{503, time.Unix(hookAt+60, 0).UTC().Format(http.TimeFormat), fault.SourceError, time.Minute},
	}
	for _, tt := range tests {
		w := newHooks(t, doerFunc(func(*http.Request) (*http.Response, error) {
			return &http.Response{StatusCode: tt.status, Header: http.Header{"Retry-After": {tt.after}}, Body: http.NoBody}, nil
		}), "hooks.example.com")
		err := w.Tell(t.Context(), eventTo("https://hooks.example.com/"))
		wantFault(t, fmt.Sprint(tt.status), err, tt.want)
		if err == nil {
			continue
		}
		if f := fault.Of(err); f.RetryAfter != tt.wait || f.Kind.Retryable() != (tt.status != 410) {
			t.Errorf("%d %q: wait %s, retryable %v", tt.status, tt.after, f.RetryAfter, f.Kind.Retryable())
		}
	}
}

func TestCallbackFailuresNameTheirCause(t *testing.T) {
	blocked := fault.New(fault.AddressBlocked, "origin.Fetch", "the source's address is not public", nil)
	tests := []struct {
		name string
		err  error
		want fault.Kind
	}{
		{"guard", blocked, fault.AddressBlocked},
		{"deadline", context.DeadlineExceeded, fault.SourceTimeout},
		{"caller left", context.Canceled, fault.Canceled},
		{"other", errors.New("connection refused"), fault.ConnectFailed},
	}
	for _, tt := range tests {
		w := newHooks(t, doerFunc(func(r *http.Request) (*http.Response, error) {
			return nil, &url.Error{Op: "Post", URL: r.URL.String(), Err: tt.err}
		}), "hooks.example.com")
		err := w.Tell(t.Context(), eventTo("https://hooks.example.com/in/hush-path?key=hush"))
		wantFault(t, tt.name, err, tt.want)
		if strings.Contains(err.Error(), "hush") || !errors.Is(err, tt.err) {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
}

func TestTellNeedsAllowance(t *testing.T) {
	asked := 0
	w := newHooks(t, doerFunc(func(*http.Request) (*http.Response, error) {
		asked++
		return &http.Response{StatusCode: 200, Body: http.NoBody}, nil
	}), "hooks.example.com")
	if err := w.Tell(t.Context(), Event{Type: JobDone}); err != nil || asked != 0 {
		t.Errorf("without a callback: %v, %d requests", err, asked)
	}
	if err := w.Reload(Config{}); err != nil {
		t.Fatal(err)
	}
	err := w.Tell(t.Context(), eventTo("https://hooks.example.com/")) // queued while it was allowed
	wantFault(t, "no longer allowed", err, fault.BadUnit)
	if asked != 0 || fault.BadUnit.Retryable() {
		t.Errorf("%d requests", asked)
	}
	if w.Reload(Config{Allow: []string{"*"}}) == nil {
		t.Error("callbacks without a secret are taken")
	}
	wantFault(t, "after a refused reload", w.Check(unit.Callback{URL: "https://hooks.example.com/"}), fault.BadUnit)
}

func TestCallbackDelays(t *testing.T) {
	total := time.Duration(0)
	for _, d := range Delays() {
		total += d
	}
	if n := len(Delays()) + 1; n != 8 || total > 24*time.Hour || total < 23*time.Hour {
		t.Errorf("%d tries over %s, want 8 over a day", n, total)
	}
}

func TestNoticeIsBounded(t *testing.T) {
	e := eventTo("")
	e.Type, e.Job.Tags = ImageBroken, nil
	for i := range 10_000 {
		source := ledger.BrokenSource{Source: fmt.Sprintf("https://c.example/%d/<&>%s?token=hush", i, strings.Repeat("é", 20)), Reason: fault.NotAnImage}
		e.Broken = append(e.Broken, BrokenImage{BrokenSource: source, Units: []string{fmt.Sprint("<", i)}})
	}
	for range 50_000 {
		e.Job.Tags = append(e.Job.Tags, "<tag>")
	}
	body, err := e.Notice()
	if err != nil {
		t.Fatal(err)
	}
	var n notice
	if err := json.Unmarshal(body, &n); err != nil {
		t.Fatal(err)
	}
	if len(body) > maxNotice || len(body) < maxNotice-500 {
		t.Errorf("%d bytes, want just below %d", len(body), maxNotice)
	}
	if len(n.Data.Broken)+n.Data.BrokenOmitted != 10_000 || len(n.Data.Broken) < 1000 || len(n.Data.Tags) != maxTags/5 {
		t.Errorf("%d broken, %d omitted, %d tags", len(n.Data.Broken), n.Data.BrokenOmitted, len(n.Data.Tags))
	}
	if strings.Contains(string(body), "hush") {
		t.Error("the body tells a query")
	}
}
