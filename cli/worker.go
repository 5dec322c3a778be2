package cli

import (
	"context"

	"github.com/goldcrest/goldcrest/app"
)

// runWorker is the inside of a worker process; the server starts it.
func runWorker(_ context.Context, e env, _ []string) error {
	// The pool passes the engine on by the name of its setting.
	return app.Work(e.version, e.lookEnv("GOLDCREST_TRANSFORM_ENGINE"))
}
