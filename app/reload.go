package app

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"

	"github.com/goldcrest/goldcrest/config"
	"github.com/goldcrest/goldcrest/prewarm"
	"github.com/goldcrest/goldcrest/server/access"
)

// live is what a reload replaces, as the parts outside the server see it.
type live struct {
	cfg     config.Config // in force
	rules   access.Rules
	quotas  map[string]prewarm.Quota // of all tokens, by name
	restart []string                 // keys whose values in the file need a restart
}

// newLive builds it.
func newLive(cfg config.Config, restart []string) (*live, error) {
	rules, err := newRules(cfg)
	return &live{cfg, rules, cfg.API.Quotas(), restart}, err
}

// basis stands for what a verdict on a source comes of beside the source: the limits in force, and the program that
// reads it.
func (a *App) basis() string {
	cfg := a.live.Load().cfg
	sum := sha256.Sum256(fmt.Appendf(nil, "%s %+v %+v", a.version, cfg.Origin, cfg.Transform)) // No secret is among them.
	return hex.EncodeToString(sum[:8])
}

// print writes the configuration in force as YAML, and names what waits for a restart in a comment before it.
func (l *live) print(w io.Writer) error {
	if len(l.restart) > 0 {
		if _, err := fmt.Fprintf(w, "# Changed since the start, in force after a restart: %s\n", strings.Join(l.restart, ", ")); err != nil {
			return err
		}
	}
	return l.cfg.Print(w)
}

// reload reads the configuration again and swaps what may change while serving; what else has changed is named and
// stays as it is. Anything wrong keeps all of the old.
func (a *App) reload(r Reloads, level *slog.LevelVar) (taken, restart []string, err error) {
	read, err := config.Load(r.File, r.Environ)
	if err == nil {
		err = read.Validate()
	}
	if err != nil {
		return nil, nil, err
	}
	old := a.live.Load().cfg
	cfg, taken, restart := old.Reload(read)
	if err := cfg.Validate(); err != nil {
		return nil, nil, fmt.Errorf("what can be taken without a restart does not go with what is in force (%s): %w", strings.Join(restart, ", "), err)
	}
	if err := a.checkSecrets(cfg); err != nil {
		return nil, nil, err
	}
	next, err := newLive(cfg, restart)
	if err != nil {
		return nil, nil, err
	}
	next.rules.Links = a.keepLinks()
	// Secrets in files are all that Validate has not seen; where they fail, the parts swapped before go back.
	err = a.reloadPrewarm(cfg)
	if err == nil {
		err = a.origin.Reload(a.originConfig(cfg))
	}
	if err == nil {
		err = a.server.Reload(next.rules)
	}
	if err != nil {
		return nil, nil, errors.Join(err, a.reloadPrewarm(old), a.origin.Reload(a.originConfig(old)))
	}
	a.live.Store(next)
	a.metrics.ExpectTokens(names(next.quotas))
	level.Set(logLevel(cfg.Log.Level))
	return taken, restart, nil
}

// reloadOnHangup reloads at every hangup until ctx ends.
func (a *App) reloadOnHangup(ctx context.Context, r Reloads, level *slog.LevelVar) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-r.Hangup:
		}
		taken, restart, err := a.reload(r, level)
		if err != nil {
			a.metrics.Reloaded("error")
			a.log.Error("the new configuration was refused, the old one stays", "error", err)
			continue
		}
		a.metrics.Reloaded("ok")
		a.log.Info("the configuration was reloaded", "changed", taken)
		if len(restart) > 0 {
			a.log.Warn("changed keys need a restart; until then their old values are in force", "keys", restart)
		}
	}
}
