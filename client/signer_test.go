package client

import (
	"strings"
	"testing"
	"time"

	"github.com/goldcrest/goldcrest/signing"
	"github.com/goldcrest/goldcrest/variant"
)

var noon = time.Date(2026, 3, 10, 12, 0, 0, 0, time.UTC)

const key = "30313233343536373839616263646566303132333435363738396162636465662e"

func TestURL(t *testing.T) {
	presets, err := variant.NewParser(map[string]string{"lite": "w:480"}, false)
	if err != nil {
		t.Fatal(err)
	}
	keys, err := signing.New(signing.Config{Keys: []signing.Key{{ID: "web", Key: key}}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	s, err := newSigner(Config{BaseURL: "https://img.example.com/i/", Key: key, KeyID: "web"}, func() time.Time { return noon })
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		source, options string
		ttl, round      time.Duration
		want            variant.Spec
		expires         time.Time
	}{
		{"http://a/b c.jpg?x=1&y=%2B", "", 0, 0, variant.Spec{}, time.Time{}},
		{"http://a/", "/pr:lite/f:png/", time.Hour, 0, variant.Spec{Width: 480, Format: variant.PNG}, noon.Add(12 * time.Hour)},
		{"http://a/", "w:5", time.Minute, time.Hour, variant.Spec{Width: 5}, noon.Add(time.Hour)},
		{"http://a/", "", time.Hour, 0, variant.Spec{}, noon.Add(12 * time.Hour)},
	} {
		url, err := s.URL(test.source, test.options, test.ttl, test.round)
		target, ok := strings.CutPrefix(url, "https://img.example.com/i")
		if err != nil || !ok {
			t.Errorf("URL(%q, %q) = %q, %v", test.source, test.options, url, err)
			continue
		}
		v, err := keys.Verify(target)
		if err != nil {
			t.Errorf("%q: %v", url, err)
			continue
		}
		ref, terms, err := presets.ParsePath(v.Path)
		source, _ := variant.ParseSource(test.source)
		if err != nil || ref != (variant.Ref{Source: source, Spec: test.want}) || !terms.Expires.Equal(test.expires) {
			t.Errorf("%q reads %+v, %+v, %v", url, ref, terms, err)
		}
	}
}

func TestURLIsShared(t *testing.T) {
	now := noon
	s, err := newSigner(Config{BaseURL: "http://localhost:8080", Key: key}, func() time.Time { return now })
	if err != nil {
		t.Fatal(err)
	}
	first, err := s.URL("http://a/", "w:5", time.Hour, 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		later time.Duration
		same  bool
	}{{time.Second, true}, {11 * time.Hour, true}, {11*time.Hour + time.Second, false}} {
		now = noon.Add(test.later)
		if url, _ := s.URL("http://a/", "w:5", time.Hour, 0); (url == first) != test.same {
			t.Errorf("%v later: %q, first %q, want same %t", test.later, url, first, test.same)
		}
	}
}

func TestRefusals(t *testing.T) {
	for _, cfg := range []Config{
		{}, {BaseURL: "img.example.com", Key: key}, {BaseURL: "ftp://img.example.com", Key: key}, {BaseURL: "https://", Key: key},
		{BaseURL: "https://a/?x", Key: key}, {BaseURL: "https://a"}, {BaseURL: "https://a", Key: "xyz"}, {BaseURL: "https://a", Key: key, KeyID: "a/b"},
		{BaseURL: "https://a", Key: key, SignatureSize: 8},
	} {
		if _, err := New(cfg); err == nil {
			t.Errorf("New(%+v) took it", cfg)
		}
	}
	s, err := New(Config{BaseURL: "https://a", Key: key})
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range [][2]string{{"", ""}, {"file:///etc/passwd", ""}, {"http://a/", "w:5?x"}, {"http://a/", "w: 5"}, {"http://a/", "w:5#"}} {
		if url, err := s.URL(test[0], test[1], 0, 0); err == nil {
			t.Errorf("URL(%q, %q) = %q", test[0], test[1], url)
		}
	}
}
