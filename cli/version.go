package cli

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/goldcrest/goldcrest/app"
)

// runVersion prints the versions of the program and of its image libraries.
func runVersion(_ context.Context, e env, args []string) error {
	if err := parseFlags(e, newFlags("version"), args); err != nil {
		return err
	}
	build, sandbox, libraries, err := app.Versions(e.version)
	if err != nil {
		return err
	}
	fmt.Fprintf(e.stdout, "goldcrest %s\n  %-12s %s\n", build, "sandbox", sandbox)
	for _, name := range slices.Sorted(maps.Keys(libraries)) {
		fmt.Fprintf(e.stdout, "  %-12s %s\n", name, libraries[name])
	}
	return nil
}

// runWorker runs a worker process; the server starts it.
func runWorker(_ context.Context, e env, _ []string) error {
	// The pool passes the settings in environment variables.
	return app.Work(e.version, e.lookEnv("GOLDCREST_TRANSFORM_ENGINE"), e.lookEnv("GOLDCREST_TRANSFORM_INPUTS"))
}
