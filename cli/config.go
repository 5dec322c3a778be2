package cli

import (
	"context"
)

// runConfig prints the effective configuration.
func runConfig(_ context.Context, e env, args []string) error {
	cfg, _, err := configured(e, newFlags("config"), args)
	if err != nil {
		return err
	}
	if err := cfg.Print(e.stdout); err != nil {
		return err
	}
	return cfg.Validate()
}
