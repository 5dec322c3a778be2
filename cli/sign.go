package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/goldcrest/goldcrest/app"
	"github.com/goldcrest/goldcrest/client"
	"github.com/goldcrest/goldcrest/config"
	"github.com/goldcrest/goldcrest/signing"
)

// runSign prints signed URLs of sources.
func runSign(_ context.Context, e env, args []string) error {
	fs := newFlags("sign")
	options := fs.String("options", "", "options as in a URL, such as rs:fit:800:0/f:webp")
	preset := fs.String("preset", "", "name of a preset, in place of -options")
	ttl := fs.Duration("ttl", 0, "how long the URLs are valid; 0 = for ever")
	round := fs.Duration("round", 24*time.Hour, "round the expiry up to a multiple of this, so that viewers share URLs")
	encrypt := fs.Bool("encrypt", false, "encrypt the sources, with signing.encryption_key")
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
		if *options, err = presetOptions(cfg, *preset); err != nil {
			return err
		}
	} else if err := readable(cfg, *options); err != nil {
		return err
	}
	sign := signer.URL
	if *encrypt {
		sign = signer.EncryptedURL
	}
	return printURLs(e.stdout, fs.Args(), func(source string) (string, error) {
		return sign(source, *options, *ttl, *round)
	})
}

// printURLs prints the result of sign for each source.
func printURLs(w io.Writer, sources []string, sign func(source string) (string, error)) error {
	for i, source := range sources {
		url, err := sign(source)
		if err != nil && len(sources) > 1 {
			return fmt.Errorf("URL %d of %d: %w", i+1, len(sources), err)
		}
		if err != nil {
			return err
		}
		fmt.Fprintln(w, url)
	}
	return nil
}

// presetOptions are the options of a URL with a configured preset.
func presetOptions(cfg config.Config, name string) (string, error) {
	_, ok := cfg.Presets[name]
	switch {
	case ok && cfg.OnlyPresets:
		return name, nil
	case ok:
		return "pr:" + name, nil
	case len(cfg.Presets) == 0:
		return "", usageError{fmt.Errorf("there is no preset %q: the configuration has none (-config names its file);"+
			" -options takes options", name)}
	}
	known := strings.Join(slices.Sorted(maps.Keys(cfg.Presets)), ", ")
	return "", usageError{fmt.Errorf("there is no preset %q; those of the configuration are: %s", name, known)}
}

// readable checks before signing that the server would accept the options.
func readable(cfg config.Config, options string) error {
	if cfg.OnlyPresets {
		return nil // they are preset names, which the server resolves
	}
	parser, err := cfg.NewParser()
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
	signer, err := client.FromKeyring(cfg.Server.PublicURL(), keys)
	if err != nil {
		return nil, err
	}
	sources, err := cfg.Signing.SourceCipher()
	if err != nil {
		return nil, err
	}
	if sources == nil {
		return signer, nil
	}
	return signer.WithSources(sources), nil
}
