package pipeline

import (
	"errors"
	"time"
)

// Config holds the settings of a pipeline. The zero Config is not valid; start from Default.
type Config struct {
	FetchSlots     int           // concurrent downloads of originals
	FetchRoom      int           // viewers that may wait for a fetch slot; more are refused
	TransformSlots int           // concurrent transforms: the number of workers
	TransformRoom  int           // viewers that may wait for a transform slot
	Patience       time.Duration // wait at a gate that always has waiting viewers; 0 = half the time to the deadline
	FillTimeout    time.Duration // maximum duration of a fill
	FetchTimeout   time.Duration // maximum duration of a download, including its wait for a slot
	TTL            time.Duration // age from which an entry is stale; 0 = never
	Revalidate     time.Duration // how long past TTL a stale entry is served while it is remade
	StaleIfError   time.Duration // how long past TTL an entry is served if its origin fails
	HonourOrigin   bool          // the origin's Cache-Control bounds the lifetime of an entry
	Remakes        int           // entries remade in the background at the same time
	Upgrades       int           // first-stage entries upgraded at the same time; 0 = viewers get the final stage at once
	Masters        int           // the longer side of stored masters, in pixels; 0 = none are stored or read
	UpgradeRoom    int           // first-stage entries that may wait for an upgrade; more are dropped until their next hit
}

// Default is the configuration of a small machine.
func Default() Config {
	return Config{
		FetchSlots: 64, FetchRoom: 1024, TransformSlots: 2, TransformRoom: 512, Patience: time.Second,
		FillTimeout: 60 * time.Second, FetchTimeout: 30 * time.Second, StaleIfError: 24 * time.Hour, Remakes: 1,
		Upgrades: 1, UpgradeRoom: 1024,
	}
}

// Validate reports the first invalid value.
func (c Config) Validate() error {
	switch {
	case c.FetchSlots < 1 || c.TransformSlots < 1:
		return errors.New("pipeline: at least one fetch slot and one transform slot are needed")
	case c.FetchRoom < 0 || c.TransformRoom < 0 || c.Remakes < 1:
		return errors.New("pipeline: waiting rooms and remakes must not be negative")
	case c.Upgrades < 0 || c.UpgradeRoom < 0:
		return errors.New("pipeline: upgrades and their waiting room must not be negative")
	case c.Masters < 0:
		return errors.New("pipeline: the side of masters must not be negative")
	case c.FillTimeout <= 0 || c.FetchTimeout <= 0:
		return errors.New("pipeline: the fill and fetch timeouts must be positive")
	case c.Patience < 0:
		return errors.New("pipeline: patience must not be negative")
	case c.TTL < 0 || c.Revalidate < 0 || c.StaleIfError < 0:
		return errors.New("pipeline: ttl, revalidate and sie must not be negative")
	}
	return nil
}
