package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
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

// cluster holds what the instances share: a real S3 server and a real NATS cluster on this machine.
type cluster struct {
	dir      string
	s3, bus  string // the addresses for the instances
	store    *process
	nats     []*process
	monitors []string // the addresses of the NATS servers' health endpoints
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
		return "", skipped("%s is not installed; make bench installs it, and %s may name it", name, variable)
	}
	return p, nil
}

// startCluster starts both; they run until stop.
func (b *bench) startCluster(ctx context.Context) (*cluster, error) {
	gateway, err := program("GOLDCREST_VERSITYGW", "versitygw")
	if err != nil {
		return nil, err
	}
	peer, err := program("GOLDCREST_NATS_SERVER", "nats-server")
	if err != nil {
		return nil, err
	}
	c := &cluster{}
	if c.dir, err = os.MkdirTemp(b.work, "cluster-"); err != nil {
		return nil, err
	}
	if err = c.startStore(ctx, gateway); err == nil {
		err = c.startNATS(ctx, peer)
	}
	if err != nil {
		c.stop()
		return nil, err
	}
	return c, nil
}

func (c *cluster) startStore(ctx context.Context, program string) error {
	folder := filepath.Join(c.dir, "s3")
	if err := os.MkdirAll(filepath.Join(folder, s3Bucket), 0o700); err != nil {
		return err
	}
	addr, _, err := freeAddrs()
	if err != nil {
		return err
	}
	env := []string{"ROOT_ACCESS_KEY=" + s3Access, "ROOT_SECRET_KEY=" + s3Secret}
	if c.store, err = startWith(env, program, "--port", addr, "--quiet", "--keep-alive", "posix", folder); err != nil {
		return err
	}
	c.s3 = "http://" + addr
	return c.store.awaitPort(ctx, addr)
}

func (c *cluster) startNATS(ctx context.Context, program string) error {
	var clients, monitors, routes, urls []string
	for range natsPeers {
		client, monitor, err := freeAddrs()
		if err != nil {
			return err
		}
		route, _, err := freeAddrs()
		if err != nil {
			return err
		}
		clients, monitors, routes = append(clients, client), append(monitors, monitor), append(routes, route)
		urls = append(urls, "nats://"+client)
	}
	c.bus, c.monitors = strings.Join(urls, ","), monitors
	for i := range natsPeers {
		name := fmt.Sprint("peer-", i)
		file := filepath.Join(c.dir, name+".conf")
		text := fmt.Appendf(nil, natsConfig, name, clients[i], monitors[i], filepath.Join(c.dir, name), routes[i], `"nats://`+strings.Join(routes, `", "nats://`)+`"`)
		if err := os.WriteFile(file, text, 0o600); err != nil {
			return err
		}
		p, err := start(program, "-c", file, "-l", filepath.Join(c.dir, name+".log"))
		if err != nil {
			return err
		}
		c.nats = append(c.nats, p)
	}
	for i, p := range c.nats {
		if err := awaitReady(ctx, p, "http://"+monitors[i]+"/healthz"); err != nil {
			return err
		}
	}
	return nil
}

func (c *cluster) stop() {
	for _, p := range append(c.nats, c.store) {
		if p != nil {
			p.stop()
		}
	}
}

// cpu is the processor time used by the shared servers: the store, and NATS.
func (c *cluster) cpu() (store, nats time.Duration) {
	for _, p := range c.nats {
		nats += familyCPU(p.Process.Pid)
	}
	return familyCPU(c.store.Process.Pid), nats
}

// awaitPort waits until something listens at an address.
func (p *process) awaitPort(ctx context.Context, addr string) error {
	return p.await(ctx, func() bool {
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			return false
		}
		_ = conn.Close()
		return true
	})
}

// startInstance starts one of several servers on its own core and waits until it is ready. more is appended to its
// configuration.
func (b *bench) startInstance(ctx context.Context, c *cluster, core int, more ...string) (*rig, error) {
	r := &rig{}
	var err error
	if r.dir, err = os.MkdirTemp(b.work, "instance-"); err != nil {
		return nil, err
	}
	if r.addr, r.admin, err = freeAddrs(); err != nil {
		return nil, err
	}
	text := fmt.Sprintf(instanceConfig, r.addr, r.admin, key, salt, c.s3, c.bus) + strings.Join(more, "")
	if err := os.WriteFile(r.config(), []byte(text), 0o600); err != nil {
		return nil, err
	}
	if r.signer, err = client.New(client.Config{BaseURL: "http://" + r.addr, Key: key, Salt: salt}); err != nil {
		return nil, err
	}
	env := []string{"AWS_ACCESS_KEY_ID=" + s3Access, "AWS_SECRET_ACCESS_KEY=" + s3Secret}
	// Pinned from the start, so that it counts one core and starts one worker.
	if r.process, err = startWith(env, "taskset", "-c", fmt.Sprint(core), b.binary, "serve", "-config", r.config()); err != nil {
		return nil, err
	}
	if err := r.awaitReady(ctx); err != nil {
		r.stop()
		return nil, err
	}
	return r, nil
}
