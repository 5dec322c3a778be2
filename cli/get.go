package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/goldcrest/goldcrest/app"
	"github.com/goldcrest/goldcrest/config"
	"github.com/goldcrest/goldcrest/grammar"
	"github.com/goldcrest/goldcrest/signing"
	"github.com/goldcrest/goldcrest/variant"
)

// runGet makes one variant without a server and without touching the configured store.
func runGet(ctx context.Context, e env, args []string) error {
	fs := newFlags("get")
	options := fs.String("options", "", "options as in a URL, such as rs:fit:800:0/net:2g; with a source URL only")
	accept := fs.String("accept", "image/avif,image/webp,*/*", "the client's Accept header")
	out := fs.String("o", "", "output `FILE`; - for standard output")
	cfg, _, err := configured(e, fs, args)
	if err != nil {
		return err
	}
	if fs.NArg() != 1 || *out == "" {
		return usageError{errors.New("give one source URL, signed URL or path, and -o FILE (- for standard output)")}
	}
	ref, err := parseTarget(cfg, fs.Arg(0), *options)
	if err != nil {
		return err
	}
	ref.Spec = ref.Spec.Resolve(variant.ParseAccept(*accept, cfg.Negotiation))
	answer, err := app.GetOnce(ctx, e.version, cfg, ref, e.stderr)
	if err != nil {
		return err
	}
	w, err := e.stdoutOr(*out)
	if err != nil {
		return err
	}
	if _, err := w.Write(answer.Entry.Body); err != nil {
		return errors.Join(err, w.Close())
	}
	f := variant.DecodeFacts(answer.Entry.Attrs)
	fmt.Fprintf(e.stderr, "%s %dx%d, %d bytes from %d x %d %s of %d bytes, fetch %s, transform %s\n",
		answer.Entry.ContentType, f.Width, f.Height, len(answer.Entry.Body),
		f.SourceWidth, f.SourceHeight, f.SourceFormat, f.SourceBytes,
		answer.Timings.Fetch.Round(time.Millisecond), answer.Timings.Transform.Round(time.Millisecond))
	return w.Close()
}

// parseTarget parses a source URL with separate options, or a path of options and source, signed or not.
func parseTarget(cfg config.Config, target, options string) (variant.Ref, error) {
	parser, err := cfg.NewParser()
	if err != nil {
		return variant.Ref{}, err
	}
	path, parse, err := unsigned(cfg, parser, target)
	if err != nil {
		return variant.Ref{}, err
	}
	if path != "" {
		if options != "" {
			return variant.Ref{}, usageError{errors.New("a path holds its own options; leave -options out")}
		}
		ref, _, err := parse(path)
		return ref, err
	}
	spec, _, err := parser.ParseOptions(options)
	if err != nil {
		return variant.Ref{}, err
	}
	return parser.Ref(target, spec)
}

// unsigned returns the path of options and source in a URL or path of this server, and what reads it; "" = target is
// the URL of a source.
func unsigned(cfg config.Config, parser *variant.Parser, target string) (string, grammar.Parse, error) {
	base := cfg.Server.BaseURL + "/"
	isPath := strings.HasPrefix(target, "/")
	if len(cfg.Signing.Keys) > 0 {
		keys, err := signing.New(cfg.Signing, time.Now)
		if err != nil {
			return "", nil, err
		}
		verified, parse, err := grammar.Verify(keys, parser, signedPath(cfg, target))
		if err == nil {
			return verified.Path, parse, nil
		}
		if !isPath && base != "/" && strings.HasPrefix(target, base) {
			return "", nil, fmt.Errorf("that is a URL of this server (server.base_url), and %w", err)
		}
	}
	if isPath {
		return target, parser.ParsePath, nil
	}
	return "", nil, nil
}

// signedPath returns the signed part of a URL's path: without host and prefix.
func signedPath(cfg config.Config, target string) string {
	target = strings.TrimPrefix(target, cfg.Server.BaseURL)
	if i := strings.Index(target, "://"); i > 0 && !strings.HasPrefix(target, "/") {
		_, path, _ := strings.Cut(target[i+3:], "/")
		target = "/" + path
	}
	return strings.TrimPrefix(target, cfg.Server.PathPrefix)
}
