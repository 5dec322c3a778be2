package pressure

import "errors"

// Config says how much memory server and workers may take together. The zero Config leaves that to the machine.
type Config struct {
	// Limit is the memory that the server and its workers may take together, in bytes, beside the limit of the control
	// group that they run in, which always holds. Close to either, work is given up in steps: from 80 % on nothing is
	// made ahead of need, from 90 % on only what is cached is answered, from 95 % on nothing. From half of it on the
	// server collects its garbage early, unless GOMEMLIMIT is set. 0 = the control group's limit alone.
	Limit int64 `yaml:"limit" unit:"bytes"`
}

// minLimit is less than an idle server takes.
const minLimit = 64 << 20

// Default is the configuration of a server that was told nothing.
func Default() Config { return Config{} }

// Validate reports a limit that cannot work.
func (c Config) Validate() error {
	if c.Limit != 0 && c.Limit < minLimit {
		return errors.New("memory.limit: must be 0 (the control group's alone) or at least 64 MiB")
	}
	return nil
}
