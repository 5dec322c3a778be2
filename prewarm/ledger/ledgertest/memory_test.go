package ledgertest

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/goldcrest/goldcrest/prewarm/ledger"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestMemoryIsAStore(t *testing.T) {
	RunStore(t, func(*testing.T) ledger.Store { return New() })
}

func TestMemoryIsAQueue(t *testing.T) {
	RunQueue(t, func(*testing.T) ledger.Queue { return New() })
}
