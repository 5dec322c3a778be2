package main

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/goldcrest/goldcrest/cache"
	"github.com/goldcrest/goldcrest/cache/dirstore"
	"github.com/goldcrest/goldcrest/cache/s3store"
	"github.com/goldcrest/goldcrest/config"
	"github.com/goldcrest/goldcrest/metrics"
	"github.com/goldcrest/goldcrest/pipeline"
	"github.com/goldcrest/goldcrest/prewarm/natsqueue"
	"github.com/goldcrest/goldcrest/signing"
	"github.com/goldcrest/goldcrest/transform"
	"github.com/goldcrest/goldcrest/transform/codec"
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
		return usageError{errors.New("give one source URL or unsigned path, and -o FILE")}
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
	cfg.Transform.Workers = 1
	a := &app{cfg: cfg, log: newLog(e.stderr, cfg.Log, logLevel("error")), metrics: metrics.New(), oneStage: true}
	defer func() { err = errors.Join(err, a.close(ctx)) }()
	if err := a.openPipeline(ctx, cache.NewMemory(64<<20).Store()); err != nil {
		return answer, err
	}
	return a.pipeline.Get(ctx, ref)
}

// parseTarget reads a source URL with options beside it, or a path of options and source, signed or not.
func parseTarget(cfg config.Config, target, options string) (variant.Ref, error) {
	parser, err := variant.NewParser(cfg.Presets, cfg.OnlyPresets, cfg.Origin.Canonical...)
	if err != nil {
		return variant.Ref{}, err
	}
	if strings.HasPrefix(target, "/") {
		if options != "" {
			return variant.Ref{}, usageError{errors.New("a path holds its own options; leave -options out")}
		}
		ref, _, err := parser.ParsePath(target)
		return ref, err
	}
	spec, _, err := parser.ParseOptions(options)
	if err != nil {
		return variant.Ref{}, err
	}
	return parser.Ref(target, spec)
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
	target := strings.TrimPrefix(fs.Arg(0), cfg.Server.BaseURL)
	if i := strings.Index(target, "://"); i > 0 && !strings.HasPrefix(target, "/") {
		_, path, _ := strings.Cut(target[i+3:], "/")
		target = "/" + path
	}
	target = strings.TrimPrefix(target, cfg.Server.PathPrefix)
	signature := "valid"
	verified, err := keys.Verify(target)
	if err != nil {
		signature = "not valid: " + err.Error()
		_, rest, _ := strings.Cut(strings.TrimPrefix(target, "/"), "/")
		verified.Path = "/" + rest
	}
	parser, err := variant.NewParser(cfg.Presets, cfg.OnlyPresets, cfg.Origin.Canonical...)
	if err != nil {
		return err
	}
	ref, terms, err := parser.ParsePath(verified.Path)
	if err != nil {
		return fmt.Errorf("the signature is %s; the path cannot be read: %w", signature, err)
	}
	client := variant.ParseAccept(*accept, cfg.Negotiation)
	printExplanation(e.stdout, signature, ref, terms, client)
	if !*run {
		return nil
	}
	ref.Spec = ref.Spec.Resolve(client)
	answer, err := getOnce(ctx, e, cfg, ref)
	if err != nil {
		return err
	}
	printChoice(e.stdout, answer)
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

// check is one line of doctor's table.
type check struct{ name, state, detail string }

// runDoctor looks at everything that a server needs and says what is wrong and what to do.
func runDoctor(ctx context.Context, e env, args []string) error {
	fs := newFlags("doctor")
	file := configFlag(e, fs)
	codecsOnly := fs.Bool("codecs", false, "check the codecs only")
	if err := parseFlags(e, fs, args); err != nil {
		return err
	}
	checks := checkCodecs()
	if !*codecsOnly {
		checks = append(checks, checkConfig(ctx, e, *file)...)
	}
	failed := 0
	for _, c := range checks {
		fmt.Fprintf(e.stdout, "%-8s %-14s %s\n", c.state, c.name, c.detail)
		if c.state == "wrong" {
			failed++
		}
	}
	if failed > 0 {
		return fmt.Errorf("%d of %d checks found something wrong", failed, len(checks))
	}
	return nil
}

// verdict makes a check of an error.
func verdict(name string, err error, good string) check {
	if err != nil {
		return check{name, "wrong", err.Error()}
	}
	return check{name, "ok", good}
}

// checkCodecs uses every codec once in this process.
func checkCodecs() []check {
	c, err := codec.New("vips")
	if err != nil {
		return []check{verdict("codecs", err, "")}
	}
	var names []string
	for name, v := range c.Versions() {
		names = append(names, name+" "+v)
	}
	slices.Sort(names)
	return []check{verdict("codecs", c.Warm(), strings.Join(names, ", "))}
}

// checkWorker starts one worker as the server would, has it make a picture, and tells how it is enclosed.
func checkWorker(ctx context.Context, cfg config.Config) check {
	own := cfg.Transform
	own.Workers, own.OriginalBytes, own.Build = 1, cfg.Origin.MaxBytes, buildID()
	pool, err := transform.Open(ctx, own, nil, nil)
	if err != nil {
		return verdict("worker", err, "")
	}
	defer pool.Close()
	return verdict("worker", pool.Check(ctx), "makes pictures; sandbox: "+pool.Sandbox().String())
}

// checkConfig checks configuration, keys, store, disk and clock.
func checkConfig(ctx context.Context, e env, file string) []check {
	cfg, err := config.Load(file, e.environ)
	if err == nil {
		err = cfg.Validate()
	}
	checks := []check{verdict("configuration", err, "valid")}
	if err != nil {
		return checks
	}
	checks = append(checks, checkWorker(ctx, cfg))
	warnings, err := cfg.CheckSecretFiles()
	checks = append(checks, verdict("secret files", err, strings.Join(append(warnings, "nobody else can write them"), "; ")))
	_, err = signing.New(cfg.Signing, time.Now)
	checks = append(checks, verdict("signing keys", err, fmt.Sprintf("%d pairs", len(cfg.Signing.Keys))))
	if s3 := cfg.Cache.Store.S3; s3.Bucket != "" {
		store, err := s3store.Open(ctx, s3, nil)
		if err == nil {
			err = store.SelfTest(ctx)
		}
		checks = append(checks, verdict("bucket", err, s3.Bucket+": put, get, head, list and delete work"))
	} else {
		checks = append(checks, checkDirectory(cfg.Cache.Store.Dir))
	}
	if cfg.Is(config.RolePrewarm) || cfg.Prewarm.Queue.NATS != "" {
		checks = append(checks, checkQueue(ctx, cfg.Prewarm))
	}
	clock := check{"clock", "ok", time.Now().UTC().Format(time.RFC3339)}
	if time.Now().Year() < 2026 {
		clock = check{"clock", "wrong", "the year is " + time.Now().UTC().Format("2006") + ": expiring URLs cannot be judged; set the clock"}
	}
	return append(checks, clock)
}

// checkQueue looks at the cluster, or at the directory of the embedded queue, which a running server may be using at this moment.
func checkQueue(ctx context.Context, cfg config.Prewarm) check {
	if cfg.Queue.NATS == "" {
		return checkFree("queue", cfg.Queue.Dir, 64<<20, "free space: units are refused with disk_full")
	}
	cfg.Queue.Keep = cfg.Door.Keep
	q, err := natsqueue.Open(ctx, cfg.Queue, nil)
	if err == nil {
		err = errors.Join(q.Check(ctx), q.Close(ctx))
	}
	return verdict("queue", err, "the NATS cluster answers")
}

// checkDirectory looks at the store's directory.
func checkDirectory(cfg dirstore.Config) check {
	return checkFree("store", cfg.Dir, cfg.MinFree, "less than cache.store.min_free: free space or lower it")
}

// checkFree writes and removes a file in a directory and tells the free space; advice is for less than least.
func checkFree(name, dir string, least int64, advice string) check {
	err := os.MkdirAll(dir, 0o700)
	if err == nil {
		probe := filepath.Join(dir, "doctor-"+hex.EncodeToString([]byte(time.Now().Format("150405"))))
		err = errors.Join(os.WriteFile(probe, []byte("probe"), 0o600), os.Remove(probe))
	}
	var fs unix.Statfs_t
	err = errors.Join(err, unix.Statfs(dir, &fs))
	free := int64(fs.Bavail) * fs.Bsize
	if err == nil && free < least {
		err = fmt.Errorf("%d MiB free, %s", free>>20, advice)
	}
	return verdict(name, err, fmt.Sprintf("%s is writable, %d MiB free", dir, free>>20))
}
