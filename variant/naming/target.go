package naming

import (
	"encoding/base64"
	"net/url"
	"strings"

	"github.com/goldcrest/goldcrest/fault"
)

// Form is the way in which a URL names its source.
type Form uint8

// The forms.
const (
	Plain     Form = iota // Text is the source
	Encrypted             // Text is the encrypted source
	Opaque                // Text is what follows "ref/", and may be no id
)

// Target is the end of a URL's path: a source and its extension ("" = none).
type Target struct {
	Form            Form
	Text, Extension string
}

// SplitTarget parses the text after the options of a URL: a plain, base64, encrypted or opaque source and its
// extension. isFormat reports whether a word behind the "@" of a plain source is an extension. Faults: bad_path,
// unsupported_option.
func SplitTarget(rest string, isFormat func(word string) bool) (Target, error) {
	first, tail, more := strings.Cut(rest, "/")
	switch {
	case first == "plain" && more:
		return splitPlain(tail, isFormat)
	case first == "-":
		return Target{}, fault.New(fault.UnsupportedOption, "variant.ParsePath", "chained pipelines (\"/-/\") are not supported", nil)
	case first == "enc" && more:
		return split64(Encrypted, tail, "the encrypted source does not open: another key, or damaged")
	case first == "ref" && more:
		return splitText(Opaque, tail)
	case rest == "":
		return Target{}, badPath("the path names no source")
	}
	return split64(Plain, rest, "the source is neither plain/ with a URL nor URL-safe base64")
}

func badPath(public string) error { return fault.New(fault.BadPath, "variant.ParsePath", public, nil) }

// split64 parses a source in base64.
func split64(form Form, rest, wrong string) (Target, error) {
	t, err := splitText(form, strings.ReplaceAll(rest, "/", ""))
	if err != nil {
		return t, err
	}
	text, ok := Decode64(t.Text)
	if t.Text = text; !ok {
		return Target{}, badPath(wrong)
	}
	return t, nil
}

// splitText parses a source in one word, and its extension.
func splitText(form Form, rest string) (Target, error) {
	text, extension, dotted := strings.Cut(rest, ".")
	if dotted && extension == "" {
		return Target{}, badPath("the extension is empty")
	}
	return Target{form, text, extension}, nil
}

// splitPlain parses a percent-escaped source. If it contains a bare "?", its signer did not escape it, or the "?" would
// be escaped too: it is used byte for byte, so that the query of a presigned URL survives.
func splitPlain(text string, isFormat func(word string) bool) (t Target, err error) {
	if i := strings.LastIndexByte(text, '@'); i >= 0 && isFormat(text[i+1:]) {
		text, t.Extension = text[:i], text[i+1:]
	}
	if t.Text = text; strings.Contains(text, "?") {
		return t, nil
	}
	if t.Text, err = url.PathUnescape(text); err != nil {
		return Target{}, badPath("the plain source is not percent-escaped correctly")
	}
	return t, nil
}

// Decode64 decodes URL-safe base64, with or without padding, and refuses stray bits and line ends.
func Decode64(s string) (string, bool) {
	s = strings.TrimRight(s, "=")
	b, err := base64.RawURLEncoding.Strict().DecodeString(s)
	return string(b), err == nil && !strings.ContainsAny(s, "\r\n")
}
