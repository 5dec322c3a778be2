package rig

import (
	"errors"
	"fmt"
	"time"
)

// Options are the command-line Options.
type Options struct {
	Run    []string
	Dir    string
	Binary string
	Other  string
	Out    string
	Rounds int
	Round  time.Duration
	Limit  time.Duration
	Soak   time.Duration
	Chaos  time.Duration
	Seed   uint64
	Noise  bool // print every round
}

// ErrSkipped says that what a part requires is absent.
var ErrSkipped = errors.New("skipped")

// Skipped returns ErrSkipped with the reason.
func Skipped(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrSkipped, fmt.Sprintf(format, args...))
}

// Bench is the state that the parts share.
type Bench struct {
	Options
	Work    string // a temporary folder, removed at the end
	Binary  string // the program under test
	Masters int    // the side of the servers' masters; 0 = no masters
}
