package webhook

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"net/url"
	"strings"

	"github.com/goldcrest/goldcrest/invalid"
	"github.com/goldcrest/goldcrest/secretfile"
)

// Config configures the hosts to which callbacks may be sent, and their signatures.
type Config struct {
	// Allow lists the hosts that callbacks may be sent to. "hooks.example.com" is only that host, "*.example.com" is
	// every host below example.com but not example.com itself, "*" is every host. With ":8443" appended, only that port
	// is allowed. Callbacks use https, to public addresses and those of origin.allow_private. An entry that begins with
	// "http://" allows plain http too. Empty = callbacks are off.
	Allow []string `yaml:"allow"`
	// Secrets sign every callback, one signature each. Set the old and the new secret while receivers change over. At
	// least one is needed if allow has an entry.
	Secrets []Secret `yaml:"secrets"`
}

// Secret is one secret for signing callbacks.
type Secret struct {
	// ID names the secret in messages. Empty = it has no name.
	ID string `yaml:"id"`
	// SecretFile is a file that contains the secret: "whsec_" and base64, or any other text or bytes, without
	// surrounding white space. At least 24 bytes. It is read again at each reload. The server refuses a file that
	// another user could change or replace: the file and all directories above it must belong to root or to the
	// server's user.
	SecretFile string `yaml:"secret_file" secret:"file"`
}

const (
	minSecret    = 24 // required by Standard Webhooks
	secretPrefix = "whsec_"
)

// Validate reports invalid values. It reads no file.
func (c Config) Validate() error {
	var bad invalid.Values
	for _, text := range c.Allow {
		_, err := parseHost(text)
		bad.Add("prewarm.callbacks.allow", err)
	}
	bad.If(len(c.Allow) > 0 && len(c.Secrets) == 0,
		"prewarm.callbacks.secrets: callbacks are signed, so allow needs at least one secret")
	for i, s := range c.Secrets {
		bad.If(s.SecretFile == "", "prewarm.callbacks.secrets[%d] (%s): secret_file is empty", i, s.ID)
	}
	return bad.Err()
}

// rules returns the configuration in the form in which it is applied.
func (c Config) rules() (rules, error) {
	if err := c.Validate(); err != nil {
		return rules{}, err
	}
	var r rules
	for _, text := range c.Allow {
		h, err := parseHost(text)
		if err != nil {
			return rules{}, err
		}
		r.allow = append(r.allow, h)
	}
	for i, s := range c.Secrets {
		secret, err := readSecret(s.SecretFile)
		if err != nil {
			return rules{}, fmt.Errorf("prewarm.callbacks.secrets[%d] (%s): %w", i, s.ID, err)
		}
		r.secrets = append(r.secrets, secret)
	}
	return r, nil
}

// readSecret reads a secret. Its errors never contain any part of it.
func readSecret(name string) ([]byte, error) {
	text, err := secretfile.Read(name)
	if err != nil {
		return nil, err
	}
	secret := bytes.TrimSpace(text)
	if encoded, ok := bytes.CutPrefix(secret, []byte(secretPrefix)); ok {
		if secret, err = base64.StdEncoding.DecodeString(string(encoded)); err != nil {
			return nil, fmt.Errorf("%s begins with %s, but base64 does not follow", name, secretPrefix)
		}
	}
	if len(secret) < minSecret {
		return nil, fmt.Errorf("the secret in %s has less than %d bytes", name, minSecret)
	}
	return secret, nil
}

// host is one entry of Config.Allow.
type host struct {
	plain bool   // http too
	any   bool   // every host
	below bool   // every host below name
	name  string // lower case
	port  string // "" = any
}

func parseHost(text string) (host, error) {
	var h host
	rest, plain := strings.CutPrefix(text, "http://")
	u, err := url.Parse("//" + rest)
	if err != nil || u.Host != rest || !plainHost(strings.Replace(rest, "*", "x", 1)) || strings.HasSuffix(u.Hostname(), ".") {
		return h, fmt.Errorf("%q is not a host like hooks.example.com, *.example.com or http://10.0.0.5:8080", text)
	}
	h.plain, h.port, h.name = plain, u.Port(), hostName(u)
	if h.name == "*" {
		h.any = true
		return h, nil
	}
	if parent, ok := strings.CutPrefix(h.name, "*."); ok {
		h.below, h.name = true, parent
	}
	if h.name == "" || strings.Contains(h.name, "*") {
		return h, fmt.Errorf("%q: a * stands alone or for whole labels in front, as in *.example.com", text)
	}
	return h, nil
}

// matches compares whole labels. Two spellings of one address do not match.
func (h host) matches(u *url.URL) bool {
	name := hostName(u)
	if h.port != "" && h.port != portOf(u) {
		return false
	}
	if h.below {
		return strings.HasSuffix(name, "."+h.name)
	}
	return h.any || name == h.name
}

// plainHost reports whether a host is ASCII with at most a port. Other letters would be mapped after the comparison, on
// the way to the resolver.
func plainHost(host string) bool {
	return host != "" && host[0] != ':' && !strings.HasSuffix(host, ":") && !strings.ContainsFunc(host, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune("-._:[]", r)
	})
}

func hostName(u *url.URL) string { return strings.TrimSuffix(strings.ToLower(u.Hostname()), ".") }

func portOf(u *url.URL) string {
	switch {
	case u.Port() != "":
		return u.Port()
	case u.Scheme == "http":
		return "80"
	}
	return "443"
}
