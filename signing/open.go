package signing

import (
	"crypto/rand"
	"crypto/subtle"
	"errors"
	"fmt"
	"strings"

	"github.com/goldcrest/goldcrest/invalid"
)

// The ids that variants are counted under which URLs without a signature of a pair ask for.
const (
	TrustedID  = "trusted"
	UnsignedID = "unsigned"
)

// minTrusted is the least length of a trusted signature, in characters: it is a password in a URL.
const minTrusted = 16

// validateOpen checks what lets URLs in without a signature of a pair.
func (c Config) validateOpen() error {
	var bad invalid.Values
	for i, s := range c.TrustedSignatures {
		bad.If(len(s) < minTrusted || strings.ContainsFunc(s, func(r rune) bool { return !word(r) }),
			"signing.trusted_signatures[%d]: it needs at least %d letters, digits, '-' and '_'", i, minTrusted)
	}
	for _, k := range c.Keys {
		bad.If(k.ID == TrustedID && len(c.TrustedSignatures) > 0 || k.ID == UnsignedID && c.Unsigned,
			"signing.keys: the id %q is taken", k.ID)
	}
	return bad.Err()
}

// open says which URLs are let in without a signature of a pair.
type open struct {
	trusted  []string
	unsigned bool
}

// keys are the configured ones; in development, where there are none, one that is made up.
func (c Config) keys() ([]Key, error) {
	switch {
	case len(c.Keys) > 0:
		return c.Keys, nil
	case c.Unsigned:
		return []Key{{Key: fmt.Sprintf("%x", random())}}, nil
	}
	return nil, errors.New("signing.keys: there is no key; without one every URL would be refused (\"openssl rand -hex 32\" makes one)")
}

func random() []byte {
	b := make([]byte, minKey)
	_, _ = rand.Read(b) // It never fails.
	return b
}

// admit lets a target in that no pair has signed, if its signature is trusted, or none is needed. The text is taken as
// it was sent, but for the repairs.
func (o open) admit(rawTarget string) (Verified, bool) {
	signature, path, query, hasQuery := splitTarget(rawTarget)
	if signature == "" {
		return Verified{}, false
	}
	path = repair(path)
	if hasQuery && strings.Contains(path, "/plain/") {
		path += "?" + query
	}
	trusted := 0
	for _, s := range o.trusted {
		trusted |= subtle.ConstantTimeCompare([]byte(s), []byte(signature))
	}
	switch {
	case trusted == 1:
		return Verified{Path: path, Key: &Pair{id: TrustedID}}, true
	case o.unsigned:
		return Verified{Path: path, Key: &Pair{id: UnsignedID}}, true
	}
	return Verified{}, false
}
