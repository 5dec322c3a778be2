package pipeline

import (
	"testing"

	"go.uber.org/goleak"
)

// Tests must not leak goroutines.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }
