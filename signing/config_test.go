package signing

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestNewRefusals(t *testing.T) {
	const secret = "deadbeefdeadbeefdeadbeefdeadbeefdeadbeefdeadbeefdeadbeefdeadbeef"
	pair := func(change func(*Key)) Config {
		k := Key{Key: secret, Salt: secret}
		change(&k)
		return Config{Keys: []Key{k}}
	}
	file := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(file, []byte("nothex"+secret), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		cfg  Config
		want string
	}{
		{Default(), "there is no key"},
		{Config{SignatureSize: 15}, "is not from 16 to 32"},
		{Config{SignatureSize: 33}, "is not from 16 to 32"},
		{pair(func(k *Key) { k.Key = secret[:62] }), "the key has 31 bytes; it needs 32"},
		{pair(func(k *Key) { k.Key = secret + "x" }), "the key is not in hexadecimal digits"},
		{pair(func(k *Key) { k.Salt = secret + "zz" }), "the salt is not in hexadecimal digits"},
		{pair(func(k *Key) { k.Key = "" }), "give either key or key_file"},
		{pair(func(k *Key) { k.KeyFile = file }), "give either key or key_file"},
		{pair(func(k *Key) { k.Key, k.KeyFile = "", file }), "the salt belongs into"},
		{pair(func(k *Key) { k.Key, k.Salt, k.KeyFile = "", "", file }), "the key is not in hexadecimal digits"},
		{pair(func(k *Key) { k.Key, k.Salt, k.KeyFile = "", "", file+"-absent" }), "key_file: open"},
		{pair(func(k *Key) { k.ID = "a.b" }), "an id holds"},
		{pair(func(k *Key) { k.ID = "a/b" }), "an id holds"},
		{pair(func(k *Key) { k.Sources = []string{"https://example.com/"} }), "sources:"},
		{pair(func(k *Key) { k.Sources = []string{"a*.example.com"} }), "sources:"},
		{pair(func(k *Key) { k.Sources = []string{"*."} }), "sources:"},
		{pair(func(k *Key) { k.Presets = []string{"lite", ""} }), "presets:"},
		{pair(func(k *Key) { k.NotBefore = "tomorrow" }), "not_before:"},
		{pair(func(k *Key) { k.NotAfter = "10.3.2026" }), "not_after:"},
	} {
		_, err := New(test.cfg, nil)
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("New: %v, want %q", err, test.want)
		} else if strings.Contains(err.Error(), secret[:8]) {
			t.Errorf("New: the error holds a secret: %v", err)
		}
	}
}

func TestKeyFile(t *testing.T) {
	inline := ascii("web", keyA, "salt")
	file := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(file, []byte(inline.Key+"\r\n"+inline.Salt+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	want := sign(t, keyring(t, Config{Keys: []Key{inline}}), "", "/x")
	if got := sign(t, keyring(t, Config{Keys: []Key{{ID: "web", KeyFile: file}}}), "", "/x"); got != want {
		t.Errorf("Sign = %q, want %q", got, want)
	}
}

func TestAllows(t *testing.T) {
	open, bound := ascii("", keyA, ""), ascii("", keyA, "")
	bound.Sources, bound.Presets = []string{"*.Example.com", "img.example.org", "192.0.2.1"}, []string{"lite", "std"}
	free, tied := keyring(t, Config{Keys: []Key{open}}).pairs[0], keyring(t, Config{Keys: []Key{bound}}).pairs[0]
	for _, test := range []struct {
		source string
		want   bool
	}{
		{"http://a.example.com/x", true}, {"https://A.B.EXAMPLE.com:8443/x", true}, {"http://img.example.org./x", true}, {"http://192.0.2.1/x", true},
		{"http://example.com/x", false}, {"http://badexample.com/x", false}, {"http://a.example.com.evil.org/x", false},
		{"http://b.img.example.org/x", false}, {"http://example.org/x", false}, {"http://192.0.2.10/x", false}, {"http://evil.org/a.example.com", false},
		{"http://evil.org?.example.com", false}, {"http://a.example.com@evil.org/", false}, {"http://.example.com/", false}, {":", false}, {"", false},
	} {
		if got := tied.AllowsSource(test.source); got != test.want {
			t.Errorf("AllowsSource(%q) = %t, want %t", test.source, got, test.want)
		}
		if !free.AllowsSource(test.source) {
			t.Errorf("a pair without sources refuses %q", test.source)
		}
	}
	if !tied.AllowsPreset("std") || tied.AllowsPreset("big") || tied.AllowsPreset("") || !free.AllowsPreset("big") || !free.AllowsPreset("") {
		t.Error("presets are not compared by name")
	}
}

func TestExpiry(t *testing.T) {
	day := time.Date(2026, 3, 11, 0, 0, 0, 0, time.UTC)
	for _, test := range []struct {
		now        time.Time
		ttl, round time.Duration
		want       time.Time
	}{
		{noon, 0, 0, time.Time{}},
		{noon, -time.Hour, time.Hour, time.Time{}},
		{noon, time.Hour, 0, day},
		{noon, 12 * time.Hour, 0, day},
		{noon, 12*time.Hour + time.Nanosecond, 0, day.Add(Day)},
		{noon, time.Minute, time.Hour, noon.Add(time.Hour)},
		{noon, time.Minute, time.Minute, noon.Add(time.Minute)},
		{noon, time.Millisecond, time.Millisecond, noon.Add(time.Second)},
	} {
		got := Expiry(test.now, test.ttl, test.round)
		if !got.Equal(test.want) || !got.IsZero() && got.Before(test.now.Add(test.ttl)) {
			t.Errorf("Expiry(%v, %v) = %v, want %v", test.ttl, test.round, got, test.want)
		}
	}
}
