package fault

import (
	"errors"
	"net/url"
	"regexp"
	"strings"
)

// secretParts matches the parts of URLs that may be secret: user information and everything from the query on.
var secretParts = regexp.MustCompile(`(?i)(https?://)([^\s/"'?#]*@)?([^\s"'?#]*)([?#][^\s"']*)?`)

// Redact removes user information and queries from the URLs in a text: errors of net/http quote URLs in full.
func Redact(text string) string {
	if !strings.Contains(text, "://") {
		return text
	}
	return secretParts.ReplaceAllString(text, "$1$3")
}

// RedactURL is an http URL without user information and query; "" for anything else.
func RedactURL(source string) string {
	scheme, rest, ok := strings.Cut(source, "://")
	if !ok || !strings.EqualFold(scheme, "http") && !strings.EqualFold(scheme, "https") {
		return ""
	}
	if i := strings.IndexAny(rest, "?#"); i >= 0 {
		rest = rest[:i]
	}
	host, path, _ := strings.Cut(rest, "/")
	return scheme + "://" + host[strings.LastIndex(host, "@")+1:] + "/" + path
}

// WithoutURL removes the URL from an error of net/http, or of net/url: it may contain a secret.
func WithoutURL(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	return err
}
