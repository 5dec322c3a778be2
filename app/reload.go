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
	"time"

	"github.com/goldcrest/goldcrest/config"
	"github.com/goldcrest/goldcrest/origin"
	"github.com/goldcrest/goldcrest/origin/localsource"
	"github.com/goldcrest/goldcrest/origin/manners"
	"github.com/goldcrest/goldcrest/origin/s3source"
	"github.com/goldcrest/goldcrest/prewarm"
	"github.com/goldcrest/goldcrest/server/access"
	"github.com/goldcrest/goldcrest/signing"
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
func (a *App) reload(ctx context.Context, r Reloads, level *slog.LevelVar) (taken, restart []string, err error) {
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
		err = a.reloadOrigin(ctx, cfg)
	}
	if err == nil {
		err = a.server.Reload(next.rules)
	}
	if err != nil {
		return nil, nil, errors.Join(err, a.reloadPrewarm(old), a.reloadOrigin(ctx, old))
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
		taken, restart, err := a.reload(ctx, r, level)
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

// openOrigin makes the client for originals. Sources that speak HTTP connect through it, so it is made without them.
func (a *App) openOrigin(ctx context.Context) (err error) {
	cfg := a.cfg.Origin.Config
	if a.origin, err = origin.New(cfg, origin.Hooks{Observer: a.metrics}); err != nil {
		return err
	}
	return a.reloadOrigin(ctx, a.cfg)
}

// reloadOrigin has the client ask as the configuration says. After an error it asks as before.
func (a *App) reloadOrigin(ctx context.Context, cfg config.Config) error {
	c := cfg.Origin.Config
	c.Self = a.self(cfg)
	if err := a.ways(ctx, cfg.Origin.Sources, &c.Ways); err != nil {
		return err
	}
	return a.origin.Reload(c)
}

// self is this server's own addresses, which are refused as sources, and the marker by which it knows its own requests.
func (a *App) self(cfg config.Config) (s origin.Self) {
	if host, err := cfg.Server.PublicHost(); err == nil { // Validate has told of any error.
		s.Own = append(s.Own, host)
	}
	// Without keys there is no server that a fetch could come back to.
	if keys, err := signing.New(cfg.Signing, time.Now); err == nil {
		s.Marker = keys.Markers()[0]
	}
	return s
}

// ways opens the sources that are configured, and reads the secrets of hosts. The directories of those before are
// closed
// by the garbage collector, once no fetch uses them any more.
func (a *App) ways(ctx context.Context, cfg config.Sources, w *origin.Ways) (err error) {
	w.Sources = map[string]origin.Source{}
	if w.Manners, err = manners.New(cfg.Hosts); err != nil {
		return err
	}
	buckets := map[string][]s3source.Buckets{"s3": cfg.S3, "gs": s3source.WithGoogle(cfg.GS)}
	for scheme, list := range buckets {
		if len(list) == 0 {
			continue
		}
		if w.Sources[scheme], err = s3source.Open(ctx, "origin."+scheme, list, a.origin.Transport()); err != nil {
			return err
		}
	}
	if len(cfg.Local) > 0 {
		w.Sources["local"], err = localsource.Open(cfg.Local)
	}
	return err
}

// checkSources says what each pattern of sources does.
func checkSources(cfg config.Sources) (checks []Check) {
	add := func(key string, does fmt.Stringer) { checks = append(checks, Check{Name: key, Detail: does.String()}) }
	for _, h := range cfg.Hosts {
		add("origin.hosts", h)
	}
	for _, b := range cfg.S3 {
		add("origin.s3", b)
	}
	for _, b := range s3source.WithGoogle(cfg.GS) {
		add("origin.gs", b)
	}
	for _, r := range cfg.Local {
		add("origin.local", r)
	}
	return checks
}
