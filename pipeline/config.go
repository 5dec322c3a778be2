package pipeline

import (
	"errors"
	"time"
)

// Config holds what the pipeline is told. The zero Config is not valid; start from Default.
type Config struct {
	FetchSlots     int           // originals fetched at the same time
	FetchRoom      int           // viewers that may wait for a fetch slot; past it they are refused
	TransformSlots int           // transforms at the same time: the number of workers
	TransformRoom  int           // viewers that may wait for a transform slot
	Patience       time.Duration // how long viewers may wait at a gate while there always is one who does; 0 = always for half of what is left of their deadlines
	FillTimeout    time.Duration // how long one fill may take in all
	FetchTimeout   time.Duration // how long a download may take, with its wait for a slot
	TTL            time.Duration // age from which an entry is old; 0 = never
	Revalidate     time.Duration // how long past TTL an entry is answered at once and remade behind the answer
	StaleIfError   time.Duration // how long past TTL an entry still answers when its origin fails
	HonourOrigin   bool          // the origin's Cache-Control bounds the life of an entry
	Remakes        int           // entries remade behind answers at the same time
	Upgrades       int           // first-stage entries upgraded at the same time; 0 = viewers get the final stage at once
	Masters        int           // the longer side of the masters that are stored of originals, in pixels; 0 = none are stored, nor read
	UpgradeRoom    int           // first-stage entries that may wait for that; past it a request is dropped, and the next hit asks again
}

// Default is the configuration of a small machine.
func Default() Config {
	return Config{
		FetchSlots: 64, FetchRoom: 1024, TransformSlots: 2, TransformRoom: 512, Patience: 1500 * time.Millisecond,
		FillTimeout: 60 * time.Second, FetchTimeout: 30 * time.Second, StaleIfError: 24 * time.Hour, Remakes: 1,
		Upgrades: 1, UpgradeRoom: 1024,
	}
}

// Validate reports the first value that cannot work.
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
