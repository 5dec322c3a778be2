// Package manners has the request settings of origin hosts: headers and credentials, proxy, TLS. A host gets the
// settings of the first entry that matches it and of no other. This is decided again on each redirect, so a secret
// never follows a redirect to a host that it is not meant for.
package manners

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"strings"

	"golang.org/x/net/http/httpguts"

	"github.com/goldcrest/goldcrest/reach"
	"github.com/goldcrest/goldcrest/secretfile"
)

// Manner is the settings of one entry. It is immutable.
type Manner struct {
	Header    http.Header // added to requests
	Secret    bool        // Header contains secrets
	AllowHTTP bool        // they may be sent over plain http
	TLS       *tls.Config // nil = the default
	Proxy     *url.URL    // nil = none

	hosts reach.Hosts
}

// Apply sets the headers of a request.
func (m *Manner) Apply(h http.Header) {
	if m == nil {
		return
	}
	maps.Copy(h, m.Header)
}

// Set is the settings of all hosts. The zero value has none.
type Set struct{ all []*Manner }

// New reads the files that the configuration names. Errors name files and keys, never their contents.
func New(hosts []Host) (Set, error) {
	var s Set
	for i, h := range hosts {
		m, err := h.manner()
		if err != nil {
			return Set{}, fmt.Errorf("origin.hosts: entry %d: %w", i+1, err)
		}
		s.all = append(s.all, m)
	}
	return s, nil
}

// Of returns the settings of a host; nil = the default.
func (s Set) Of(host string) *Manner {
	for _, m := range s.all {
		if m.hosts.Allows(host) {
			return m
		}
	}
	return nil
}

// All lists the entries in the order of the configuration.
func (s Set) All() []*Manner { return s.all }

// NewTLS is the TLS configuration of hosts without settings of their own. roots may be nil: those of the system.
func NewTLS(roots *x509.CertPool) *tls.Config {
	return &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}
}

// manner builds the settings of an entry.
func (h Host) manner() (*Manner, error) {
	if err := h.Validate(); err != nil {
		return nil, err
	}
	m := &Manner{Header: http.Header{}, AllowHTTP: h.AllowHTTP}
	m.hosts, _ = h.hosts() // Validate has checked it.
	for name, value := range h.Headers {
		m.Header.Set(name, value)
	}
	if h.UserAgent != "" {
		m.Header.Set("User-Agent", h.UserAgent)
	}
	if h.Referer != "" {
		m.Header.Set("Referer", h.Referer)
	}
	if err := h.secrets(m); err != nil {
		return nil, err
	}
	var err error
	if m.Proxy, err = h.Proxy.url(); err != nil {
		return nil, err
	}
	m.TLS, err = h.TLS.config()
	return m, err
}

// secrets reads the headers whose values are in files.
func (h Host) secrets(m *Manner) error {
	for name, path := range h.SecretHeaders {
		value, err := secret(path)
		if err != nil {
			return fmt.Errorf("secret_headers.%s: %w", name, err)
		}
		m.Header.Set(name, value)
		m.Secret = true
	}
	if h.BasicFile != "" {
		pair, err := secret(h.BasicFile)
		if err == nil && !strings.Contains(pair, ":") {
			err = fmt.Errorf("%s does not contain user:password", h.BasicFile)
		}
		if err != nil {
			return fmt.Errorf("basic_file: %w", err)
		}
		m.Header.Set("Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(pair)))
		m.Secret = true
	}
	if h.BearerFile != "" {
		token, err := secret(h.BearerFile)
		if err != nil {
			return fmt.Errorf("bearer_file: %w", err)
		}
		m.Header.Set("Authorization", "Bearer "+token)
		m.Secret = true
	}
	return nil
}

// secret reads a file with one value, with or without a line end.
func secret(path string) (string, error) {
	value, err := secretfile.Value("", path)
	if err == nil && (value == "" || !httpguts.ValidHeaderFieldValue(value)) {
		return "", fmt.Errorf("%s does not contain a single line of text", path)
	}
	return value, err
}

// url is the proxy's URL, with its credentials.
func (p Proxy) url() (*url.URL, error) {
	if p.URL == "" {
		return nil, nil
	}
	u, err := url.Parse(p.URL)
	if err != nil {
		return nil, errors.New("proxy.url is not a URL") // The value may contain a password.
	}
	if p.AuthFile == "" {
		return u, nil
	}
	pair, err := secret(p.AuthFile)
	if err != nil {
		return nil, fmt.Errorf("proxy.auth_file: %w", err)
	}
	user, password, ok := strings.Cut(pair, ":")
	if !ok {
		return nil, fmt.Errorf("proxy.auth_file: %s does not contain user:password", p.AuthFile)
	}
	u.User = url.UserPassword(user, password)
	return u, nil
}

// config is nil if nothing is configured.
func (t TLS) config() (*tls.Config, error) {
	if t == (TLS{}) {
		return nil, nil
	}
	c := NewTLS(nil)
	if t.Min == "1.3" {
		c.MinVersion = tls.VersionTLS13
	}
	if t.CAFile != "" {
		text, err := secretfile.Read(t.CAFile)
		if err != nil {
			return nil, fmt.Errorf("tls.ca_file: %w", err)
		}
		if c.RootCAs = x509.NewCertPool(); !c.RootCAs.AppendCertsFromPEM(text) {
			return nil, fmt.Errorf("tls.ca_file: %s contains no certificate", t.CAFile)
		}
	}
	if t.CertFile == "" {
		return c, nil
	}
	certificate, err := secretfile.Read(t.CertFile)
	if err != nil {
		return nil, fmt.Errorf("tls.cert_file: %w", err)
	}
	key, err := secretfile.Read(t.KeyFile)
	if err != nil {
		return nil, fmt.Errorf("tls.key_file: %w", err)
	}
	pair, err := tls.X509KeyPair(certificate, key)
	if err != nil {
		return nil, fmt.Errorf("tls.cert_file and tls.key_file do not go together: %w", err)
	}
	c.Certificates = []tls.Certificate{pair}
	return c, nil
}
