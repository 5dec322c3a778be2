package manners

import (
	"crypto/tls"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func secretFile(t *testing.T, text string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// A host gets all of the first entry that matches it, and nothing of any other.
func TestFirstMatchingEntryAppliesAsAWhole(t *testing.T) {
	set, err := New([]Host{
		{Match: []string{"img.example.com"}, UserAgent: "one", Headers: map[string]string{"x-a": "1"}},
		{Match: []string{"*.example.com", "192.0.2.1"}, Referer: "https://r.example/",
			SecretHeaders: map[string]string{"X-Key": secretFile(t, "hidden\n")}},
		{Match: []string{"b.example"}, BasicFile: secretFile(t, "user:pass word")},
		{Match: []string{"t.example"}, BearerFile: secretFile(t, "token"), AllowHTTP: true},
	})
	if err != nil {
		t.Fatal(err)
	}
	for host, want := range map[string]http.Header{
		"img.example.com": {"User-Agent": {"one"}, "X-A": {"1"}},
		"a.example.com":   {"Referer": {"https://r.example/"}, "X-Key": {"hidden"}},
		"192.0.2.1":       {"Referer": {"https://r.example/"}, "X-Key": {"hidden"}},
		"b.example":       {"Authorization": {"Basic dXNlcjpwYXNzIHdvcmQ="}},
		"t.example":       {"Authorization": {"Bearer token"}},
		"example.com":     nil, "badexample.com": nil, "img.example.com.evil.example": nil,
	} {
		h := http.Header{"User-Agent": {"goldcrest"}}
		m := set.Of(host)
		m.Apply(h)
		if want == nil {
			if m != nil || len(h) != 1 {
				t.Errorf("%s gets %v", host, h)
			}
			continue
		}
		if want.Get("User-Agent") == "" {
			want.Set("User-Agent", "goldcrest")
		}
		for name := range want {
			if h.Get(name) != want.Get(name) || len(h) != len(want) {
				t.Errorf("%s gets %v, want %v", host, h, want)
			}
		}
		if secret := host != "img.example.com"; m.Secret != secret || m.AllowHTTP != (host == "t.example") {
			t.Errorf("%s: secret %t, over http %t", host, m.Secret, m.AllowHTTP)
		}
	}
	all, err := New([]Host{{Match: []string{"*"}, UserAgent: "x"}})
	if err != nil || all.Of("any.example") == nil {
		t.Errorf("* is not every host: %v", err)
	}
	if (Set{}).Of("any.example") != nil {
		t.Error("manners out of nothing")
	}
}

func TestConnections(t *testing.T) {
	set, err := New([]Host{{
		Match: []string{"*"}, TLS: TLS{Min: "1.3"}, Proxy: Proxy{URL: "http://proxy.example:3128",
			AuthFile: secretFile(t, "user:hidden\n")},
	}})
	if err != nil {
		t.Fatal(err)
	}
	m := set.Of("a.example")
	if m.TLS.MinVersion != tls.VersionTLS13 || m.Proxy.Host != "proxy.example:3128" ||
		m.Proxy.User.String() != "user:hidden" {
		t.Errorf("%+v", m)
	}
	if strings.Contains(m.Proxy.Redacted(), "hidden") {
		t.Error("the password is not redacted")
	}
}

// Whatever is wrong is told without what the files hold, or what may be a secret.
func TestRefusals(t *testing.T) {
	hidden := secretFile(t, "hidden")
	match := []string{"a.example"}
	for _, tt := range []struct {
		want string
		host Host
	}{
		{"names no host", Host{}},
		{"match", Host{Match: []string{"a/b"}}},
		{"is not a host", Host{Match: []string{"s3://a"}}},
		{"not the name of a header", Host{Match: match, Headers: map[string]string{"a b": "x"}}},
		{"a single line", Host{Match: match, Headers: map[string]string{"X": "hidden\nY: z"}}},
		{"cannot be set", Host{Match: match, Headers: map[string]string{"host": "x"}}},
		{"cannot be set", Host{Match: match, SecretHeaders: map[string]string{"transfer-encoding": hidden}}},
		{"is a secret", Host{Match: match, Headers: map[string]string{"authorization": "hidden"}}},
		{"single lines", Host{Match: match, UserAgent: "hidden\r"}},
		{"either basic_file", Host{Match: match, BasicFile: hidden, BearerFile: hidden}},
		{"does not contain user:password", Host{Match: match, BasicFile: hidden}},
		{"a single line", Host{Match: match, BearerFile: secretFile(t, "hidden\nline")}},
		{"a single line", Host{Match: match, BearerFile: secretFile(t, "\n")}},
		{"secret_headers.X-Key", Host{Match: match, SecretHeaders: map[string]string{"X-Key": "/absent"}}},
		{"proxy.url", Host{Match: match, Proxy: Proxy{URL: "http://user:hidden@proxy.example"}}},
		{"proxy.url", Host{Match: match, Proxy: Proxy{URL: "ftp://proxy.example"}}},
		{"does not contain user:password", Host{Match: match, Proxy: Proxy{URL: "http://proxy.example", AuthFile: hidden}}},
		{"without proxy.url", Host{Match: match, Proxy: Proxy{AuthFile: hidden}}},
		{"go together", Host{Match: match, TLS: TLS{CertFile: hidden}}},
		{"do not go together", Host{Match: match, TLS: TLS{CertFile: hidden, KeyFile: hidden}}},
		{"no certificate", Host{Match: match, TLS: TLS{CAFile: hidden}}},
		{"neither 1.2 nor 1.3", Host{Match: match, TLS: TLS{Min: "1.1"}}},
	} {
		_, err := New([]Host{tt.host})
		if err == nil || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), "entry 1") {
			t.Errorf("%v, want %q", err, tt.want)
		} else if strings.Contains(err.Error(), "hidden") {
			t.Errorf("a secret is told: %v", err)
		}
	}
}
