package prewarm

import "github.com/goldcrest/goldcrest/prewarm/ledger"

// everyone sees all jobs, and the queries of those that these tests post.
var everyone = ledger.Caller{Name: "b", All: true}
