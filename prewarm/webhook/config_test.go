package webhook

import (
	"net/url"
	"os"
	"strings"
	"testing"

	"github.com/goldcrest/goldcrest/fault"
	"github.com/goldcrest/goldcrest/prewarm/unit"
)

func TestCallbackCheck(t *testing.T) {
	w := newHooks(t, nil, "Hooks.example.com", "*.shop.example", "http://10.0.0.5:8080", "http://backend.lan", "[2001:db8::1]", "ported.example:8443")
	tests := []struct {
		url string
		ok  bool
	}{
		{"https://hooks.example.com/a?b", true},
		{"https://HOOKS.example.com.:443/", true}, {"https://hooks.example.com:8443", true},
		{"https://a.shop.example/", true}, {"https://a.b.shop.example/", true}, {"https://shop.example/", false},
		{"https://evilshop.example/", false}, {"https://hooks.example.com.evil.example/", false}, {"https://xhooks.example.com/", false},
		{"http://hooks.example.com/", false}, {"http://10.0.0.5:8080/x", true}, {"https://10.0.0.5:8080/x", true},
		{"http://10.0.0.5/x", false}, {"http://10.0.0.5:8081/x", false}, {"http://167772165:8080/", false}, {"http://backend.lan:99/", true},
		{"https://[2001:db8::1]/", true}, {"https://[2001:db8::2]/", false}, {"https://ported.example:8443/", true}, {"https://ported.example/", false},
		{"https://me:pw@hooks.example.com/", false}, {"https://hooks.example.com@evil.example/", false}, {"https://hooks.example.com/#f", false},
		{"https://evil.example\\.shop.example/", false}, {"https://evil.example。.shop.example/", false}, {"https://a%00.shop.example/", false},
		{"https://evil.example%2f.shop.example/", false}, {"https://a b.shop.example/", false}, {"https://hooks.example.com:/", false},
		{"ftp://hooks.example.com/", false}, {"//hooks.example.com/", false}, {"https:hooks.example.com", false}, {"https:///x", false},
		{"", false}, {"https://hooks.example.com/\r\nX: y", false},
		{"https://hooks.example.com/" + strings.Repeat("a", 3000), false},
	}
	for _, tt := range tests {
		err := w.Check(unit.Callback{URL: tt.url})
		if (err == nil) != tt.ok {
			t.Errorf("%.80q: %v, want allowed %v", tt.url, err, tt.ok)
		}
		if err != nil {
			wantFault(t, tt.url, err, fault.BadUnit)
		}
	}
	good := "https://hooks.example.com/"
	if err := w.Check(unit.Callback{URL: good, Events: []string{JobDone, ImageBroken}}); err != nil {
		t.Error(err)
	}
	wantFault(t, "unknown event", w.Check(unit.Callback{URL: good, Events: []string{"job.started"}}), fault.BadUnit)
	wantFault(t, "off", newHooks(t, nil).Check(unit.Callback{URL: good}), fault.BadUnit)
	if err := newHooks(t, nil, "*:8443").Check(unit.Callback{URL: "https://any.example:8443/"}); err != nil {
		t.Error(err)
	}
}

func TestCallbackConfig(t *testing.T) {
	good := []Secret{{SecretFile: "x"}}
	for _, allow := range []string{
		"", "http://", "https://hooks.example.com", "a b", "a/b", "me@host", "a*.example", "*.*.example", "*.", "x.*", "host:", ":80", "a?b", "a#b", "ü.example",
	} {
		if (Config{Allow: []string{allow}, Secrets: good}).Validate() == nil {
			t.Errorf("allow %q is taken", allow)
		}
	}
	if (Config{Allow: []string{"*"}}).Validate() == nil || (Config{Secrets: []Secret{{ID: "a"}}}).Validate() == nil {
		t.Error("callbacks without a secret are taken")
	}
	if err := (Config{}).Validate(); err != nil {
		t.Errorf("callbacks that are off: %v", err)
	}
	for _, text := range []string{"", "hush-too-short", "whsec_hush!", "whsec_aHVzaA==", strings.Repeat("hush", 1<<17)} {
		cfg := Config{Secrets: []Secret{{ID: "new", SecretFile: secretFile(t, text)}}}
		if _, err := NewSender(cfg, nil, nil); err == nil || strings.Contains(err.Error(), "hush") {
			t.Errorf("secret %.20q: %v", text, err)
		}
	}
	if _, err := NewSender(Config{Secrets: []Secret{{SecretFile: "/absent"}}}, nil, nil); !os.IsNotExist(unwrapOnce(err)) {
		t.Errorf("absent file: %v", err)
	}
}

func unwrapOnce(err error) error {
	if u, ok := err.(interface{ Unwrap() error }); ok {
		return u.Unwrap()
	}
	return err
}

// FuzzCallbackHost checks that a host that matches "*.shop.example" is below it for the resolver too.
func FuzzCallbackHost(f *testing.F) {
	for _, s := range []string{"https://a.shop.example/", "https://evil。shop.example", "https://x@y.shop.example:1/", "https://[::1].shop.example"} {
		f.Add(s)
	}
	h, err := parseHost("*.shop.example")
	if err != nil {
		f.Fatal(err)
	}
	r := rules{allow: []host{h}}
	f.Fuzz(func(t *testing.T, raw string) {
		if r.check(raw) != nil {
			return
		}
		u, err := url.Parse(raw)
		if err != nil || u.Scheme != "https" || !strings.HasSuffix(strings.ToLower(strings.TrimSuffix(u.Hostname(), ".")), ".shop.example") ||
			strings.ContainsAny(u.Host, "@/\\%?# ") {
			t.Errorf("%q passes", raw)
		}
	})
}
