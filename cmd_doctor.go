package main

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/goldcrest/goldcrest/cache/dirstore"
	"github.com/goldcrest/goldcrest/cache/s3store"
	"github.com/goldcrest/goldcrest/config"
	"github.com/goldcrest/goldcrest/prewarm/natsqueue"
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

const workerTodo = "run \"goldcrest doctor -codecs\"; if that is well, try transform.sandbox: off to see whether the sandbox is it"

// checkConfig checks configuration, keys, store, disk and clock.
func checkConfig(ctx context.Context, e env, file string) []check {
	cfg, err := loadConfig(file, e.environ)
	if err == nil {
		err = cfg.Validate()
	}
	checks := []check{verdict("configuration", err, "valid", configTodo)}
	if err != nil {
		return checks
	}
	checks = append(checks, checkParts(ctx, cfg)...)
	checks = append(checks, checkListener("listen", cfg.Server.Listen), checkListener("admin", cfg.Server.Admin))
	clock := check{"clock", "ok", time.Now().UTC().Format(time.RFC3339)}
	if time.Now().Year() < 2026 {
		clock = check{"clock", "wrong", "the year is " + time.Now().UTC().Format("2006") + ": expiring URLs cannot be judged. To do: set the clock, and keep it with NTP"}
	}
	return append(checks, clock)
}

// checkParts builds each part as serve does, and looks at what it stands on. A server may be running on the same directories, perhaps as
// another user: it gets others here, and nothing is left in them.
func checkParts(ctx context.Context, cfg config.Config) (checks []check) {
	temp, err := os.MkdirTemp("", "goldcrest-doctor-")
	if err != nil {
		return []check{verdict("parts", err, "", "name a directory that this user can write in TMPDIR")}
	}
	defer os.RemoveAll(temp)
	own := cfg
	own.Cache.Store.Dir.Dir, own.Prewarm.Queue.Dir = filepath.Join(temp, "store"), filepath.Join(temp, "queue")
	own.Transform.Workers = 1
	a := newApp(own, slog.New(slog.DiscardHandler))
	defer a.close(ctx) //nolint:errcheck // What was built for a look is of no use to anybody.
	built := map[string]bool{}
	for _, p := range a.parts() {
		if i := slices.IndexFunc(p.needs, func(name string) bool { return !built[name] }); i >= 0 {
			checks = append(checks, check{p.name, "unknown", p.needs[i] + " comes first"})
			continue
		}
		err := p.open(ctx)
		built[p.name] = err == nil
		if err != nil {
			checks = append(checks, verdict(p.name, err, "", p.todo))
			continue
		}
		checks = append(checks, a.look(ctx, p.name, cfg)...)
	}
	return checks
}

// look tells of a part that was built, and of what it stands on; cfg is what serve gets.
func (a *app) look(ctx context.Context, name string, cfg config.Config) []check {
	switch name {
	case "secret files":
		warnings, err := cfg.CheckSecretFiles()
		return []check{verdict(name, err, strings.Join(append(warnings, "nobody else can write them"), "; "), "")}
	case "signing keys":
		return []check{{name, "ok", fmt.Sprintf("%d pairs", len(cfg.Signing.Keys))}}
	case "worker":
		return []check{verdict(name, a.pool.Check(ctx), "makes pictures; sandbox: "+a.pool.Sandbox().String(), workerTodo)}
	case "store":
		if cfg.Cache.Store.S3.Bucket == "" {
			return []check{checkDirectory(cfg.Cache.Store.Dir)}
		}
		return []check{checkBucket(ctx, cfg.Cache.Store.S3)}
	case "prewarm":
		if cfg.Is(config.RolePrewarm) || cfg.Prewarm.Queue.NATS != "" {
			checks := []check{checkQueue(ctx, cfg.Prewarm)}
			if cfg.Prewarm.Queue.NATS != "" {
				checks = append(checks, checkSync(ctx, cfg.Prewarm.Queue))
			}
			return checks
		}
	case "server":
		return []check{{name, "ok", "can be built of these parts"}}
	}
	return nil
}

// checkBucket has the bucket do all that the store asks of it.
func checkBucket(ctx context.Context, cfg s3store.Config) check {
	store, err := s3store.Open(ctx, cfg, nil)
	if err == nil {
		err = store.SelfTest(ctx)
	}
	return verdict("bucket", err, cfg.Bucket+": put, get, head, list and delete work",
		"compare cache.store.s3 with the bucket's name, region and endpoint, and give these credentials the rights to get, put, list and delete")
}

// checkListener takes an address for a moment. One that is in use is most likely in use by the server that is looked at.
func checkListener(key, addr string) check {
	l, err := net.Listen("tcp", addr)
	if errors.Is(err, syscall.EADDRINUSE) {
		return check{key, "ok", addr + " is in use; right if it is by this server, which is running"}
	}
	if err == nil {
		err = l.Close()
	}
	return verdict(key, err, addr+" is free", "set server."+key+" to an address of this machine and a port that this user may open")
}

// checkQueue looks at the cluster, or at the directory of the embedded queue, which a running server may be using at this moment.
func checkQueue(ctx context.Context, cfg config.Prewarm) check {
	if cfg.Queue.NATS == "" {
		return checkFree("queue", cfg.Queue.Dir, 64<<20, "free space: units are refused with disk_full", "name a directory that this user can write, on a disk with room")
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
	return checkFree("store", cfg.Dir, cfg.MinFree, "less than cache.store.min_free: free space or lower it", storeTodo)
}

// checkFree writes and removes a file in a directory and tells the free space. short is what less than least means; todo is for all else.
func checkFree(name, dir string, least int64, short, todo string) check {
	err := os.MkdirAll(dir, 0o700)
	if err == nil {
		probe := filepath.Join(dir, "doctor-"+hex.EncodeToString([]byte(time.Now().Format("150405"))))
		err = errors.Join(os.WriteFile(probe, []byte("probe"), 0o600), os.Remove(probe))
	}
	var fs unix.Statfs_t
	err = errors.Join(err, unix.Statfs(dir, &fs))
	free := int64(fs.Bavail) * fs.Bsize
	if err == nil && free < least {
		err = fmt.Errorf("%d MiB free, %s", free>>20, short)
	}
	return verdict(name, err, fmt.Sprintf("%s is writable, %d MiB free", dir, free>>20), todo)
}
