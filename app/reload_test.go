package app

import (
	"log/slog"
	"strings"
	"testing"

	"github.com/goldcrest/goldcrest/config"
	"github.com/goldcrest/goldcrest/signing"
)

// A verdict on a source stays valid while the limits and the program are the same, also after restarts.
func TestVerdictsStayValidWhileLimitsAndProgramAreTheSame(t *testing.T) {
	basis := func(version string, change func(*config.Config)) string {
		t.Helper()
		cfg := config.Default()
		cfg.Signing.Keys = []signing.Key{{Key: strings.Repeat("0a", 32)}}
		change(&cfg)
		a := newApp(version, cfg, slog.New(slog.DiscardHandler))
		now, err := newLive(cfg, nil)
		if err != nil {
			t.Fatal(err)
		}
		a.live.Store(now)
		return a.basis()
	}
	same := basis("v1", func(*config.Config) {})
	for what, got := range map[string]string{
		"a restart":         basis("v1", func(*config.Config) {}),
		"another log level": basis("v1", func(c *config.Config) { c.Log.Level = "debug" }),
	} {
		if got != same {
			t.Errorf("%s changes what verdicts come of", what)
		}
	}
	for what, got := range map[string]string{
		"another version":      basis("v2", func(*config.Config) {}),
		"origin.max_bytes":     basis("v1", func(c *config.Config) { c.Origin.MaxBytes++ }),
		"origin.allow":         basis("v1", func(c *config.Config) { c.Origin.Allow = []string{"a.example"} }),
		"transform.max_pixels": basis("v1", func(c *config.Config) { c.Transform.MaxPixels++ }),
		"transform.cpu":        basis("v1", func(c *config.Config) { c.Transform.CPU++ }),
	} {
		if got == same {
			t.Errorf("%s leaves verdicts as they were", what)
		}
	}
}
