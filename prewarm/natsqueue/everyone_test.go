package natsqueue

import (
	"github.com/goldcrest/goldcrest/prewarm/ledger"
)

// everyone sees all jobs.
var everyone = ledger.Caller{All: true}
