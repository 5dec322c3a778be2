package signing

import (
	"crypto/hmac"
	"crypto/sha1" //nolint:gosec // thumbor's own signature; as an HMAC it is not known to be broken
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"errors"
	"fmt"
	"hash"
	"net/url"
	"strings"

	"github.com/goldcrest/goldcrest/fault"
	"github.com/goldcrest/goldcrest/secretfile"
)

// ThumborID is the key id that variants are counted under which URLs of thumbor's grammar ask for.
const ThumborID = "thumbor"

// Thumbor is the key of URLs in the grammar of thumbor and imagor.
type Thumbor struct {
	// Key is thumbor's SECURITY_KEY or imagor's IMAGOR_SECRET, as text of 16 characters or more, or fewer with
	// signing.allow_short_keys. Empty, and without KeyFile: there are no such URLs.
	Key string `yaml:"key" secret:"true"`
	// KeyFile is a file with that key, instead of Key; blanks around it are dropped.
	KeyFile string `yaml:"key_file" secret:"file"`
	// Algorithm is the hash of the signature: sha1, sha256 or sha512 (imagor's IMAGOR_SIGNER_TYPE).
	Algorithm string `yaml:"algorithm"`
	// Truncate is the number of characters that is left of a signature, 16 or more (imagor's
	// IMAGOR_SIGNER_TRUNCATE). 0 = all.
	Truncate int `yaml:"truncate"`
	// Sources are the hosts that these URLs may ask for, as in signing.keys. Empty means every source.
	Sources []string `yaml:"sources"`
}

// minThumborKey is the least length of a key, in characters, and of a truncated signature.
const minThumborKey = 16

var thumborHashes = map[string]func() hash.Hash{"sha1": sha1.New, "sha256": sha256.New, "sha512": sha512.New}

func (t Thumbor) set() bool { return t.Key != "" || t.KeyFile != "" }

// validate never lets a part of the key into its error.
func (t Thumbor) validate(c Config) error {
	if !t.set() {
		return nil
	}
	switch {
	case t.Key != "" && t.KeyFile != "":
		return errors.New("give either key or key_file")
	case t.Key != "" && len(t.Key) < minThumborKey && !c.AllowShortKeys:
		return fmt.Errorf("the key has %d characters; it needs %d, or allow_short_keys", len(t.Key), minThumborKey)
	case thumborHashes[t.Algorithm] == nil:
		return errors.New("algorithm: it is none of sha1, sha256, sha512")
	case t.Truncate != 0 && t.Truncate < minThumborKey:
		return fmt.Errorf("truncate: at least %d characters must be left", minThumborKey)
	}
	for _, k := range c.Keys {
		if k.ID == ThumborID {
			return fmt.Errorf("the id %q is taken in signing.keys", ThumborID)
		}
	}
	_, err := NewRights(t.Sources, nil)
	return err
}

// thumborPair is the key and how it signs.
type thumborPair struct {
	Pair
	hash     func() hash.Hash
	truncate int
}

// newThumbor reads the key; nil where none is configured.
func (c Config) newThumbor() (*thumborPair, error) {
	t := c.Thumbor
	if !t.set() {
		return nil, nil
	}
	key, err := secretfile.Value(t.Key, t.KeyFile)
	if err != nil {
		return nil, fmt.Errorf("signing.thumbor.key_file: %w", err)
	}
	if key == "" {
		return nil, errors.New("signing.thumbor.key_file: it is empty")
	}
	c.Thumbor.Key, c.Thumbor.KeyFile = key, ""
	t = c.Thumbor
	if err := t.validate(c); err != nil {
		return nil, fmt.Errorf("signing.thumbor: %w", err)
	}
	rights, err := NewRights(t.Sources, nil)
	p := &thumborPair{Pair{id: ThumborID, key: []byte(t.Key), Rights: rights}, thumborHashes[t.Algorithm], t.Truncate}
	return p, err
}

// signature is base64url with padding, as both write it.
func (p *thumborPair) signature(path string) string {
	h := hmac.New(p.hash, p.key)
	h.Write([]byte(path))
	text := base64.URLEncoding.EncodeToString(h.Sum(nil))
	if p.truncate > 0 && p.truncate < len(text) {
		text = text[:p.truncate]
	}
	return text
}

// HasThumbor reports whether URLs of thumbor's grammar may be signed.
func (k *Keyring) HasThumbor() bool { return k.thumbor != nil }

// VerifyThumbor checks the signature of a target in thumbor's grammar, "/signature/path": of the path as it was sent,
// or else percent-decoded, since some caches escape it. Verified.Path begins behind the slash. Fault: bad_signature.
func (k *Keyring) VerifyThumbor(target string) (Verified, error) {
	signature, path, ok := strings.Cut(strings.TrimPrefix(target, "/"), "/")
	signature, err := url.PathUnescape(signature) // "=" may be escaped.
	if k.thumbor == nil || !ok || err != nil {
		return Verified{}, badSignature()
	}
	decoded, err := url.PathUnescape(path)
	if err != nil {
		decoded = path
	}
	for _, text := range []string{path, decoded} {
		if hmac.Equal([]byte(k.thumbor.signature(text)), []byte(signature)) {
			return Verified{Path: text, Key: &k.thumbor.Pair}, nil
		}
	}
	return Verified{}, badSignature()
}

// SignThumbor gives "/signature/path" for a path in thumbor's grammar, which begins without a slash.
func (k *Keyring) SignThumbor(path string) (string, error) {
	if k.thumbor == nil {
		return "", fault.New(fault.KeyNotValid, "signing.SignThumbor", "signing.thumbor has no key", nil)
	}
	return "/" + k.thumbor.signature(path) + "/" + path, nil
}
