package links

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"

	"github.com/goldcrest/goldcrest/secretfile"
)

// MinKey is the least length of a key in bytes.
const MinKey = 32

// maxKeyFile bounds a file with a key in bytes.
const maxKeyFile = 64 << 10

// Config is the configuration section "links".
type Config struct {
	// Keys seal the links that are kept of sources whose links expire: those of which origin.canonical strips a
	// parameter. Prewarm and /v1/sign then answer URLs with an opaque id ("/ref/") in place of the link, which are the
	// same for every link to one original. The first key seals, the others still open: to rotate, add the new key
	// behind the old one on all instances, then exchange them, then drop the old one once every unit was posted again.
	// All instances of a store need the same. Empty: links stand in URLs.
	Keys []Key `yaml:"keys"`
}

// Key is a key that links are sealed with.
type Key struct {
	// Key is the key itself, at least 32 characters; or set key_file.
	Key string `yaml:"key" secret:"true"`
	// KeyFile is a file that holds the key; blanks around it are dropped. The server refuses one that another user
	// could write or exchange: it belongs to root or to the server's user, and so do the directories above it.
	KeyFile string `yaml:"key_file"`
}

// On reports whether links are kept.
func (c Config) On() bool { return len(c.Keys) > 0 }

// Validate reports the first thing wrong with the configuration, without reading key files.
func (c Config) Validate() error {
	for i, k := range c.Keys {
		switch {
		case (k.Key == "") == (k.KeyFile == ""):
			return fmt.Errorf("links.keys[%d]: set one of key and key_file", i)
		case k.Key != "" && len(k.Key) < MinKey:
			return fmt.Errorf("links.keys[%d]: the key is shorter than %d characters", i, MinKey)
		}
	}
	return nil
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
		if k.KeyFile != "" {
			text, err := secretfile.Read(k.KeyFile, maxKeyFile)
			if err != nil {
				return nil, fmt.Errorf("links.keys[%d]: %w", i, err)
			}
			if k.Key = strings.TrimSpace(string(text)); len(k.Key) < MinKey {
				return nil, fmt.Errorf("links.keys[%d]: the key is shorter than %d characters", i, MinKey)
			}
		}
		a, err := aeadOf(k.Key)
		if err != nil {
			return nil, fmt.Errorf("links.keys[%d]: %w", i, err)
		}
		s = append(s, a)
	}
	return s, nil
}

// aeadOf makes AES-256-GCM of a secret of any length. The nonce is random and stands before the text.
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

// sealer seals with its first key and opens with any. The id is bound in: the link of one does not open as another's.
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
