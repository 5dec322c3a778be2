package rig

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/goldcrest/goldcrest/client"
)

// natsPeers is the size of the NATS cluster. Each server syncs every message.
const natsPeers = 3

const natsConfig = `
server_name: %s
listen: %q
http: %q
jetstream: {store_dir: %q, sync_interval: always}
cluster: {name: bench, listen: %q, routes: [%s]}
`

// instanceConfig is the configuration of one of several servers. The arguments: public and private address, key, salt,
// the S3 server, the NATS cluster.
const instanceConfig = `
server: {listen: %q, admin: %q, drain: 1s}
signing: {keys: [{key: %s, salt: %s}]}
api: {tokens: [{name: bench, token: bench-token-0123456789, scopes: [prewarm, purge]}]}
origin: {allow_private: ["127.0.0.0/8"], per_host: 64}
cache: {memory: 64MiB, store: {s3: {bucket: variants, region: us-east-1, endpoint: %q, path_style: true}}}
prewarm:
  queue: {nats: %q}
`

const (
	s3Bucket = "variants"
	s3Access = "bench-access"
	s3Secret = "bench-secret-key"
)

// Cluster holds what the instances share: a real S3 server and a real NATS Cluster on this machine.
type Cluster struct {
	dir      string
	S3, bus  string   // the addresses for the instances
	Env      []string // more variables of instances that are started from now on
	store    *Proc
	Nats     []*Proc
	Monitors []string // the addresses of the NATS servers' health endpoints
}

// program finds an executable named by a variable, or in the PATH.
func program(variable, name string) (string, error) {
	if p := os.Getenv(variable); p != "" {
		if _, err := os.Stat(p); err == nil {
			return p, nil
		}
	}
	p, err := exec.LookPath(name)
	if err != nil {
		return "", Skipped("%s is not installed; make bench installs it, and %s may name it", name, variable)
	}
	return p, nil
}

// StartCluster starts both; they run until stop.
func (b *Bench) StartCluster(ctx context.Context) (*Cluster, error) {
	gateway, err := program("GOLDCREST_VERSITYGW", "versitygw")
	if err != nil {
		return nil, err
	}
	peer, err := program("GOLDCREST_NATS_SERVER", "nats-server")
	if err != nil {
		return nil, err
	}
	c := &Cluster{}
	if c.dir, err = os.MkdirTemp(b.Work, "cluster-"); err != nil {
		return nil, err
	}
	if err = c.startStore(ctx, gateway); err == nil {
		err = c.startNATS(ctx, peer)
	}
	if err != nil {
		c.Stop()
		return nil, err
	}
	return c, nil
}

func (c *Cluster) startStore(ctx context.Context, program string) error {
	folder := filepath.Join(c.dir, "s3")
	if err := os.MkdirAll(filepath.Join(folder, s3Bucket), 0o700); err != nil {
		return err
	}
	addr, _, err := FreeAddrs()
	if err != nil {
		return err
	}
	env := []string{"ROOT_ACCESS_KEY=" + s3Access, "ROOT_SECRET_KEY=" + s3Secret}
	if c.store, err = StartWith(env, program, "--port", addr, "--quiet", "--keep-alive", "posix", folder); err != nil {
		return err
	}
	c.S3 = "http://" + addr
	return c.store.awaitPort(ctx, addr)
}

func (c *Cluster) startNATS(ctx context.Context, program string) error {
	var clients, monitors, routes, urls []string
	for range natsPeers {
		client, monitor, err := FreeAddrs()
		if err != nil {
			return err
		}
		route, _, err := FreeAddrs()
		if err != nil {
			return err
		}
		clients, monitors, routes = append(clients, client), append(monitors, monitor), append(routes, route)
		urls = append(urls, "nats://"+client)
	}
	c.bus, c.Monitors = strings.Join(urls, ","), monitors
	for i := range natsPeers {
		name := fmt.Sprint("peer-", i)
		file := filepath.Join(c.dir, name+".conf")
		text := fmt.Appendf(nil, natsConfig, name, clients[i], monitors[i], filepath.Join(c.dir, name), routes[i], `"nats://`+strings.Join(routes, `", "nats://`)+`"`)
		if err := os.WriteFile(file, text, 0o600); err != nil {
			return err
		}
		p, err := Start(program, "-c", file, "-l", filepath.Join(c.dir, name+".log"))
		if err != nil {
			return err
		}
		c.Nats = append(c.Nats, p)
	}
	for i, p := range c.Nats {
		if err := AwaitReady(ctx, p, "http://"+monitors[i]+"/healthz"); err != nil {
			return err
		}
	}
	return nil
}

// Stop ends all processes of the cluster.
func (c *Cluster) Stop() {
	for _, p := range append(c.Nats, c.store) {
		if p != nil {
			p.Stop()
		}
	}
}

// Cpu is the processor time used by the shared servers: the store, and NATS.
func (c *Cluster) Cpu() (store, nats time.Duration) {
	for _, p := range c.Nats {
		nats += FamilyCPU(p.Process.Pid)
	}
	return FamilyCPU(c.store.Process.Pid), nats
}

// awaitPort waits until something listens at an address.
func (p *Proc) awaitPort(ctx context.Context, addr string) error {
	return p.await(ctx, func() bool {
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			return false
		}
		_ = conn.Close()
		return true
	})
}

// StartInstance starts one of several servers on its own core and waits until it is ready. more is appended to its
// configuration.
func (b *Bench) StartInstance(ctx context.Context, c *Cluster, core int, more ...string) (*Server, error) {
	r := &Server{}
	var err error
	if r.Dir, err = os.MkdirTemp(b.Work, "instance-"); err != nil {
		return nil, err
	}
	if r.Addr, r.Admin, err = FreeAddrs(); err != nil {
		return nil, err
	}
	text := fmt.Sprintf(instanceConfig, r.Addr, r.Admin, key, salt, c.S3, c.bus) + strings.Join(more, "")
	if err := os.WriteFile(r.config(), []byte(text), 0o600); err != nil {
		return nil, err
	}
	if r.signer, err = client.New(client.Config{BaseURL: "http://" + r.Addr, Key: key, Salt: salt}); err != nil {
		return nil, err
	}
	env := append(slices.Clone(c.Env), "AWS_ACCESS_KEY_ID="+s3Access, "AWS_SECRET_ACCESS_KEY="+s3Secret)
	// Pinned from the start, so that it counts one core and starts one worker.
	if r.Proc, err = StartWith(env, "taskset", "-c", fmt.Sprint(core), b.Binary, "serve", "-config", r.config()); err != nil {
		return nil, err
	}
	if err := r.AwaitReady(ctx); err != nil {
		r.Stop()
		return nil, err
	}
	return r, nil
}
