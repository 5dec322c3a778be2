package origin

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/goldcrest/goldcrest/fault"
	"github.com/goldcrest/goldcrest/origin/manners"
	"github.com/goldcrest/goldcrest/reach"
)

// scripted is a Source that answers what a test says.
type scripted struct {
	answer func() (*http.Response, error)
	calls  int
}

func (s *scripted) Check(u *url.URL) error {
	if u.Host == "refused" {
		return fault.New(fault.SourceNotAllowed, "test", "not this one", nil)
	}
	return nil
}

func (s *scripted) Open(context.Context, *url.URL, http.Header) (*http.Response, error) {
	s.calls++
	return s.answer()
}

func answerOf(status int, text string, body []byte) func() (*http.Response, error) {
	return func() (*http.Response, error) {
		return &http.Response{
			StatusCode: status, Status: text, Header: http.Header{}, ContentLength: int64(len(body)),
			Body: io.NopCloser(bytes.NewReader(body)),
		}, nil
	}
}

// A source beside HTTP is held to what HTTP sources are held to: limits, completeness, what is known to be bad, the
// circuit of its bucket, and the caller's reach.
func TestSources(t *testing.T) {
	s := &scripted{}
	c := newClient(t, Hooks{}, func(cfg *Config) {
		cfg.Allow = []string{"img.example.com"} // Of HTTP hosts.
		cfg.MaxBytes = 64 << 10
		cfg.Ways.Sources = map[string]Source{"s3": s}
	})
	s.answer = answerOf(200, "", smallJPEG(t))
	if o, err := get(t, c, "s3://media/a.jpg"); err != nil || o.Info.Format != "jpeg" {
		t.Errorf("%+v, %v", o.Info, err)
	}
	_, err := get(t, c, "s3://refused/a.jpg")
	wantKind(t, err, fault.SourceNotAllowed)
	for source, want := range map[string]fault.Kind{
		"gs://media/a.jpg": fault.SourceNotAllowed, "local:///etc/passwd": fault.SourceNotAllowed,
		"ftp://media/a.jpg": fault.BadSource,
	} {
		wantKind(t, c.Allowed(source), want)
	}
	for _, tt := range []struct {
		status int
		text   string
		body   []byte
		want   fault.Kind
		says   string
	}{
		{404, "404 NoSuchKey", nil, fault.SourceNotFound, "404 NoSuchKey"},
		{403, "403 AccessDenied", nil, fault.SourceForbidden, "403 AccessDenied"},
		{301, "301 PermanentRedirect", nil, fault.SourceError, "301 PermanentRedirect"},
		{500, "", nil, fault.SourceError, "500"},
		{200, "", make([]byte, 64<<10+1), fault.SourceTooLarge, ""},
		{200, "", smallJPEG(t)[:200], fault.TruncatedSource, ""},
		{200, "", []byte("<html>"), fault.NotAnImage, ""},
	} {
		s.answer = answerOf(tt.status, tt.text, tt.body)
		source := "s3://media/" + tt.text + string(tt.want)
		_, err := get(t, c, source)
		wantKind(t, err, tt.want)
		if !strings.Contains(fault.Of(err).Public, tt.says) {
			t.Errorf("told as %q", fault.Of(err).Public)
		}
		before := s.calls
		_, err = get(t, c, source)
		wantKind(t, err, tt.want)
		if known := s.calls == before; known != permanent(tt.want) {
			t.Errorf("%s: known to be bad: %t", tt.want, known)
		}
	}
	s.answer = func() (*http.Response, error) { return nil, errors.New("no answer") }
	for range breakerRun {
		_, err = get(t, c, "s3://failing/a.jpg")
		wantKind(t, err, fault.SourceError)
	}
	_, err = get(t, c, "s3://failing/a.jpg")
	wantKind(t, err, fault.OriginCircuitOpen)
	s.answer = answerOf(200, "", smallJPEG(t))
	_, err = get(t, c, "s3://media/other.jpg")
	wantKind(t, err, "")
}

// Anyone who is bound to hosts gets no bucket of the same name, and the other way round.
func TestSourcesWithin(t *testing.T) {
	s := &scripted{answer: answerOf(200, "", smallJPEG(t))}
	c := newClient(t, Hooks{}, func(cfg *Config) { cfg.Ways.Sources = map[string]Source{"s3": s, "local": s} })
	for _, tt := range []struct {
		pattern, source string
		want            fault.Kind
	}{
		{"media.example.com", "s3://media.example.com/a.jpg", fault.SourceNotAllowed},
		{"*.example.com", "s3://media.example.com/a.jpg", fault.SourceNotAllowed},
		{"s3://media.example.com", "s3://media.example.com/a.jpg", ""},
		{"s3://media.example.com", "local:///a.jpg", fault.SourceNotAllowed},
		{"local://", "local:///a.jpg", ""},
	} {
		within, err := reach.Of([]string{tt.pattern})
		if err != nil {
			t.Fatal(err)
		}
		o, err := c.Fetch(context.Background(), tt.source, Limits{Within: within})
		wantKind(t, err, tt.want)
		if err == nil {
			o.Release()
		}
	}
}

// No origin can send us to what only this server may read.
func TestRedirectsToSources(t *testing.T) {
	s := &scripted{answer: answerOf(200, "", smallJPEG(t))}
	base, _ := serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Location", r.URL.Query().Get("to"))
		w.WriteHeader(http.StatusFound)
	})
	c := newClient(t, Hooks{}, func(cfg *Config) { cfg.Ways.Sources = map[string]Source{"s3": s, "local": s} })
	for _, to := range []string{"s3://media/a.jpg", "S3://media/a.jpg", "local:///a.jpg"} {
		_, err := get(t, c, base+"/?to="+url.QueryEscape(to))
		wantKind(t, err, fault.SourceNotAllowed)
	}
	if s.calls != 0 {
		t.Error("a source was opened")
	}
}

// Each hop is asked by the manners of its own host: a secret does not follow a redirect, nor go over plain http.
func TestMannersPerHop(t *testing.T) {
	var seen http.Header
	other, _ := serve(t, func(w http.ResponseWriter, r *http.Request) {
		seen = r.Header.Clone()
		_, _ = w.Write(smallJPEG(t))
	})
	other = strings.Replace(other, "127.0.0.1", "localhost", 1)
	var first http.Header
	origin := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		first = r.Header.Clone()
		http.Redirect(w, r, other+"/b.jpg", http.StatusFound)
	}))
	t.Cleanup(origin.Close)
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte("hidden"), 0o600); err != nil {
		t.Fatal(err)
	}
	host := manners.Host{Match: []string{"127.0.0.1"}, SecretHeaders: map[string]string{"X-Key": secret},
		UserAgent: "shop", AllowHTTP: true}
	set, err := manners.New([]manners.Host{host, {Match: []string{"localhost"}, Referer: "https://r.example/"}})
	if err != nil {
		t.Fatal(err)
	}
	c := newClient(t, Hooks{}, func(cfg *Config) {
		cfg.AllowPrivate = append(cfg.AllowPrivate, "::1/128")
		cfg.Ways.Manners = set
	})
	if _, err := get(t, c, origin.URL+"/a.jpg"); err != nil {
		t.Fatal(err)
	}
	if first.Get("X-Key") != "hidden" || first.Get("User-Agent") != "shop" || first.Get("Referer") != "" {
		t.Errorf("the source's host got %v", first)
	}
	if seen.Get("X-Key") != "" || seen.Get("User-Agent") != "goldcrest" || seen.Get("Referer") != "https://r.example/" {
		t.Errorf("the other host got %v", seen)
	}
	host.AllowHTTP = false
	if set, err = manners.New([]manners.Host{host}); err != nil {
		t.Fatal(err)
	}
	first = nil
	c = newClient(t, Hooks{}, func(cfg *Config) { cfg.Ways.Manners = set })
	_, err = get(t, c, origin.URL+"/a.jpg")
	wantKind(t, err, fault.SourceNotAllowed)
	if first != nil {
		t.Error("the secret went over plain http")
	}
	back, _ := serve(t, func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, origin.URL+"/a.jpg",
			http.StatusFound)
	})
	_, err = get(t, c, strings.Replace(back, "127.0.0.1", "localhost", 1)+"/a.jpg")
	if err == nil || first != nil {
		t.Errorf("a redirect had the secret sent over plain http: %v", err)
	}
}

// Through a proxy a host is asked by its name, with the proxy's own credentials, and others are not.
func TestProxy(t *testing.T) {
	var asked *http.Request
	proxy, hits := serve(t, func(w http.ResponseWriter, r *http.Request) {
		asked = r
		_, _ = w.Write(smallJPEG(t))
	})
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte("user:hidden"), 0o600); err != nil {
		t.Fatal(err)
	}
	set, err := manners.New([]manners.Host{{Match: []string{"img.example.com"}, Proxy: manners.Proxy{URL: proxy,
		AuthFile: secret}}})
	if err != nil {
		t.Fatal(err)
	}
	direct, _ := serve(t, send(smallJPEG(t)))
	c := newClient(t, Hooks{}, func(cfg *Config) { cfg.Ways.Manners = set })
	for _, source := range []string{"http://img.example.com/a.jpg?x", direct + "/b.jpg"} {
		if _, err := get(t, c, source); err != nil {
			t.Errorf("%s: %v", source, err)
		}
	}
	if hits.Load() != 1 || asked.RequestURI != "http://img.example.com/a.jpg?x" ||
		asked.Header.Get("Proxy-Authorization") != "Basic dXNlcjpoaWRkZW4=" {
		t.Errorf("%d requests, the last %s", hits.Load(), asked.RequestURI)
	}
	if _, err := get(t, c, "http://10.0.0.1/a.jpg"); fault.KindOf(err) != fault.AddressBlocked {
		t.Errorf("a private address: %v", err)
	}
}

// What speaks HTTP for a source connects past the guard no more than a fetch does.
func TestTransportIsGuarded(t *testing.T) {
	base, hits := serve(t, send(nil))
	c, err := New(Default(), Hooks{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, base, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Transport().RoundTrip(request); !errors.Is(err, errBlocked) || hits.Load() != 0 {
		t.Errorf("%v, %d requests", err, hits.Load())
	}
}
