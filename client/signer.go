// Package client is the Go client for backends: signed URLs, Data Units, jobs.
package client

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/goldcrest/goldcrest/signing"
	"github.com/goldcrest/goldcrest/variant"
	"github.com/goldcrest/goldcrest/variant/naming"
)

// Config has the proxy's address and the signing key.
type Config struct {
	// BaseURL is the proxy's public address, with its path prefix if it has one: "https://img.example.com/i".
	BaseURL string
	// Key is the signing key in hexadecimal digits.
	Key string
	// Salt is the signing salt in hexadecimal digits. Empty means none.
	Salt string
	// KeyID is the id of a named key. Empty means the proxy's key without id.
	KeyID string
	// SignatureSize is the proxy's signing.signature_size. 0 means 32.
	SignatureSize int
	// EncryptionKey is the proxy's signing.encryption_key, in hexadecimal digits. Empty: EncryptedURL fails.
	EncryptionKey string
}

// Signer makes signed URLs without a request to the proxy. It is safe for concurrent use.
type Signer struct {
	base    string
	keys    *signing.Keyring
	sources *signing.SourceCipher // nil = there is no encryption key
	now     func() time.Time
}

// New makes a Signer. Keys of any length are accepted: the proxy decides which are valid.
func New(cfg Config) (*Signer, error) { return newSigner(cfg, time.Now) }

func newSigner(cfg Config, now func() time.Time) (*Signer, error) {
	keys, err := signing.New(signing.Config{
		Keys:           []signing.Key{{ID: cfg.KeyID, Key: cfg.Key, Salt: cfg.Salt}},
		SignatureSize:  cfg.SignatureSize,
		AllowShortKeys: true,
	}, now)
	if err != nil {
		return nil, fmt.Errorf("client: %w", err)
	}
	s, err := fromKeyring(cfg.BaseURL, keys, now)
	if err != nil || cfg.EncryptionKey == "" {
		return s, err
	}
	sources, err := signing.NewSourceCipher(cfg.EncryptionKey)
	if err != nil {
		return nil, fmt.Errorf("client: %w", err)
	}
	return s.WithSources(sources), nil
}

// FromKeyring makes a Signer that signs with the first valid pair of a keyring.
func FromKeyring(baseURL string, keys *signing.Keyring) (*Signer, error) {
	return fromKeyring(baseURL, keys, time.Now)
}

// WithSources returns a Signer that can also encrypt sources.
func (s *Signer) WithSources(sources *signing.SourceCipher) *Signer {
	with := *s
	with.sources = sources
	return &with
}

func fromKeyring(baseURL string, keys *signing.Keyring, now func() time.Time) (*Signer, error) {
	if !isBase(baseURL) {
		return nil, errors.New("client: the base URL is not an http or https URL with a host and no query")
	}
	return &Signer{base: strings.TrimRight(baseURL, "/"), keys: keys, now: now}, nil
}

// isBase reports whether paths can be appended to a URL.
func isBase(text string) bool {
	u, err := url.Parse(text)
	return err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Host != "" && !strings.ContainsAny(text, "?#")
}

// URL is the signed URL of a variant of source, which is a URL, a name with one of the server's aliases
// ("shop:/a.jpg"), or "ref:" and an id from the proxy. options is the options part of the URL ("rs:fit:480:0/net:2g",
// "pr:lite", or preset names, "lite", for a proxy that accepts only presets); empty means the whole picture. The URL is
// valid for at least ttl (0 = for ever) and expires at the next multiple of round (0 = a full day, UTC), so that all
// viewers of that time share one URL at the CDN.
func (s *Signer) URL(source, options string, ttl, round time.Duration) (string, error) {
	return s.url(source, options, ttl, round, variant.Path)
}

// EncryptedURL is URL with the source encrypted, so that the URL does not reveal where the original is. One source
// always has the same URL.
func (s *Signer) EncryptedURL(source, options string, ttl, round time.Duration) (string, error) {
	if s.sources == nil {
		return "", errors.New("client: there is no encryption key")
	}
	return s.url(source, options, ttl, round, func(options, source string, format variant.Format) string {
		return variant.EncryptedPath(options, s.sources.Encrypt(source), format)
	})
}

func (s *Signer) url(
	source, options string, ttl, round time.Duration, path func(options, source string, format variant.Format) string,
) (string, error) {
	// Only the server can resolve an alias.
	if _, ok := variant.OpaqueID(source); !ok && !naming.IsAlias(source) {
		var err error
		if source, err = variant.ParseSource(source); err != nil {
			return "", fmt.Errorf("client: %w", err)
		}
	}
	if strings.ContainsFunc(options, func(r rune) bool { return r <= ' ' || r > '~' || r == '?' || r == '#' }) {
		return "", errors.New("client: options contain a character that is not allowed in a URL's path")
	}
	if end := signing.Expiry(s.now(), ttl, round); !end.IsZero() {
		options = fmt.Sprintf("%s/exp:%d", strings.Trim(options, "/"), end.Unix())
	}
	signed, err := s.keys.Sign("", path(options, source, variant.Open))
	if err != nil {
		return "", fmt.Errorf("client: %w", err)
	}
	return s.base + signed, nil
}
