package natsqueue

import "github.com/goldcrest/goldcrest/prewarm"

// everyone sees all jobs.
var everyone = prewarm.Caller{All: true}
