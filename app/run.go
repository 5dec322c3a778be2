package app

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"time"

	"github.com/goldcrest/goldcrest/config"
)

// Reloads says when and from where a running server reloads its configuration.
type Reloads struct {
	Hangup  <-chan os.Signal // each value asks for a reload
	File    string
	Environ []string
}

// Run opens the parts of a server, serves, and closes them after ctx ends. It logs to w.
func Run(ctx context.Context, version string, cfg config.Config, r Reloads, w io.Writer) error {
	var level slog.LevelVar
	level.Set(logLevel(cfg.Log.Level))
	log := newLog(w, cfg.Log, &level)
	a, err := Open(ctx, version, cfg, log)
	if ctx.Err() != nil && errors.Is(err, ctx.Err()) {
		log.Info("stopped before it was serving")
		return nil
	}
	if err != nil {
		return err
	}
	reloads, stop := context.WithCancel(ctx)
	reloaded := make(chan struct{})
	go func() {
		defer close(reloaded)
		a.reloadOnHangup(reloads, r, &level)
	}()
	if _, _, err = a.Listen(); err == nil {
		err = a.Serve(ctx)
	}
	stop()
	<-reloaded
	drain, cancel := context.WithTimeout(context.Background(), max(cfg.Server.Drain, time.Second))
	defer cancel()
	return errors.Join(err, a.Close(drain))
}
