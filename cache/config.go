package cache

import (
	"errors"
	"time"

	"github.com/goldcrest/goldcrest/invalid"
)

// Config configures the memory tier.
type Config struct {
	// Memory bounds the memory tier in bytes, bookkeeping included. 0 turns it off: every hit is read from the store.
	Memory int64 `yaml:"memory" unit:"bytes"`
}

// Default is the configuration of a small server.
func Default() Config { return Config{Memory: 256 << 20} }

// Validate reports the first invalid value.
func (c Config) Validate() error {
	if c.Memory < 0 {
		return errors.New("cache.memory must not be negative")
	}
	return nil
}

// StoreConfig configures how Tiered uses the store behind it.
type StoreConfig struct {
	// Pending bounds the bodies waiting to be written to the store, in bytes. Beyond it a viewer's entry is kept in
	// memory only, and counted; prewarming waits. A body larger than the bound is written when no other is pending.
	Pending int64 `yaml:"pending" unit:"bytes"`
	// Lookup is how long a reader waits for the store before the original is fetched. If the store responds while that is
	// fetched or waits for a worker, its entry is served and nothing is made.
	Lookup time.Duration `yaml:"lookup"`
	// Timeout is how long one write to the store may take, and a look-up beside the fetch.
	Timeout time.Duration `yaml:"timeout"`
}

// DefaultStore is StoreConfig's default.
func DefaultStore() StoreConfig {
	return StoreConfig{Pending: 64 << 20, Lookup: 300 * time.Millisecond, Timeout: 2 * time.Second}
}

// Validate reports every invalid value.
func (c StoreConfig) Validate() error {
	var bad invalid.Values
	bad.If(c.Pending <= 0, "cache.store.pending must be positive")
	bad.If(c.Lookup <= 0, "cache.store.lookup must be positive")
	bad.If(c.Timeout <= 0, "cache.store.timeout must be positive")
	return bad.Err()
}
