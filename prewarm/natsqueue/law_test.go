package natsqueue

import (
	"testing"

	"github.com/goldcrest/goldcrest/prewarm/ledger"
	"github.com/goldcrest/goldcrest/prewarm/ledger/ledgertest"
)

// openNow opens an embedded queue and waits until it is open.
func openNow(t *testing.T) *Queue {
	q := open(t, t.TempDir(), nil)
	opened(t, q)
	return q
}

func TestQueueIsALedgerStore(t *testing.T) {
	ledgertest.RunStore(t, func(t *testing.T) ledger.Store { return openNow(t) })
}

func TestQueueIsALedgerQueue(t *testing.T) {
	ledgertest.RunQueue(t, func(t *testing.T) ledger.Queue { return openNow(t) })
}
