package origin

import (
	"net/url"
	"strings"
	"testing"

	"github.com/goldcrest/goldcrest/fault"
)

func TestAllowed(t *testing.T) {
	c := newClient(t, Hooks{}, func(cfg *Config) {
		cfg.AllowPrivate = []string{"10.1.0.0/16"}
		cfg.Allow = []string{"img.example.com", "*.CDN.example.net.", "bücher.example", "8.8.8.8", "[2001:4860:4860::8888]", "10.1.2.3", "10.2.2.3", "self.example"}
		cfg.Ports = []int{80, 443, 8443}
		cfg.Self.Own = []string{"Self.example:443"}
	})
	tests := []struct {
		source string
		want   fault.Kind
	}{
		{"https://img.example.com/a", ""},
		{"HTTPS://IMG.Example.COM./a", ""},
		{"https://img.example.com:8443/a", ""},
		{"https://img.example.com:8080/a", fault.SourceNotAllowed},
		{"https://example.com/a", fault.SourceNotAllowed},
		{"https://img.example.com.evil.org/a", fault.SourceNotAllowed},
		{"https://evilimg.example.com/a", fault.SourceNotAllowed},
		{"https://a.cdn.example.net/a", ""},
		{"https://b.a.cdn.example.net/a", ""},
		{"https://cdn.example.net/a", fault.SourceNotAllowed},
		{"https://a.cdn.example.net.evil.org/a", fault.SourceNotAllowed},
		{"https://evilcdn.example.net/a", fault.SourceNotAllowed},
		{"https://bücher.example/a", ""},
		{"https://BÜCHER.example/a", ""},
		{"https://xn--bcher-kva.example/a", ""},
		{"https://b%C3%BCcher.example/a", ""},
		{"http://8.8.8.8/a", ""},
		{"http://[::ffff:8.8.8.8]/a", ""},
		{"http://８.８.８.８/a", ""},
		{"http://[2001:4860:4860:0::8888]/a", ""},
		{"http://10.1.2.3/a", ""},
		{"http://10.2.2.3/a", fault.AddressBlocked},
		{"https://self.example/x", fault.SourceNotAllowed},
		{"http://self.example/x", ""},
		{"http://user@img.example.com/a", fault.BadSource},
		{"ftp://img.example.com/a", fault.BadSource},
		{"http:img.example.com/a", fault.BadSource},
		{"http://img.example.com:0/a", fault.BadSource},
		{"http://img.example.com:99999/a", fault.BadSource},
		{"http://img..example.com/a", fault.BadSource},
		{"http://img.example.com../a", fault.BadSource},
		{"http://a b/a", fault.BadSource},
		{"http://a\x00b/a", fault.BadSource},
		{"http://2130706433/a", fault.AddressBlocked},
		{"http://0x7f000001/a", fault.AddressBlocked},
		{"http://0177.0.0.1/a", fault.AddressBlocked},
		{"http://127.1/a", fault.AddressBlocked},
		{"http://127.0.0.1.0x1/a", fault.AddressBlocked},
		{"http://１２７.1/a", fault.AddressBlocked},
		{"http://[fe80::1%25eth0]/a", fault.AddressBlocked},
		{"", fault.BadSource},
	}
	for _, tt := range tests {
		err := c.Allowed(tt.source)
		if got := fault.KindOf(err); got != tt.want {
			t.Errorf("%q: fault = %q (%v), want %q", tt.source, got, err, tt.want)
		}
	}
}

func TestEveryHostIsAllowedByStar(t *testing.T) {
	c := newClient(t, Hooks{}, func(cfg *Config) { cfg.Allow = []string{"*"} })
	wantKind(t, c.Allowed("https://anything.example/a"), "")
	wantKind(t, c.Allowed("https://192.168.0.1/a"), fault.AddressBlocked)
}

func TestFaultsHoldNoQuery(t *testing.T) {
	c := newClient(t, Hooks{}, func(cfg *Config) { cfg.Allow = []string{"img.example.com"} })
	for _, source := range []string{"http://evil/?secret", "http://a b/?secret", "://?secret", "http://[::1/?secret", "http://img.example.com:port/?secret"} {
		err := c.Allowed(source)
		if err == nil || strings.Contains(err.Error(), "secret") {
			t.Errorf("%q: error = %v", source, err)
		}
	}
}

func FuzzSource(f *testing.F) {
	for _, seed := range []string{"http://a.example/b?c#d", "https://[::1]:80/%2f", "http://１２７.0.0.1/", "http://xn--a/", "//x", "http://a_b.c/ ?\xff"} {
		f.Add(seed)
	}
	guard, err := newGuard(nil)
	if err != nil {
		f.Fatal(err)
	}
	s := &settings{guard: guard}
	f.Fuzz(func(t *testing.T, source string) {
		u, err := s.parse(source)
		if err != nil {
			return
		}
		wire := u.String()
		again, err := s.parse(wire)
		if err != nil || again.String() != wire {
			t.Errorf("%q becomes %q, which becomes %v, %v", source, wire, again, err)
		}
		if strings.ContainsAny(u.RequestURI(), " \r\n\t") || strings.ContainsFunc(u.Host, func(r rune) bool { return r <= ' ' || r > '~' }) {
			t.Errorf("%q would go out as %q to %q", source, u.RequestURI(), u.Host)
		}
		if _, err := url.Parse(wire); err != nil {
			t.Error(err)
		}
	})
}

// Allowed reports, without any I/O, whether source may be fetched at all: bad_source, source_not_allowed,
// address_blocked.
func (c *Client) Allowed(source string) error {
	_, err := c.settings.Load().parse(source)
	return err
}
