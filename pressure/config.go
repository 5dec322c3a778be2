package pressure

import "errors"

// Config limits the memory of server and workers together. The zero Config sets no limit of its own.
type Config struct {
	// Limit is the memory of the server and its workers together, in bytes. The limit of the control group that they
	// run in always applies as well. Close to either, work is reduced in steps: from 80 % on nothing is prewarmed or
	// upgraded, from 90 % on only cached variants are served, from 95 % on nothing. From half of it on the server
	// collects garbage early, unless GOMEMLIMIT is set. 0 = only the control group's limit.
	Limit int64 `yaml:"limit" unit:"bytes"`
}

// minLimit is less than an idle server needs.
const minLimit = 64 << 20

// Default is the configuration of an empty file.
func Default() Config { return Config{} }

// Validate reports an impossible limit.
func (c Config) Validate() error {
	if c.Limit != 0 && c.Limit < minLimit {
		return errors.New("memory.limit: must be 0 (the control group's alone) or at least 64 MiB")
	}
	return nil
}
