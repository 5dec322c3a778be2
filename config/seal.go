package config

import (
	"fmt"

	"github.com/goldcrest/goldcrest/cache"
	"github.com/goldcrest/goldcrest/invalid"
	"github.com/goldcrest/goldcrest/secretfile"
)

// SealKey is a key that entries of the store are sealed with.
type SealKey struct {
	// Key is the key itself, at least 32 characters; or set key_file.
	Key string `yaml:"key" secret:"true"`
	// KeyFile is a file that holds the key; surrounding whitespace is dropped. The server refuses a file that another
	// user could write or replace: the file and the directories above it must belong to root or to the server's user.
	KeyFile string `yaml:"key_file"`
}

func validateSealKeys(keys []SealKey) error {
	var bad invalid.Values
	for i, k := range keys {
		bad.If((k.Key == "") == (k.KeyFile == ""), "cache.seal_key[%d]: set one of key and key_file", i)
		bad.If(k.Key != "" && len(k.Key) < cache.MinSealKey,
			"cache.seal_key[%d]: the key is shorter than %d characters", i, cache.MinSealKey)
	}
	return bad.Err()
}

// Seal reads the keys of cache.seal_key.
func (c Cache) Seal() (cache.Seal, error) {
	keys := make([][]byte, len(c.SealKey))
	for i, k := range c.SealKey {
		key, err := secretfile.Value(k.Key, k.KeyFile)
		if err != nil {
			return cache.Seal{}, fmt.Errorf("cache.seal_key[%d]: %w", i, err)
		}
		keys[i] = []byte(key)
	}
	seal, err := cache.NewSeal(keys...)
	if err != nil {
		return cache.Seal{}, fmt.Errorf("cache.seal_key: %w", err)
	}
	return seal, nil
}
