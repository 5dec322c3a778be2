package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/goldcrest/goldcrest/cache"
	"github.com/goldcrest/goldcrest/config"
	"github.com/goldcrest/goldcrest/fault"
	"github.com/goldcrest/goldcrest/metrics"
	"github.com/goldcrest/goldcrest/pipeline"
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
	answer, err := getOnce(ctx, e, cfg, ref)
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
	a := answer.Entry.Attrs
	fmt.Fprintf(e.stderr, "%s %sx%s, %d bytes from %s x %s %s of %s bytes, fetch %s, transform %s\n",
		answer.Entry.ContentType, a["w"], a["h"], len(answer.Entry.Body), a["sw"], a["sh"], a["sf"], a["sb"],
		answer.Timings.Fetch.Round(time.Millisecond), answer.Timings.Transform.Round(time.Millisecond))
	return w.Close()
}

// getOnce runs the pipeline once on a store that is forgotten.
func getOnce(ctx context.Context, e env, cfg config.Config, ref variant.Ref) (answer pipeline.Answer, err error) {
	if err := cfg.Validate(); err != nil {
		return answer, err
	}
	cfg.Transform.Workers, cfg.Cache.Store.S3.Bucket = 1, "" // Nothing is stored.
	a := &app{cfg: cfg, log: newLog(e.stderr, cfg.Log, logLevel("error")), metrics: metrics.New(), oneStage: true}
	defer func() { err = errors.Join(err, a.close(ctx)) }()
	a.durable = cache.NewMemory(64 << 20).Store()
	for _, open := range []func(context.Context) error{a.openOrigin, a.openWorkers, a.openPipeline} {
		if err := open(ctx); err != nil {
			return answer, err
		}
	}
	return a.pipeline.Get(ctx, ref)
}

// parseTarget reads a source URL with options beside it, or a path of options and source, signed or not.
func parseTarget(cfg config.Config, target, options string) (variant.Ref, error) {
	parser, err := variant.NewParser(cfg.Presets, cfg.OnlyPresets, cfg.Origin.Canonical...)
	if err != nil {
		return variant.Ref{}, err
	}
	path, err := unsigned(cfg, target)
	if err != nil {
		return variant.Ref{}, err
	}
	if path != "" {
		if options != "" {
			return variant.Ref{}, usageError{errors.New("a path holds its own options; leave -options out")}
		}
		ref, _, err := parser.ParsePath(path)
		return ref, err
	}
	spec, _, err := parser.ParseOptions(options)
	if err != nil {
		return variant.Ref{}, err
	}
	return parser.Ref(target, spec)
}

// unsigned gives the path of options and source in a URL or path of this server; "" = target is the URL of a source.
func unsigned(cfg config.Config, target string) (string, error) {
	base := cfg.Server.BaseURL + "/"
	isPath := strings.HasPrefix(target, "/")
	if len(cfg.Signing.Keys) > 0 {
		keys, err := signing.New(cfg.Signing, time.Now)
		if err != nil {
			return "", err
		}
		verified, err := keys.Verify(signedPath(cfg, target))
		if err == nil {
			return verified.Path, nil
		}
		if !isPath && base != "/" && strings.HasPrefix(target, base) {
			return "", fmt.Errorf("that is a URL of this server (server.base_url), and %w", err)
		}
	}
	if isPath {
		return target, nil
	}
	return "", nil
}

// signedPath gives the path of a URL as it is signed: without host and prefix.
func signedPath(cfg config.Config, target string) string {
	target = strings.TrimPrefix(target, cfg.Server.BaseURL)
	if i := strings.Index(target, "://"); i > 0 && !strings.HasPrefix(target, "/") {
		_, path, _ := strings.Cut(target[i+3:], "/")
		target = "/" + path
	}
	return strings.TrimPrefix(target, cfg.Server.PathPrefix)
}

// runExplain tells what a signed URL asks for; it fetches nothing unless it is told to make the variant.
func runExplain(ctx context.Context, e env, args []string) error {
	fs := newFlags("explain")
	run := fs.Bool("run", false, "make the variant, without a server, and tell how its format and quality were chosen")
	accept := fs.String("accept", "image/avif,image/webp,*/*", "the client's Accept header")
	cfg, _, err := configured(e, fs, args)
	if err != nil {
		return err
	}
	if fs.NArg() != 1 {
		return usageError{errors.New("give one signed URL or its path")}
	}
	keys, err := signing.New(cfg.Signing, time.Now)
	if err != nil {
		return err
	}
	target := signedPath(cfg, fs.Arg(0))
	signature := "valid"
	verified, wrong := keys.Verify(target)
	if wrong != nil {
		signature = "not valid: " + fault.Of(wrong).Public
		_, rest, _ := strings.Cut(strings.TrimPrefix(target, "/"), "/")
		verified.Path = "/" + rest
	}
	parser, err := variant.NewParser(cfg.Presets, cfg.OnlyPresets, cfg.Origin.Canonical...)
	if err != nil {
		return err
	}
	ref, terms, err := parser.ParsePath(verified.Path)
	if err != nil {
		return fmt.Errorf("the signature is %s; and %w", signature, err)
	}
	client := variant.ParseAccept(*accept, cfg.Negotiation)
	printExplanation(e.stdout, signature, ref, terms, client)
	if *run {
		ref.Spec = ref.Spec.Resolve(client)
		answer, err := getOnce(ctx, e, cfg, ref)
		if err != nil {
			return err
		}
		printChoice(e.stdout, answer)
	}
	if wrong == nil && terms.Expired(time.Now()) {
		return errors.New("the server refuses this URL: it has expired")
	}
	if wrong != nil {
		return fmt.Errorf("the server refuses this URL: %w", wrong)
	}
	return nil
}

// printChoice tells how the format and the quality of a variant were chosen.
func printChoice(w io.Writer, answer pipeline.Answer) {
	a := answer.Entry.Attrs
	fact := func(name, value string) {
		if value != "" {
			fmt.Fprintf(w, "%-10s %s\n", name, value)
		}
	}
	kind := a["kind"]
	if kind != "" {
		kind += " (probability of print " + a["print"] + ")"
	}
	quality := a["q"]
	if quality == "0" {
		quality = "lossless"
	}
	if a["predicted"] != "" {
		quality += " (predicted " + a["predicted"] + " for a score of " + a["target"] + ")"
	}
	if a["score"] != "" {
		quality += ", measured " + a["score"]
	}
	fact("kind", kind)
	fact("q", quality)
	fact("tried", a["tried"])
	fact("why", a["note"])
	fact("bytes", fmt.Sprintf("%d of %s, %sx%s of %sx%s %s", len(answer.Entry.Body), a["sb"], a["w"], a["h"], a["sw"], a["sh"], a["sf"]))
	t := answer.Timings
	fact("time", fmt.Sprintf("fetch %s, transform %s, of which the probe %s", t.Fetch.Round(time.Millisecond), t.Transform.Round(time.Millisecond),
		t.Probe.Round(100*time.Microsecond)))
}

// printExplanation prints one fact a line. The source's query stays out: it may hold secrets.
func printExplanation(w io.Writer, signature string, ref variant.Ref, terms variant.Terms, accept variant.Accept) {
	source, _, hasQuery := strings.Cut(ref.Source, "?")
	if hasQuery {
		source += "?..."
	}
	resolved := ref
	resolved.Spec = ref.Spec.Resolve(accept)
	format := string(resolved.Spec.Format)
	if ref.Spec.IsOpen() {
		format += " (negotiated)"
	}
	expires := "never"
	if !terms.Expires.IsZero() {
		expires = terms.Expires.UTC().Format(time.RFC3339)
		if terms.Expired(time.Now()) {
			expires += " (expired)"
		}
	}
	fmt.Fprintf(w, "signature  %s\nsource     %s\nformat     %s\nexpires    %s\nkey        %s\n", signature, source, format, expires, resolved.Key())
}
