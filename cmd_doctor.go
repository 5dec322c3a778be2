package main

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/goldcrest/goldcrest/cache/dirstore"
	"github.com/goldcrest/goldcrest/cache/s3store"
	"github.com/goldcrest/goldcrest/config"
	"github.com/goldcrest/goldcrest/prewarm/natsqueue"
	"github.com/goldcrest/goldcrest/signing"
	"github.com/goldcrest/goldcrest/transform"
	"github.com/goldcrest/goldcrest/transform/codec"
)

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
		return fmt.Errorf("%d of %d checks found something wrong; the lines above say what to do", failed, len(checks))
	}
	return nil
}

// verdict makes a check of an error. What to do comes from the error's kind, else from todo.
func verdict(name string, err error, good, todo string) check {
	if err == nil {
		return check{name, "ok", good}
	}
	if known := advice(err); known != "" {
		todo = known
	}
	return check{name, "wrong", strings.ReplaceAll(strings.TrimSuffix(told(err), "."), "\n", "; ") + ". To do: " + todo}
}

// checkCodecs uses every codec once in this process.
func checkCodecs() []check {
	c, err := codec.New("vips")
	if err != nil {
		return []check{verdict("codecs", err, "", codecTodo)}
	}
	var names []string
	for name, v := range c.Versions() {
		names = append(names, name+" "+v)
	}
	slices.Sort(names)
	return []check{verdict("codecs", c.Warm(), strings.Join(names, ", "), codecTodo)}
}

const codecTodo = "install libvips with its codecs: on Debian libvips-dev, from trixie on also libheif-plugin-aomenc and libheif-plugin-dav1d"

// checkWorker starts one worker as the server would, has it make a picture, and tells how it is enclosed.
func checkWorker(ctx context.Context, cfg config.Config) check {
	own := cfg.Transform
	own.Workers, own.OriginalBytes, own.Build = 1, cfg.Origin.MaxBytes, buildID()
	pool, err := transform.Open(ctx, own, nil, nil)
	if err != nil {
		return verdict("worker", err, "", workerTodo)
	}
	defer pool.Close()
	return verdict("worker", pool.Check(ctx), "makes pictures; sandbox: "+pool.Sandbox().String(), workerTodo)
}

const workerTodo = "run \"goldcrest doctor -codecs\"; if that is well, try transform.sandbox: off to see whether the sandbox is it"

// checkConfig checks configuration, keys, store, disk and clock.
func checkConfig(ctx context.Context, e env, file string) []check {
	cfg, err := config.Load(file, e.environ)
	if err == nil {
		err = cfg.Validate()
	}
	checks := []check{verdict("configuration", err, "valid", "correct it; config.yaml is the commented example, docs/config.md explains every key")}
	if err != nil {
		return checks
	}
	checks = append(checks, checkWorker(ctx, cfg))
	warnings, err := cfg.CheckSecretFiles()
	checks = append(checks, verdict("secret files", err, strings.Join(append(warnings, "nobody else can write them"), "; "), "chmod go-w, and give them to the user that the server runs as"))
	_, err = signing.New(cfg.Signing, time.Now)
	checks = append(checks, verdict("signing keys", err, fmt.Sprintf("%d pairs", len(cfg.Signing.Keys)), keyTodo))
	if s3 := cfg.Cache.Store.S3; s3.Bucket != "" {
		store, err := s3store.Open(ctx, s3, nil)
		if err == nil {
			err = store.SelfTest(ctx)
		}
		checks = append(checks, verdict("bucket", err, s3.Bucket+": put, get, head, list and delete work",
			"compare cache.store.s3 with the bucket's name, region and endpoint, and give these credentials the rights to get, put, list and delete"))
	} else {
		checks = append(checks, checkDirectory(cfg.Cache.Store.Dir))
	}
	if cfg.Is(config.RolePrewarm) || cfg.Prewarm.Queue.NATS != "" {
		checks = append(checks, checkQueue(ctx, cfg.Prewarm))
	}
	clock := check{"clock", "ok", time.Now().UTC().Format(time.RFC3339)}
	if time.Now().Year() < 2026 {
		clock = check{"clock", "wrong", "the year is " + time.Now().UTC().Format("2006") + ": expiring URLs cannot be judged. To do: set the clock, and keep it with NTP"}
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
	return verdict("queue", err, "the NATS cluster answers", "compare prewarm.queue.nats with the cluster's address, user and password; JetStream must be on")
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
	return verdict(name, err, fmt.Sprintf("%s is writable, %d MiB free", dir, free>>20), "name a directory that this user can write, on a disk with room")
}
