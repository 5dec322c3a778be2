package server

import (
	"testing"

	"github.com/goldcrest/goldcrest/server/access"
)

// The sizes are told where the operator wants it, for hits of both ways, and not otherwise.
func TestDebugHeaders(t *testing.T) {
	want := map[string]string{
		"X-Origin-Content-Length": "5000", "X-Origin-Width": "960", "X-Origin-Height": "640",
		"X-Result-Width": "480", "X-Result-Height": "320",
	}
	on := newFixture(t, func(c *Config, _ *access.Rules) { c.DebugHeaders = true })
	off := newFixture(t, nil)
	for name, value := range want {
		header(t, on.do("GET", on.url("w:480", photo)), name, value)
		header(t, on.do("HEAD", on.url("w:480", photo)), name, value)
		header(t, on.do("GET", "/info"+on.url("", photo)), name, "")
		header(t, off.do("GET", off.url("w:480", photo)), name, "")
	}
}

func TestOnLoopback(t *testing.T) {
	for listen, want := range map[string]bool{
		"127.0.0.1:8080": true, "[::1]:0": true, "127.1.2.3:80": true, ":8080": false, "0.0.0.0:8080": false, "localhost:8080": false,
		"10.0.0.1:80": false, "[::]:80": false, "127.0.0.1": false, "": false,
	} {
		if got := (Config{Listen: listen}).OnLoopback(); got != want {
			t.Errorf("%q: %v", listen, got)
		}
	}
}
