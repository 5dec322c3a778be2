package cache

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
)

// MinSealKey is the minimum length of a seal key in bytes.
const MinSealKey = 32

// Seal binds meta, body and key of an entry together. With keys it is an HMAC-SHA256, so that only holders of a key can
// write entries that are read. Without keys it is a plain checksum, which detects damage but not forgery.
type Seal struct{ keys [][]byte }

// NewSeal makes a Seal that seals with the first key and verifies with any. Without keys it is the plain checksum.
func NewSeal(keys ...[]byte) (Seal, error) {
	s := Seal{}
	for _, k := range keys {
		if len(k) < MinSealKey {
			return Seal{}, fmt.Errorf("a seal key needs at least %d characters", MinSealKey)
		}
		if slices.ContainsFunc(s.keys, func(other []byte) bool { return bytes.Equal(other, k) }) {
			return Seal{}, errors.New("a seal key is there twice")
		}
		s.keys = append(s.keys, bytes.Clone(k))
	}
	return s, nil
}

// line returns the last line of a meta text.
func (s Seal) line(key string, text []byte) []byte {
	if len(s.keys) == 0 {
		return sealText(nil, key, text)
	}
	return sealText(s.keys[0], key, text)
}

// holds reports whether line is valid for key and text, with any of the keys.
func (s Seal) holds(key string, text, line []byte) bool {
	if len(s.keys) == 0 {
		return bytes.Equal(sealText(nil, key, text), line)
	}
	return slices.ContainsFunc(s.keys, func(secret []byte) bool {
		return hmac.Equal(sealText(secret, key, text), line)
	})
}

func sealText(secret []byte, key string, text []byte) []byte {
	h := sha256.New()
	if secret != nil {
		h = hmac.New(sha256.New, secret)
	}
	h.Write([]byte(key))
	h.Write([]byte{'\n'})
	h.Write(text)
	return fmt.Appendf(nil, "%x\n", h.Sum(nil))
}
