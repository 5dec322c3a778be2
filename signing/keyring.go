// Package signing signs and verifies URL paths with a keyring.
package signing

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"iter"
	"net/url"
	"strings"
	"time"

	"github.com/goldcrest/goldcrest/fault"
	"github.com/goldcrest/goldcrest/reach"
	"github.com/goldcrest/goldcrest/secretfile"
)

// Keyring holds the pairs that sign and verify. It is immutable and safe for concurrent use; a reload makes a new one.
type Keyring struct {
	pairs   []*Pair
	thumbor *thumborPair // nil = there is none
	open    open
	size    int
	limits  map[string]Limit
	now     func() time.Time
}

// Pair is a key and a salt, and the rights of URLs signed with them.
type Pair struct {
	id        string
	key, salt []byte
	Rights
	notBefore time.Time
	notAfter  time.Time
}

// Verified is the result of a valid signature.
type Verified struct {
	// Path is the signed text: it begins with the "/" after the signature. Only this text may be parsed.
	Path string
	Key  *Pair
}

// New makes a Keyring and reads its key files. now is the clock; nil means time.Now. Its errors are sentences for the
// operator and contain no part of a key.
func New(cfg Config, now func() time.Time) (*Keyring, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	keys, err := cfg.keys()
	if err != nil {
		return nil, err
	}
	if now == nil {
		now = time.Now
	}
	k := &Keyring{
		size: cfg.SignatureSize, limits: cfg.limits(), now: now, open: open{cfg.TrustedSignatures, cfg.Unsigned},
	}
	if k.size == 0 {
		k.size = maxSize
	}
	for i, key := range keys {
		p, err := cfg.pair(key)
		if err != nil {
			return nil, fmt.Errorf("signing.keys: pair %d (id %q): %w", i+1, key.ID, err)
		}
		k.pairs = append(k.pairs, p)
	}
	k.thumbor, err = cfg.newThumbor()
	return k, err
}

func (c Config) pair(k Key) (*Pair, error) {
	if k.KeyFile != "" {
		text, err := secretfile.Value("", k.KeyFile)
		if err != nil {
			return nil, fmt.Errorf("key_file: %w", err)
		}
		key, salt, _ := strings.Cut(text, "\n")
		k.Key, k.Salt = strings.TrimSpace(key), strings.TrimSpace(salt)
	}
	p := &Pair{id: k.ID}
	var err error
	if p.key, p.salt, err = c.decode(k.Key, k.Salt); err != nil {
		return nil, err
	}
	if p.Rights, err = NewRights(k.Sources, k.Presets); err != nil {
		return nil, err
	}
	if p.notBefore, err = moment(k.NotBefore, 0); err != nil {
		return nil, err
	}
	p.notAfter, err = moment(k.NotAfter, 24*time.Hour)
	return p, err
}

// Verify checks the signature of a raw request target ("/signature/options/source?query", after the path prefix). The
// texts that the signer may have signed are tried in order: the path; the path after repair; for a plain source the
// path with its query; that percent-decoded. The first that a valid pair signed is returned. Faults: bad_signature;
// key_not_valid if the signature is right but its pair is not valid now.
func (k *Keyring) Verify(rawTarget string) (Verified, error) {
	v, err := k.verify(rawTarget)
	if err != nil {
		if opened, ok := k.open.admit(rawTarget); ok {
			return opened, nil
		}
	}
	return v, err
}

// verify is Verify by the pairs.
func (k *Keyring) verify(rawTarget string) (Verified, error) {
	signature, path, query, hasQuery := splitTarget(rawTarget)
	if path == "" {
		return Verified{}, badSignature()
	}
	id, encoded, named := strings.Cut(signature, ".")
	if !named {
		id, encoded = "", signature
	} else if id == "" {
		return Verified{}, badSignature() // an empty id would be a second spelling of URLs without id
	}
	want, ok := k.decode(encoded)
	if !ok {
		return Verified{}, badSignature()
	}
	now, outdated := k.now(), false
	for text := range candidates(path, query, hasQuery) {
		for _, p := range k.pairs {
			if p.id != id || !hmac.Equal(p.mac(text)[:k.size], want) {
				continue
			}
			if p.valid(now) {
				return Verified{Path: text, Key: p}, nil
			}
			outdated = true
		}
	}
	if outdated {
		return Verified{}, fault.New(fault.KeyNotValid, "signing.Verify", "the key of this URL is not valid at this time", nil)
	}
	return Verified{}, badSignature()
}

func badSignature() error {
	return fault.New(fault.BadSignature, "signing.Verify", "the URL is not signed, or its signature is wrong", nil)
}

// Limits returns how many variants may be made for each id. The map must not be changed.
func (k *Keyring) Limits() map[string]Limit { return k.limits }

// Sign signs a path that begins with "/" and returns "/signature" plus the path. It uses the first valid pair of the
// id, or of all pairs if kid is "".
func (k *Keyring) Sign(kid, path string) (string, error) {
	if !strings.HasPrefix(path, "/") {
		return "", fault.New(fault.BadPath, "signing.Sign", "a path to sign must begin with a slash", nil)
	}
	p := k.signer(kid)
	if p == nil {
		return "", fault.New(fault.KeyNotValid, "signing.Sign", "no key of this id is valid at this time", nil)
	}
	signature := base64.RawURLEncoding.EncodeToString(p.mac(path)[:k.size])
	if p.id != "" {
		signature = p.id + "." + signature
	}
	return "/" + signature + path, nil
}

// Hosts returns the hosts from which originals may come for URLs that Sign makes for the id; every host if there is no
// such key.
func (k *Keyring) Hosts(kid string) reach.Hosts {
	if p := k.signer(kid); p != nil {
		return p.hosts
	}
	return ""
}

// signer returns the first valid pair of an id, or of all if it is ""; nil = there is none.
func (k *Keyring) signer(kid string) *Pair {
	now := k.now()
	for _, p := range k.pairs {
		if (kid == "" || p.id == kid) && p.valid(now) {
			return p
		}
	}
	return nil
}

// decode accepts a signature in one spelling only: base64url of the configured size without padding, stray bits or line
// ends.
func (k *Keyring) decode(s string) ([]byte, bool) {
	b, err := base64.RawURLEncoding.Strict().DecodeString(s)
	return b, err == nil && len(b) == k.size && len(s) == base64.RawURLEncoding.EncodedLen(k.size)
}

// splitTarget takes a raw request target apart. path begins with the "/" after the signature; "" = there is none.
func splitTarget(rawTarget string) (signature, path, query string, hasQuery bool) {
	target, query, hasQuery := strings.Cut(rawTarget, "?")
	signature, path, ok := strings.Cut(strings.TrimPrefix(target, "/"), "/")
	if !ok || !strings.HasPrefix(target, "/") {
		return "", "", "", false
	}
	return signature, "/" + path, query, hasQuery
}

// candidates yields the texts that may have been signed, in order. It is lazy, since the first nearly always matches.
func candidates(path, query string, hasQuery bool) iter.Seq[string] {
	return func(yield func(string) bool) {
		if !yield(path) {
			return
		}
		if repaired := repair(path); repaired != path && !yield(repaired) {
			return
		}
		if !strings.Contains(path, "/plain/") {
			return
		}
		if hasQuery {
			path += "?" + query
			if !yield(path) {
				return
			}
		}
		if decoded, err := url.PathUnescape(path); err == nil && decoded != path {
			yield(decoded)
		}
	}
}

// repair undoes changes that CDNs and mail programs make to paths: escaped colons in options, and the two slashes of a
// plain source's scheme merged into one.
func repair(path string) string {
	options, source, plain := strings.Cut(path, "/plain/")
	options = strings.NewReplacer("%3A", ":", "%3a", ":").Replace(options)
	if !plain {
		return options
	}
	for _, scheme := range []string{"http:/", "https:/"} {
		if rest, ok := strings.CutPrefix(source, scheme); ok && !strings.HasPrefix(rest, "/") {
			source = scheme + "/" + rest
		}
	}
	return options + "/plain/" + source
}

// mac returns the full signature of a text.
func (p *Pair) mac(text string) []byte {
	h := hmac.New(sha256.New, p.key)
	h.Write(p.salt)
	h.Write([]byte(text))
	return h.Sum(nil)
}

// Markers identify requests of this deployment's own fetcher: one for each pair, the first pair's first. They cannot be
// guessed without a key. The signed text is never that of a URL, so a marker reveals no URL's signature.
func (k *Keyring) Markers() []string {
	var all []string
	for _, p := range k.pairs {
		all = append(all, "goldcrest-"+hex.EncodeToString(p.mac("loop marker")[:8]))
	}
	return all
}

// valid reports whether now is from notBefore on and before notAfter.
func (p *Pair) valid(now time.Time) bool {
	return !now.Before(p.notBefore) && (p.notAfter.IsZero() || now.Before(p.notAfter))
}

// ValidAt reports whether the pair may be used at a time. Results of an earlier verification must not outlive that.
func (p *Pair) ValidAt(now time.Time) bool { return p.valid(now) }

// ID returns the pair's id; "" for the pairs of URLs without one.
func (p *Pair) ID() string { return p.id }
