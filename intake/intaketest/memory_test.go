package intaketest

import "testing"

func TestMemory(t *testing.T) {
	Run(t, func(*testing.T) Broker { return NewMemory().Broker() })
}
