package links

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"errors"
	"fmt"

	"github.com/goldcrest/goldcrest/invalid"
	"github.com/goldcrest/goldcrest/secretfile"
)

// Config is the configuration section "links".
type Config struct {
	// Keys seal the stored links of sources whose links expire: those from which origin.canonical strips a parameter.
	// Prewarm and /v1/sign then return URLs with an opaque id ("/ref/") instead of the link; the id is the same for
	// every link to one original. The first key seals, the others still open: to rotate, add the new key after the old
	// one on all instances, then swap them, then remove the old one when every unit has been posted again. All
	// instances of a store need the same keys. Empty: links appear in URLs.
	Keys []secretfile.Key `yaml:"keys"`
}

// On reports whether links are stored.
func (c Config) On() bool { return len(c.Keys) > 0 }

// Validate reports every invalid value, without reading key files.
func (c Config) Validate() error {
	var bad invalid.Values
	for i, k := range c.Keys {
		bad.Add(fmt.Sprintf("links.keys[%d]", i), k.Validate())
	}
	return bad.Err()
}

// sealer reads the keys.
func (c Config) sealer() (sealer, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	if !c.On() {
		return nil, errors.New("links.keys: there is no key")
	}
	var s sealer
	for i, k := range c.Keys {
		key, err := k.Read()
		var a cipher.AEAD
		if err == nil {
			a, err = aeadOf(key)
		}
		if err != nil {
			return nil, fmt.Errorf("links.keys[%d]: %w", i, err)
		}
		s = append(s, a)
	}
	return s, nil
}

// aeadOf makes AES-256-GCM of a secret of any length. The nonce is random and precedes the ciphertext.
func aeadOf(secret string) (cipher.AEAD, error) {
	key, err := hkdf.Key(sha256.New, []byte(secret), nil, "goldcrest links 1", 32)
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCMWithRandomNonce(block)
}

// sealer seals with its first key and opens with any. The id is authenticated: a link does not open under another id.
type sealer []cipher.AEAD

func (s sealer) seal(id, link string) []byte { return s[0].Seal(nil, nil, []byte(link), []byte(id)) }

func (s sealer) open(id string, sealed []byte) (link string, ok bool) {
	for _, a := range s {
		if text, err := a.Open(nil, nil, sealed, []byte(id)); err == nil {
			return string(text), true
		}
	}
	return "", false
}
