package exchange

import (
	"strings"
	"testing"
)

func TestSafeOptions(t *testing.T) {
	for target, want := range map[string]string{
		"/sig/rs:fit:480:0/net:2g/aHR0cA":          "rs:fit:480:0/net:2g",
		"/sig/plain/http://h/a?b":                  "",
		"/sig/fiu:aHR0cDovL3Bob3Rvcy5leGFtcGxl/aa": "fiu:...",
		"/sig/wm:1/wmu:aHR0cHM/watermark_url:a/aa": "wm:1/wmu:.../watermark_url:...",
		"/sig/cb:v1/w:1/aa":                        "cb:.../w:1",
		"/sig/W:1/%3A:1/w:1%22/aa":                 ".../.../w:...",
		"/sig":                                     "",
		"":                                         "",
		"/s/" + strings.Repeat("w:1/", 500):        strings.TrimSuffix(strings.Repeat("w:1/", 51), "/"),
	} {
		if got := SafeOptions(target); got != want {
			t.Errorf("%.60q: %q, want %q", target, got, want)
		}
	}
}

func TestRequestIDs(t *testing.T) {
	for given, kept := range map[string]bool{
		"abc": true, "0198c0de-0000-7000-8000-000000000000": true, "A.b_c": true, "": false, "a b": false, "a\nb": false, "ä": false, strings.Repeat("a", 65): false,
	} {
		if got := RequestID(given); (got == given) != kept || got == "" {
			t.Errorf("%q: %q", given, got)
		}
	}
}
