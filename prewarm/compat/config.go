package compat

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/goldcrest/goldcrest/invalid"
)

// Config configures where the predecessor's call may write.
type Config struct {
	// Buckets are the buckets that the predecessor's call may name. They are accessed with the region, the endpoint and
	// the credentials of cache.store.s3. None of them may be the store's own bucket. Empty = the call does not exist
	// (404).
	Buckets []Bucket `yaml:"buckets"`
}

// Bucket is a bucket, or a part of one, to which the predecessor's call may write.
type Bucket struct {
	// Name is the bucket's name.
	Name string `yaml:"name"`
	// Prefix is the path below which all keys must be. Empty = the whole bucket.
	Prefix string `yaml:"prefix"`
}

const maxKey = 1024 // bytes, S3's own limit

// Validate reports invalid buckets.
func (c Config) Validate() error {
	var bad invalid.Values
	for i, b := range c.Buckets {
		bad.If(b.Name == "" || len(b.Name) > 255 || strings.Trim(b.Name, nameCharacters) != "",
			"compat.buckets[%d]: %q is not the name of a bucket", i, b.Name)
		bad.If(b.folder() != "" && !sameKey(b.folder()+"x"),
			"compat.buckets[%d]: %q is not a prefix of keys", i, b.Prefix)
	}
	return bad.Err()
}

const nameCharacters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_."

// folder is the prefix with a final slash, so that "a" does not cover "ab/c".
func (b Bucket) folder() string {
	if p := strings.Trim(b.Prefix, "/"); p != "" {
		return p + "/"
	}
	return ""
}

// knows reports whether the bucket is configured.
func (c Config) knows(bucket string) bool {
	return slices.ContainsFunc(c.Buckets, func(b Bucket) bool { return b.Name == bucket })
}

// allows reports whether an object with that key may be written.
func (c Config) allows(bucket, key string) bool {
	return sameKey(key) && slices.ContainsFunc(c.Buckets, func(b Bucket) bool {
		return b.Name == bucket && strings.HasPrefix(key, b.folder()) && len(key) > len(b.folder())
	})
}

// sameKey reports whether every program on the way to the bucket will treat the key as the same. U+FFFD is what invalid
// characters in JSON become.
func sameKey(key string) bool {
	if key == "" || len(key) > maxKey || !utf8.ValidString(key) || strings.ContainsFunc(key, func(r rune) bool { return unicode.IsControl(r) || r == utf8.RuneError }) {
		return false
	}
	for segment := range strings.SplitSeq(key, "/") {
		if segment == "." || segment == ".." {
			return false
		}
	}
	return true
}
