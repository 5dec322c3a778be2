package report

import (
	"path"
	"regexp"
	"strconv"
	"strings"

	"github.com/getsentry/sentry-go"

	"github.com/goldcrest/goldcrest/fault"
)

// What may be secret in a text, and what replaces it. A report leaves the machine, so more is removed than from a log
// line: all of a URL but its scheme, each query, each word that is long enough for a key, a token or a signature, and
// what follows a word for a secret.
var scrubbers = []struct {
	find *regexp.Regexp
	with string
}{
	{regexp.MustCompile(`([a-zA-Z][a-zA-Z0-9+.-]*://)[^\s"']+`), "$1..."},
	{regexp.MustCompile(`\?[^\s"']+`), "?..."},
	{regexp.MustCompile(`(?i)\b((?:authorization: *)?(?:bearer|basic)|authorization|cookie|password|secret|token|signature|` +
		`api[_-]?key)\b(["':= ]+)[^\s"',;]+`), "$1$2..."},
	{regexp.MustCompile(`[A-Za-z0-9_+=-]{32,}`), "..."},
}

// scrub removes from a text what may be secret.
func scrub(text string) string {
	text = fault.Redact(text)
	for _, s := range scrubbers {
		text = s.find.ReplaceAllString(text, s.with)
	}
	return text
}

// shorten cuts s to n bytes at most.
func shorten(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return strings.ToValidUTF8(s[:n-3], "") + "..."
}

// ours is what the names of this module's functions begin with.
const ours = "github.com/goldcrest/goldcrest/"

// frameOf is a frame of a stack. name is a function with the path of its package.
func frameOf(name, file, line string) sentry.Frame {
	dir, base := "", name
	if i := strings.LastIndexByte(name, '/'); i >= 0 {
		dir, base = name[:i+1], name[i+1:]
	}
	pkg, function, _ := strings.Cut(base, ".")
	n, _ := strconv.Atoi(line)
	return sentry.Frame{
		Function: function, Module: dir + pkg, Filename: dir + pkg + "/" + path.Base(file), AbsPath: file, Lineno: n,
		InApp: strings.HasPrefix(name, ours) || pkg == "main",
	}
}
