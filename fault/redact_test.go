package fault

import (
	"errors"
	"net/url"
	"testing"
)

func TestRedact(t *testing.T) {
	for text, want := range map[string]string{
		"plain words?": "plain words?",
		`Get "https://u:p@h.example:8080/a?b=c": no`: `Get "https://h.example:8080/a": no`,
		"HTTP://h?x then http://i/#y end":            "HTTP://h then http://i/ end",
	} {
		if got := Redact(text); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}

func TestRedactURL(t *testing.T) {
	for source, want := range map[string]string{
		"https://c.example/a.jpg":               "https://c.example/a.jpg",
		"HTTP://c.example?x":                    "HTTP://c.example/",
		"https://c.example/a?b?c#d":             "https://c.example/a",
		"https://c.example/a#b?c":               "https://c.example/a",
		"https://me:hush@c.example/a@b":         "https://c.example/a@b",
		"data:image/png;base64,hush":            "",
		"My hush text, see https://x.example/a": "",
		"javascript://hush":                     "",
	} {
		if got := RedactURL(source); got != want {
			t.Errorf("RedactURL(%q) = %q, want %q", source, got, want)
		}
	}
}

func TestWithoutURL(t *testing.T) {
	no := errors.New("no")
	for _, err := range []error{no, &url.Error{Op: "Get", URL: "https://u:hush@h/a?b=hush", Err: no}} {
		if got := WithoutURL(err); got != no {
			t.Errorf("%v: %v", err, got)
		}
	}
	if WithoutURL(nil) != nil {
		t.Error("no error became one")
	}
}
