package app

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
	"github.com/goldcrest/goldcrest/transform/codec/check"
)

// Check is the result of checking one thing that a server needs.
type Check struct {
	Name    string
	Detail  string // description if nothing is wrong
	Unknown bool   // it could not be checked
	Err     error  // what is wrong
	Todo    string // what to do about Err if its kind does not say it
}

// verdict is a Check of an error; good is the description without one.
func verdict(name string, err error, good, todo string) Check {
	return Check{Name: name, Detail: good, Err: err, Todo: todo}
}

// CheckCodecs uses every codec once in this process.
func CheckCodecs() []Check {
	c, err := codec.New("vips")
	if err != nil {
		return []Check{verdict("codecs", err, "", codecTodo)}
	}
	var names []string
	for name, v := range c.Versions() {
		names = append(names, name+" "+v)
	}
	slices.Sort(names)
	checks := []Check{verdict("codecs", c.Warm(), strings.Join(names, ", "), codecTodo)}
	d, err := c.SelfCheck()
	return append(checks, verdict("quality", err, "encoders: "+d.String(), codecTodo))
}

// PromiseMost is the tolerated distance of an encoder from its target, in points.
const PromiseMost = check.PromiseMost

// Quality returns the distance of each encoder from its target, and the versions of the libraries.
func Quality() ([]check.Promise, map[string]string, error) {
	c, err := codec.New(codec.EngineVips)
	if err != nil {
		return nil, nil, err
	}
	all, err := check.Promises(c)
	return all, c.Versions(), err
}

const codecTodo = "install libvips with its codecs: on Debian libvips-dev, from trixie on also libheif-plugin-aomenc and libheif-plugin-dav1d"

const workerTodo = "run \"goldcrest doctor -codecs\"; if that is well, try transform.sandbox: off to see whether the sandbox is it"

// CheckServer checks everything that a server with the configuration of file and environ needs.
func CheckServer(ctx context.Context, version, file string, environ []string) []Check {
	cfg, err := Load(file, environ)
	if err == nil {
		err = cfg.Validate()
	}
	checks := []Check{verdict("configuration", err, "valid", configTodo)}
	if err != nil {
		return checks
	}
	checks = append(checks, checkParts(ctx, version, cfg)...)
	checks = append(checks, checkListener("listen", cfg.Server.Listen), checkListener("admin", cfg.Server.Admin))
	now := time.Now().UTC()
	var wrong error
	if now.Year() < 2026 {
		wrong = fmt.Errorf("the year is %d: expiring URLs cannot be judged", now.Year())
	}
	return append(checks, verdict("clock", wrong, now.Format(time.RFC3339), "set the clock, and keep it with NTP"))
}

// checkParts builds each part as serve does, and checks what it needs. A server may be running on the same directories,
// perhaps as another user, so temporary ones are used and removed.
func checkParts(ctx context.Context, version string, cfg config.Config) (checks []Check) {
	temp, err := os.MkdirTemp("", "goldcrest-doctor-")
	if err != nil {
		return []Check{verdict("parts", err, "", "name a directory that this user can write in TMPDIR")}
	}
	defer os.RemoveAll(temp)
	own := cfg
	own.Cache.Store.Dir.Dir, own.Prewarm.Queue.Dir = filepath.Join(temp, "store"), filepath.Join(temp, "queue")
	own.Transform.Workers = 1
	a := newApp(version, own, slog.New(slog.DiscardHandler))
	defer a.Close(ctx) //nolint:errcheck // it was built only for the check
	built := map[string]bool{}
	for _, p := range a.parts() {
		if i := slices.IndexFunc(p.needs, func(name string) bool { return !built[name] }); i >= 0 {
			checks = append(checks, Check{Name: p.name, Detail: p.needs[i] + " comes first", Unknown: true})
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

// look checks a part that was built, and what it needs; cfg is the configuration for serve.
func (a *App) look(ctx context.Context, name string, cfg config.Config) []Check {
	switch name {
	case "secret files":
		warnings, err := cfg.CheckSecretFiles()
		return []Check{verdict(name, err, strings.Join(append(warnings, "nobody else can write them"), "; "), "")}
	case "origin":
		return append([]Check{{Name: name, Detail: "originals can be asked for"}}, checkSources(cfg.Origin.Sources)...)
	case "signing keys":
		return []Check{{Name: name, Detail: fmt.Sprintf("%d pairs", len(cfg.Signing.Keys))}}
	case "worker":
		return []Check{verdict(name, a.pool.Check(ctx), "makes pictures; sandbox: "+a.pool.Sandbox().String(), workerTodo)}
	case "store":
		if cfg.Cache.Store.S3.Bucket == "" {
			return []Check{checkDirectory(cfg.Cache.Store.Dir)}
		}
		return []Check{checkBucket(ctx, cfg.Cache.Store.S3)}
	case "prewarm":
		if cfg.Is(config.RolePrewarm) || cfg.Prewarm.Queue.NATS != "" {
			checks := []Check{checkQueue(ctx, cfg.Prewarm)}
			if cfg.Prewarm.Queue.NATS != "" {
				checks = append(checks, checkSync(ctx, cfg.Prewarm.Queue))
			}
			return checks
		}
	case "server":
		return []Check{{Name: name, Detail: "can be built of these parts"}}
	}
	return nil
}

// checkBucket tests every operation that the store needs of the bucket.
func checkBucket(ctx context.Context, cfg s3store.Config) Check {
	store, err := s3store.Open(ctx, cfg, nil)
	if err == nil {
		err = store.SelfTest(ctx)
	}
	return verdict("bucket", err, cfg.Bucket+": put, get, head, list and delete work",
		"compare cache.store.s3 with the bucket's name, region and endpoint, and give these credentials the rights to get, put, list and delete")
}

// checkListener opens an address for a moment. An address in use is most likely used by the running server.
func checkListener(key, addr string) Check {
	l, err := net.Listen("tcp", addr)
	if errors.Is(err, syscall.EADDRINUSE) {
		return Check{Name: key, Detail: addr + " is in use; right if it is by this server, which is running"}
	}
	if err == nil {
		err = l.Close()
	}
	return verdict(key, err, addr+" is free", "set server."+key+" to an address of this machine and a port that this user may open")
}

// checkQueue checks the cluster, or the directory of the embedded queue, which a running server may be using.
func checkQueue(ctx context.Context, cfg config.Prewarm) Check {
	if cfg.Queue.NATS == "" {
		return checkFree("queue", cfg.Queue.Dir, 64<<20, "free space: units are refused with disk_full", "name a directory that this user can write, on a disk with room")
	}
	cfg.Queue.Keep = cfg.Door.Keep
	q, err := natsqueue.Open(ctx, cfg.Queue, nil)
	if err == nil {
		err = errors.Join(q.Check(ctx), q.Close(ctx))
	}
	return verdict("queue", err, "the NATS cluster answers", "compare prewarm.queue.nats with the cluster's address, and its credentials with the cluster's authorization; JetStream must be on")
}

// checkDirectory checks the store's directory.
func checkDirectory(cfg dirstore.Config) Check {
	return checkFree("store", cfg.Dir, cfg.MinFree, "less than cache.store.min_free: free space or lower it", storeTodo)
}

// checkFree writes and removes a file in a directory and reports the free space. short is the advice if it is less than
// least; todo is the advice for all other failures.
func checkFree(name, dir string, least int64, short, todo string) Check {
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
