package cli

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/goldcrest/goldcrest/app"
	"github.com/goldcrest/goldcrest/client"
	"github.com/goldcrest/goldcrest/config"
	"github.com/goldcrest/goldcrest/signing"
	"github.com/goldcrest/goldcrest/variant"
)

// runSign prints signed URLs of sources.
func runSign(_ context.Context, e env, args []string) error {
	fs := newFlags("sign")
	options := fs.String("options", "", "options as in a URL, such as rs:fit:800:0/f:webp")
	preset := fs.String("preset", "", "name of a preset, in place of -options")
	ttl := fs.Duration("ttl", 0, "how long the URLs are valid; 0 = for ever")
	round := fs.Duration("round", 24*time.Hour, "round the expiry up to a multiple of this, so that viewers share URLs")
	cfg, _, err := configured(e, fs, args)
	if err != nil {
		return err
	}
	switch {
	case fs.NArg() == 0 || (*options != "" && *preset != ""):
		return usageError{errors.New("give at least one source URL, and only one of -options and -preset")}
	case *ttl < 0 || *round < 0:
		return usageError{errors.New("-ttl and -round are not negative: a URL that has expired is of no use")}
	}
	signer, err := newSigner(cfg)
	if err != nil {
		return err
	}
	if *preset != "" {
		if err := knownPreset(cfg, *preset); err != nil {
			return usageError{err}
		}
		*options = "pr:" + *preset
		if cfg.OnlyPresets {
			*options = *preset
		}
	} else if err := readable(cfg, *options); err != nil {
		return err
	}
	for i, source := range fs.Args() {
		url, err := signer.URL(source, *options, *ttl, *round)
		if err != nil && fs.NArg() > 1 {
			return fmt.Errorf("URL %d of %d: %w", i+1, fs.NArg(), err)
		}
		if err != nil {
			return err
		}
		fmt.Fprintln(e.stdout, url)
	}
	return nil
}

// knownPreset tells that the configuration has no preset of the name.
func knownPreset(cfg config.Config, name string) error {
	if _, ok := cfg.Presets[name]; ok {
		return nil
	}
	if len(cfg.Presets) == 0 {
		return fmt.Errorf("there is no preset %q: the configuration has none (-config names its file); -options takes options", name)
	}
	return fmt.Errorf("there is no preset %q; those of the configuration are: %s", name, strings.Join(slices.Sorted(maps.Keys(cfg.Presets)), ", "))
}

// readable tells before a URL is signed that the server would refuse its options.
func readable(cfg config.Config, options string) error {
	if cfg.OnlyPresets {
		return nil // They are names then, which the server looks up.
	}
	parser, err := variant.NewParser(cfg.Presets, false)
	if err == nil {
		_, _, err = parser.ParseOptions(options)
	}
	return err
}

// newSigner makes a client.Signer of the configuration's first key.
func newSigner(cfg config.Config) (*client.Signer, error) {
	if len(cfg.Signing.Keys) == 0 {
		return nil, errors.New("there is no signing key: " + app.KeyTodo)
	}
	keys, err := signing.New(cfg.Signing, time.Now)
	if err != nil {
		return nil, err
	}
	return client.FromKeyring(cfg.Server.PublicURL(), keys)
}
