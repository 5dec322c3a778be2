package dirstore

import (
	"errors"

	"github.com/goldcrest/goldcrest/cache"
)

// Config configures the directory store.
type Config struct {
	// Dir is the store's directory. It is made when absent, and belongs to one running server alone.
	Dir string `yaml:"dir"`
	// MaxBytes bounds the entries on disk, in bytes; the longest unread ones go first. 0 means 80 % of the disk that is
	// free at start, what the store holds already included.
	MaxBytes int64 `yaml:"max_bytes" unit:"bytes"`
	// MinFree is the part of the disk, in bytes, that the store leaves free for others, the prewarm queue above all. 0
	// leaves nothing.
	MinFree int64 `yaml:"min_free" unit:"bytes"`
	// Seal is what entries are sealed with, out of cache.seal_key.
	Seal cache.Seal
}

// Default is a store beside the server.
func Default() Config { return Config{Dir: "./data/store", MinFree: 1 << 30} }

// Validate reports a value that cannot work.
func (c Config) Validate() error {
	switch {
	case c.Dir == "":
		return errors.New("cache.store.dir must name a directory")
	case c.MaxBytes < 0:
		return errors.New("cache.store.max_bytes must not be negative")
	case c.MinFree < 0:
		return errors.New("cache.store.min_free must not be negative")
	}
	return nil
}
