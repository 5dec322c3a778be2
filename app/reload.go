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

	"github.com/goldcrest/goldcrest/prewarm/usage"

	"github.com/goldcrest/goldcrest/config"
	"github.com/goldcrest/goldcrest/origin"
	"github.com/goldcrest/goldcrest/origin/localsource"
	"github.com/goldcrest/goldcrest/origin/manners"
	"github.com/goldcrest/goldcrest/origin/s3source"
	"github.com/goldcrest/goldcrest/server/access"
	"github.com/goldcrest/goldcrest/signing"
)

// live is the part of a configuration that a reload replaces, outside the server.
type live struct {
	cfg     config.Config // in force
	rules   access.Rules
	quotas  map[string]usage.Quota // of all tokens, by name
	restart []string               // changed keys that need a restart
}

// newLive builds it.
func newLive(cfg config.Config, restart []string) (*live, error) {
	rules, err := newRules(cfg)
	return &live{cfg, rules, cfg.API.Quotas(), restart}, err
}

// basis identifies what a verdict depends on besides the source: the limits in force, and the program's version.
func (a *App) basis() string {
	cfg := a.live.Load().cfg
	sum := sha256.Sum256(fmt.Appendf(nil, "%s %+v %+v", a.version, cfg.Origin, cfg.Transform)) // none of these is secret
	return hex.EncodeToString(sum[:8])
}

// print writes the configuration in force as YAML; a comment before it names the keys that wait for a restart.
func (l *live) print(w io.Writer) error {
	if len(l.restart) > 0 {
		if _, err := fmt.Fprintf(w, "# Changed since the start, in force after a restart: %s\n", strings.Join(l.restart, ", ")); err != nil {
			return err
		}
	}
	return l.cfg.Print(w)
}

// reload reads the configuration again and applies the reloadable keys; other changed keys are named and keep their
// values. On any error everything keeps its old value.
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
		return nil, nil, fmt.Errorf("the reloadable keys do not fit those that need a restart (%s): %w", strings.Join(restart, ", "), err)
	}
	if err := a.checkSecrets(cfg); err != nil {
		return nil, nil, err
	}
	next, err := newLive(cfg, restart)
	if err != nil {
		return nil, nil, err
	}
	next.rules.Links = a.keepLinks()
	// Validate does not read secret files; if one fails here, the parts that were swapped are restored.
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

// reloadOnHangup reloads at every SIGHUP until ctx ends.
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

// openOrigin makes the origin client. Sources that speak HTTP connect through it, so it is made without them.
func (a *App) openOrigin(ctx context.Context) (err error) {
	cfg := a.cfg.Origin.Config
	if a.origin, err = origin.New(cfg, origin.Hooks{
		Observer: a.metrics, Agent: "goldcrest/" + strings.TrimPrefix(a.version, "v"),
	}); err != nil {
		return err
	}
	return a.reloadOrigin(ctx, a.cfg)
}

// reloadOrigin applies a configuration to the client. After an error the old one stays.
func (a *App) reloadOrigin(ctx context.Context, cfg config.Config) error {
	c := cfg.Origin.Config
	c.Self = a.self(cfg)
	if err := a.ways(ctx, cfg.Origin.Sources, &c.Ways); err != nil {
		return err
	}
	return a.origin.Reload(c)
}

// self has this server's own addresses, which are refused as sources, and the marker of its own requests.
func (a *App) self(cfg config.Config) (s origin.Self) {
	if host, err := cfg.Server.PublicHost(); err == nil { // Validate has reported any error
		s.Own = append(s.Own, host)
	}
	// Without keys no fetch can return to this server.
	if keys, err := signing.New(cfg.Signing, time.Now); err == nil {
		s.Marker = keys.Markers()[0]
	}
	return s
}

// ways opens the configured sources and reads the secrets of hosts. The garbage collector closes the previous
// directories, once no fetch uses them.
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

// checkSources describes each configured entry of sources.
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
