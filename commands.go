package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/goldcrest/goldcrest/client"
	"github.com/goldcrest/goldcrest/config"
	"github.com/goldcrest/goldcrest/signing"
	"github.com/goldcrest/goldcrest/transform"
	"github.com/goldcrest/goldcrest/transform/codec"
	"github.com/goldcrest/goldcrest/variant"
)

// lookEnv reads one variable of e.environ.
func (e env) lookEnv(name string) string {
	for _, kv := range e.environ {
		if v, ok := strings.CutPrefix(kv, name+"="); ok {
			return v
		}
	}
	return ""
}

// configFlag adds the -config flag, whose default is GOLDCREST_CONFIG.
func configFlag(e env, fs *flag.FlagSet) *string {
	return fs.String("config", e.lookEnv("GOLDCREST_CONFIG"), "configuration `FILE`; without one, defaults and GOLDCREST_ variables")
}

// configured parses args, -config among them, and loads the configuration that they name. file is that name.
func configured(e env, fs *flag.FlagSet, args []string) (cfg config.Config, file string, err error) {
	name := configFlag(e, fs)
	if err := parseFlags(e, fs, args); err != nil {
		return cfg, "", err
	}
	cfg, err = loadConfig(*name, e.environ)
	return cfg, *name, err
}

// runServe is the server.
func runServe(ctx context.Context, e env, args []string) error {
	hup := make(chan os.Signal, 1) // Before anything is opened: a reload that is asked for during the start comes after it.
	signal.Notify(hup, syscall.SIGHUP)
	defer signal.Stop(hup)
	cfg, file, err := configured(e, newFlags("serve"), args)
	if err != nil {
		return err
	}
	var level slog.LevelVar
	level.Set(logLevel(cfg.Log.Level))
	log := newLog(e.stderr, cfg.Log, &level)
	a, err := openApp(ctx, cfg, log)
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
		a.reloadOnHangup(reloads, hup, file, e.environ, &level)
	}()
	err = a.serve(ctx)
	stop()
	<-reloaded
	drain, cancel := context.WithTimeout(context.Background(), max(cfg.Server.Drain, time.Second))
	defer cancel()
	return errors.Join(err, a.close(drain))
}

// runWorker is the inside of a worker process; the server starts it.
func runWorker(_ context.Context, e env, _ []string) error {
	// The pool passes the engine on by the name of its setting.
	engine := e.lookEnv("GOLDCREST_TRANSFORM_ENGINE")
	c, err := codec.New(engine)
	if err != nil {
		return err
	}
	c.Alone()
	return transform.Serve(codecAdapter{c}, buildID())
}

// runConfig prints what the server would run with.
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

// runVersion prints the program's version and those of the libraries that make its pictures.
func runVersion(_ context.Context, e env, args []string) error {
	if err := parseFlags(e, newFlags("version"), args); err != nil {
		return err
	}
	c, err := codec.New("vips")
	if err != nil {
		return err
	}
	fmt.Fprintf(e.stdout, "goldcrest %s\n  %-12s %s\n", buildID(), "sandbox", transform.KernelSandbox())
	versions := c.Versions()
	names := make([]string, 0, len(versions))
	for name := range versions {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		fmt.Fprintf(e.stdout, "  %-12s %s\n", name, versions[name])
	}
	return nil
}

// runHealthcheck asks the private listener of a server on this machine.
func runHealthcheck(ctx context.Context, e env, args []string) error {
	fs := newFlags("healthcheck")
	file := configFlag(e, fs)
	url := fs.String("url", "", "what to ask; default: /healthz of the configured private listener")
	if err := parseFlags(e, fs, args); err != nil {
		return err
	}
	if *url == "" {
		cfg, err := loadConfig(*file, e.environ)
		if err != nil {
			return err
		}
		addr := cfg.Server.Admin
		if strings.HasPrefix(addr, ":") {
			addr = "127.0.0.1" + addr
		}
		*url = "http://" + addr + "/healthz"
	}
	if !strings.HasPrefix(*url, "http://") && !strings.HasPrefix(*url, "https://") {
		return usageError{fmt.Errorf("-url: %q is not an http or https URL", *url)}
	}
	ctx, cancel := context.WithTimeout(ctx, 4*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, *url, nil)
	if err != nil {
		return usageError{err}
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return fmt.Errorf("the server does not answer: %w\nIs it running, and is that its private listener (server.admin)? -url names another", err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(res.Body, 1<<10))
		return fmt.Errorf("%s answers %s: %s", *url, res.Status, strings.TrimSpace(string(text)))
	}
	return nil
}

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
		return nil, errors.New("there is no signing key: " + keyTodo)
	}
	keys, err := signing.New(cfg.Signing, time.Now)
	if err != nil {
		return nil, err
	}
	return client.FromKeyring(cfg.Server.PublicURL(), keys)
}

// stdoutOr opens a file for writing, or gives stdout for "-".
func (e env) stdoutOr(name string) (io.WriteCloser, error) {
	if name == "-" {
		return nopCloser{e.stdout}, nil
	}
	return os.Create(name)
}

type nopCloser struct{ io.Writer }

// Close implements io.Closer.
func (nopCloser) Close() error { return nil }

// codecAdapter lets the pool's worker use the codec, whose Limits are its own.
type codecAdapter struct{ *codec.Codec }

// Transform implements transform.Codec.
func (c codecAdapter) Transform(original variant.Original, specs []variant.Spec, stage variant.Stage, lim transform.Limits, emit func(i int, img variant.Image, err error)) error {
	return c.Codec.Transform(original, specs, stage, codec.Limits(lim), emit)
}
