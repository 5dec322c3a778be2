package cli

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/goldcrest/goldcrest/app"
)

// runServe is the server.
func runServe(ctx context.Context, e env, args []string) error {
	hup := make(chan os.Signal, 1) // before anything is opened: a SIGHUP during the start is handled after it
	signal.Notify(hup, syscall.SIGHUP)
	defer signal.Stop(hup)
	cfg, file, err := configured(e, newFlags("serve"), args)
	if err != nil {
		return err
	}
	return app.Run(ctx, e.version, cfg, app.Reloads{Hangup: hup, File: file, Environ: e.environ}, e.stderr)
}
