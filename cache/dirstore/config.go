package dirstore

import (
	"github.com/goldcrest/goldcrest/cache"
	"github.com/goldcrest/goldcrest/invalid"
)

// Config configures the directory store.
type Config struct {
	// Dir is the store's directory. It is created if absent. Only one running server may use it.
	Dir string `yaml:"dir"`
	// MaxBytes bounds the entries on disk, in bytes; the least recently read ones are removed first. 0 means 80 % of
	// the disk space that is free at start, including what the store already holds.
	MaxBytes int64 `yaml:"max_bytes" unit:"bytes"`
	// MinFree is the disk space, in bytes, that the store leaves free for others, above all the prewarm queue. 0 leaves
	// nothing.
	MinFree int64 `yaml:"min_free" unit:"bytes"`
	// Seal is the seal of entries, from cache.seal_key.
	Seal cache.Seal
}

// Default is a store below the working directory.
func Default() Config { return Config{Dir: "./data/store", MinFree: 1 << 30} }

// Validate reports every invalid value.
func (c Config) Validate() error {
	var bad invalid.Values
	bad.If(c.Dir == "", "cache.store.dir must name a directory")
	bad.If(c.MaxBytes < 0, "cache.store.max_bytes must not be negative")
	bad.If(c.MinFree < 0, "cache.store.min_free must not be negative")
	return bad.Err()
}
