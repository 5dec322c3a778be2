package manners

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"golang.org/x/net/http/httpguts"

	"github.com/goldcrest/goldcrest/invalid"
	"github.com/goldcrest/goldcrest/reach"
)

// Host has the settings for requests to some hosts.
type Host struct {
	// Match lists the hosts: "img.example.com" is that host only, "*.example.com" every host below example.com, "*"
	// every host. Only the first entry that matches a host applies to it.
	Match []string `yaml:"match"`
	// Headers are sent with each request. Do not put secrets here: the configuration is printed with them.
	Headers map[string]string `yaml:"headers"`
	// SecretHeaders are headers whose values are read from files: header name and path of the file.
	SecretHeaders map[string]string `yaml:"secret_headers" secret:"file"`
	// BasicFile is a file with "user:password" for Basic authentication. Empty = none.
	BasicFile string `yaml:"basic_file" secret:"file"`
	// BearerFile is a file with a token for Bearer authentication. Empty = none.
	BearerFile string `yaml:"bearer_file" secret:"file"`
	// UserAgent is the User-Agent of requests. Empty = goldcrest/VERSION.
	UserAgent string `yaml:"user_agent"`
	// Referer is the Referer of requests. Empty = none.
	Referer string `yaml:"referer"`
	// AllowHTTP sends secrets over plain http too. Without it hosts with secrets are requested over https only.
	AllowHTTP bool `yaml:"allow_http"`
	// Proxy is the proxy for these hosts.
	Proxy Proxy `yaml:"proxy"`
	// TLS has the TLS settings for these hosts.
	TLS TLS `yaml:"tls"`
}

// Proxy is the proxy for some hosts.
type Proxy struct {
	// URL is the proxy, as "http://proxy.example.com:3128"; https and socks5 work too. The proxy resolves host names
	// itself, without the address guard, so it has to refuse private addresses. Empty = none.
	URL string `yaml:"url"`
	// AuthFile is a file with "user:password" for the proxy. Empty = none.
	AuthFile string `yaml:"auth_file" secret:"file"`
}

// TLS has the TLS settings for some hosts.
type TLS struct {
	// CertFile is the client certificate, as PEM. Empty = none.
	CertFile string `yaml:"cert_file"`
	// KeyFile is the key of CertFile, as PEM.
	KeyFile string `yaml:"key_file" secret:"file"`
	// CAFile holds the CA certificates, as PEM, that sign the hosts' certificates. Empty = those of the system.
	CAFile string `yaml:"ca_file"`
	// Min is the minimum version of TLS: 1.2 or 1.3. Empty = 1.2.
	Min string `yaml:"min"`
}

// ours are the headers that the fetch itself sets.
var ours = []string{
	"Host", "Via", "Accept-Encoding", "Range", "If-None-Match", "If-Modified-Since", "If-Match",
	"If-Unmodified-Since", "If-Range",
	"Connection", "Content-Length", "Content-Encoding", "Transfer-Encoding", "Trailer", "Te", "Upgrade", "Expect",
	"Keep-Alive",
	"Proxy-Authorization", "Proxy-Connection", "User-Agent", "Referer",
}

// secretNames are the headers whose values are always secrets.
var secretNames = []string{"Authorization", "Cookie"}

// Validate reports every invalid value, without reading files.
func (h Host) Validate() error {
	var bad invalid.Values
	_, err := h.hosts()
	bad.Add("match", err)
	for name, value := range h.Headers {
		checkHeader(&bad, name, value)
		bad.If(slices.Contains(secretNames, http.CanonicalHeaderKey(name)),
			"headers: the value of %s is a secret: put it into a file and that into secret_headers", name)
	}
	for name := range h.SecretHeaders {
		checkHeader(&bad, name, "")
	}
	bad.If(!httpguts.ValidHeaderFieldValue(h.UserAgent+h.Referer), "user_agent and referer are single lines")
	bad.If(h.BasicFile != "" && h.BearerFile != "", "give either basic_file or bearer_file")
	return bad.Err(h.Proxy.validate(), h.TLS.validate())
}

// checkHeader keeps values out of its error.
func checkHeader(bad *invalid.Values, name, value string) {
	bad.If(!httpguts.ValidHeaderFieldName(name), "headers: %q is not the name of a header", name)
	bad.If(slices.Contains(ours, http.CanonicalHeaderKey(name)), "headers: %s cannot be set there", name)
	bad.If(!httpguts.ValidHeaderFieldValue(value), "headers: the value of %s is not a single line", name)
}

// String describes the entry without any secret.
func (h Host) String() string {
	does := slices.Sorted(maps.Keys(h.Headers))
	for _, name := range slices.Sorted(maps.Keys(h.SecretHeaders)) {
		does = append(does, name+" (secret)")
	}
	for _, part := range []struct {
		on   bool
		says string
	}{
		{h.BasicFile != "", "Basic authentication"},
		{h.BearerFile != "", "Bearer authentication"},
		{h.UserAgent != "", "User-Agent"},
		{h.Referer != "", "Referer"},
		{h.TLS.CertFile != "", "a client certificate"},
		{h.TLS.CAFile != "", "trusts " + h.TLS.CAFile},
		{h.TLS.Min != "", "TLS " + h.TLS.Min + " or later"},
		{h.Proxy.URL != "", "through " + h.Proxy.URL},
		{h.AllowHTTP, "secrets over plain http too"},
	} {
		if part.on {
			does = append(does, part.says)
		}
	}
	if len(does) == 0 {
		does = []string{"nothing"}
	}
	return strings.Join(h.Match, " ") + ": " + strings.Join(does, ", ")
}

// hosts parses the patterns.
func (h Host) hosts() (reach.Hosts, error) {
	if len(h.Match) == 0 {
		return "", errors.New("it names no host")
	}
	if slices.Contains(h.Match, "*") {
		return "", nil // every host
	}
	for _, p := range h.Match {
		if strings.Contains(p, "://") {
			return "", fmt.Errorf("%q is not a host", p)
		}
	}
	return reach.Of(h.Match)
}

func (p Proxy) validate() error {
	if p.URL == "" {
		if p.AuthFile != "" {
			return errors.New("proxy.auth_file has no meaning without proxy.url")
		}
		return nil
	}
	u, err := url.Parse(p.URL)
	if err != nil || !slices.Contains([]string{"http", "https", "socks5"}, u.Scheme) || u.Hostname() == "" ||
		u.User != nil ||
		strings.Trim(u.Path, "/") != "" || u.RawQuery != "" {
		// The value is not repeated in the error: it may contain credentials.
		return errors.New("proxy.url must be the http, https or socks5 URL of a host; credentials go into proxy.auth_file")
	}
	return nil
}

func (t TLS) validate() error {
	var bad invalid.Values
	bad.If((t.CertFile == "") != (t.KeyFile == ""), "tls.cert_file and tls.key_file go together")
	bad.If(!slices.Contains([]string{"", "1.2", "1.3"}, t.Min), "tls.min: %q is neither 1.2 nor 1.3", t.Min)
	return bad.Err()
}
