package signing

import (
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/goldcrest/goldcrest/invalid"
)

// Config is the configuration section "signing".
type Config struct {
	// Keys are the pairs of key and salt that may sign URLs. All pairs of one id are tried, so that keys can be
	// rotated; the first valid one signs. Empty: the server refuses to start.
	Keys []Key `yaml:"keys"`
	// SignatureSize is the number of bytes, 16 to 32, to which a signature is truncated before it is encoded as base64.
	// 0 means 32.
	SignatureSize int `yaml:"signature_size"`
	// AllowShortKeys also accepts keys shorter than 32 bytes, for keys that are in use elsewhere already.
	AllowShortKeys bool `yaml:"allow_short_keys"`
	// Rate is how many variants a second may be made for the URLs of each key id. Stored variants are served beyond it
	// too, so a leaked key costs viewers no picture that is stored; other requests are refused with rate_limited. 0 =
	// no limit.
	Rate int `yaml:"rate"`
	// Burst is how many variants may be made at once. 0 = two seconds' worth.
	Burst int `yaml:"burst"`
	// EncryptionKey decrypts the encrypted sources of URLs ("/enc/", as imgproxy's): the AES key, 16, 24 or 32 bytes,
	// in hexadecimal digits. Empty: such URLs are refused.
	EncryptionKey string `yaml:"encryption_key" secret:"true"`
	// EncryptionKeyFile is a file with that key, instead of EncryptionKey.
	EncryptionKeyFile string `yaml:"encryption_key_file" secret:"file"`
	// TrustedSignatures stand in the place of a signature, and let any path in: passwords of 16 letters, digits, "-" and
	// "_" or more, for tools that cannot sign. Anyone who sees such a URL can request everything. Empty: there are none.
	TrustedSignatures []string `yaml:"trusted_signatures" secret:"true"`
	// Unsigned takes any signature, or a word in its place, for development. The server starts with it only if
	// server.listen is a loopback address; keys may then be left out.
	Unsigned bool `yaml:"unsigned"`
	// Thumbor has the key of URLs below /thumbor/, which are in the grammar of thumbor and imagor.
	Thumbor Thumbor `yaml:"thumbor"`
}

// Key is one pair of a key and a salt, and what URLs signed with it may ask for.
type Key struct {
	// ID precedes the signature in the URLs of a named key ("id.signature"): letters, digits, "-" and "_". Empty: URLs
	// without id.
	ID string `yaml:"id"`
	// Key is the key in hexadecimal digits.
	Key string `yaml:"key" secret:"true"`
	// Salt is the salt in hexadecimal digits. Empty means none.
	Salt string `yaml:"salt" secret:"true"`
	// KeyFile is a file with the key in its first line and the salt in its second, both in hexadecimal digits, instead
	// of Key and Salt. The server refuses a file that another user could write or replace: the file and the directories
	// above it must belong to root or to the server's user.
	KeyFile string `yaml:"key_file" secret:"file"`
	// Sources are the hosts of the sources that the pair may ask for, compared by labels: "img.example.com" is that
	// host only, "*.example.com" every host below example.com; "s3://bucket", "gs://bucket" and "local://" are the
	// other sources, and "s3://tenant-*" all buckets with that prefix. They apply to each redirect too: a variant whose
	// original came through another host is refused with source_not_allowed, also if it is cached. Empty means every
	// source.
	Sources []string `yaml:"sources"`
	// Presets are the names of the presets that the pair may ask for, and then no other options. Empty means all
	// presets and options.
	Presets []string `yaml:"presets"`
	// NotBefore is the time from which the pair is valid: RFC 3339, or a date, which means its beginning in UTC. Empty
	// means always.
	NotBefore string `yaml:"not_before"`
	// NotAfter is the time from which the pair is no longer valid: RFC 3339, or a date, which means its end in UTC.
	// Empty means never.
	NotAfter string `yaml:"not_after"`
	// Rate overrides signing.rate for the key's id. 0 = signing.rate. Of several pairs with one id, the first that sets
	// a rate counts.
	Rate int `yaml:"rate"`
	// Burst belongs to Rate. 0 = two seconds' worth.
	Burst int `yaml:"burst"`
}

// Default is the configuration of an empty file: no keys, signatures of full length, a limit that only floods reach.
func Default() Config {
	return Config{SignatureSize: maxSize, Rate: 1000, Thumbor: Thumbor{Algorithm: "sha1"}}
}

const (
	minSize = 16
	maxSize = 32
	minKey  = 32 // bytes
)

// Validate reports every invalid value, without reading key files. An empty list of keys is valid here; New refuses
// it.
func (c Config) Validate() error {
	var bad invalid.Values
	bad.If(c.SignatureSize != 0 && (c.SignatureSize < minSize || c.SignatureSize > maxSize),
		"signing.signature_size: %d is not from %d to %d", c.SignatureSize, minSize, maxSize)
	err := Limit{c.Rate, c.Burst}.Validate()
	bad.If(err != nil, "signing.%w", err)
	bad.Add("signing.thumbor", c.Thumbor.validate(c))
	for i, k := range c.Keys {
		bad.Add(fmt.Sprintf("signing.keys: pair %d (id %q)", i+1, k.ID), c.validate(k))
	}
	return bad.Err(c.validateEncryption(), c.validateOpen())
}

// validate keeps every part of a key out of its error.
func (c Config) validate(k Key) error {
	var bad invalid.Values
	bad.If(strings.ContainsFunc(k.ID, func(r rune) bool { return !word(r) }) || len(k.ID) > 64,
		"an id holds at most 64 letters, digits, '-' and '_'")
	bad.If((k.KeyFile == "") == (k.Key == ""), "give either key or key_file")
	bad.If(k.KeyFile != "" && k.Salt != "", "the salt belongs into the second line of key_file")
	_, err := NewRights(k.Sources, k.Presets)
	if err == nil && k.KeyFile == "" {
		_, _, err = c.decode(k.Key, k.Salt)
	}
	_, from := moment(k.NotBefore, 0)
	bad.Add("not_before", from)
	_, until := moment(k.NotAfter, 24*time.Hour)
	bad.Add("not_after", until)
	return bad.Err(err, Limit{k.Rate, k.Burst}.Validate())
}

// limits returns the limit of each id.
func (c Config) limits() map[string]Limit {
	out := map[string]Limit{}
	for _, k := range c.Keys {
		if out[k.ID].Rate == 0 {
			out[k.ID] = Limit{k.Rate, k.Burst}
		}
	}
	for id, used := range map[string]bool{
		ThumborID: c.Thumbor.set(), TrustedID: len(c.TrustedSignatures) > 0, UnsignedID: c.Unsigned,
	} {
		if used {
			out[id] = Limit{}
		}
	}
	for id, l := range out {
		out[id] = l.Or(Limit{c.Rate, c.Burst})
	}
	return out
}

// decode turns key and salt into bytes.
func (c Config) decode(key, salt string) (k, s []byte, err error) {
	if k, err = hex.DecodeString(key); err != nil {
		return nil, nil, errors.New("the key is not in hexadecimal digits")
	}
	if s, err = hex.DecodeString(salt); err != nil {
		return nil, nil, errors.New("the salt is not in hexadecimal digits")
	}
	if len(k) == 0 {
		return nil, nil, errors.New("the key is empty")
	}
	if len(k) < minKey && !c.AllowShortKeys {
		return nil, nil, fmt.Errorf("the key has %d bytes; it needs %d, or allow_short_keys", len(k), minKey)
	}
	return k, s, nil
}

// moment parses a time, or a date to which whole is added; zero for "".
func moment(s string, whole time.Duration) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	if t, err := time.Parse(time.DateOnly, s); err == nil {
		return t.Add(whole), nil
	}
	t, err := time.Parse(time.RFC3339, s)
	if err != nil {
		return time.Time{}, fmt.Errorf("%q is neither RFC 3339 nor a date", s)
	}
	return t, nil
}

func word(r rune) bool {
	return 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || r == '-' || r == '_'
}
