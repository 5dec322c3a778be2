package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/goldcrest/goldcrest/client"
)

// The signing pair of every server here; it is used nowhere else.
const (
	key  = "6265656e20746865726520646f6e6520746861742062656e6368206b65792121"
	salt = "73616c74"
)

// rigConfig is the default configuration, except for its addresses, its data folder and its loopback origin. The
// arguments: public and private address, data folder, key, salt, bytes of the memory tier, the side of masters.
const rigConfig = `
server: {listen: %q, admin: %q, drain: 1s}
signing: {keys: [{key: %s, salt: %s}]}
api: {tokens: [{name: bench, token: bench-token-0123456789, scopes: [prewarm]}]}
origin: {allow_private: ["127.0.0.0/8"], per_host: 64}
cache: {memory: %d, masters: %d, store: {dir: %s/store, min_free: 1MiB}}
prewarm: {queue: {dir: %[7]s/queue}}
`

// memoryTier is the default size of the memory tier, in bytes.
const memoryTier = 256 << 20

// process is a running program.
type process struct {
	*exec.Cmd
	done chan struct{} // closed when it has ended
}

func start(name string, args ...string) (*process, error) { return startWith(nil, name, args...) }

// startWith is start with more environment variables.
func startWith(env []string, name string, args ...string) (*process, error) {
	p := &process{exec.Command(name, args...), make(chan struct{})}
	p.Env = append(os.Environ(), env...)
	if err := p.Start(); err != nil {
		return nil, err
	}
	go func() {
		_ = p.Wait() // Usually ended by a signal, which is no error.
		close(p.done)
	}()
	return p, nil
}

// stop ends the process gracefully, and kills it if that takes long.
func (p *process) stop() {
	_ = p.Process.Signal(syscall.SIGTERM) // It may have ended already.
	select {
	case <-p.done:
	case <-time.After(10 * time.Second):
		_ = p.Process.Kill()
		<-p.done
	}
}

// token is the token in rigConfig.
const token = "bench-token-0123456789"

// rig is a server under test.
type rig struct {
	*process
	dir    string   // its data and configuration
	addr   string   // its public listener
	admin  string   // its private listener
	env    []string // its environment, besides the configuration
	warmed string   // options of the pictures that warm requests; empty = hitOptions
	signer *client.Signer
}

// newRig prepares a server on an empty data folder.
func (b *bench) newRig(memory int64) (*rig, error) {
	r := &rig{}
	var err error
	if r.dir, err = os.MkdirTemp(b.work, "data-"); err != nil {
		return nil, err
	}
	if r.addr, r.admin, err = freeAddrs(); err != nil {
		return nil, err
	}
	if err := os.WriteFile(r.config(), fmt.Appendf(nil, rigConfig, r.addr, r.admin, key, salt, memory, b.masters, r.dir), 0o600); err != nil {
		return nil, err
	}
	r.signer, err = client.New(client.Config{BaseURL: "http://" + r.addr, Key: key, Salt: salt})
	return r, err
}

func (r *rig) config() string { return filepath.Join(r.dir, "config.yaml") }

// launch starts the program under test. Its log, at the default level, goes to /dev/null.
func (b *bench) launch(r *rig) (err error) {
	r.process, err = startWith(r.env, b.binary, "serve", "-config", r.config())
	return err
}

// startServer starts the program under test on an empty data folder and waits until it is ready. env are GOLDCREST_
// settings in addition to the configuration.
func (b *bench) startServer(ctx context.Context, memory int64, env ...string) (*rig, error) {
	r, err := b.newRig(memory)
	if err != nil {
		return nil, err
	}
	r.env = env
	if err := b.launch(r); err != nil {
		return nil, err
	}
	if err := r.awaitReady(ctx); err != nil {
		r.stop()
		doctor, _ := exec.CommandContext(ctx, b.binary, "doctor", "-config", r.config()).CombinedOutput() // Its output has the cause.
		return nil, fmt.Errorf("%w\n%s", err, doctor)
	}
	return r, nil
}

func (r *rig) awaitReady(ctx context.Context) error {
	return awaitReady(ctx, r.process, "http://"+r.admin+"/healthz")
}

// freeAddrs returns two free loopback addresses.
func freeAddrs() (a, b string, err error) {
	first, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", "", err
	}
	defer first.Close()
	second, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", "", err
	}
	defer second.Close()
	return first.Addr().String(), second.Addr().String(), nil
}

// awaitReady waits until url answers 200.
func awaitReady(ctx context.Context, p *process, url string) error {
	return p.await(ctx, func() bool {
		res, err := http.Get(url)
		if err != nil {
			return false
		}
		_ = res.Body.Close()
		return res.StatusCode == http.StatusOK
	})
}

// await polls until ready is true. It returns an error if the process ends first, or takes too long.
func (p *process) await(ctx context.Context, ready func() bool) error {
	for late := time.After(20 * time.Second); ; {
		if ready() {
			return nil
		}
		select {
		case <-p.done:
			return fmt.Errorf("%s ended before it was ready", filepath.Base(p.Path))
		case <-late:
			return fmt.Errorf("%s was not ready in 20 s", filepath.Base(p.Path))
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// path is the signed path of a variant.
func (r *rig) path(source, options string) (string, error) {
	u, err := r.signer.URL(source, options, 0, 0)
	return strings.TrimPrefix(u, "http://"+r.addr), err
}

// get requests a signed path and returns the body and its type.
func (r *rig) get(ctx context.Context, path, accept string) (body []byte, contentType string, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+r.addr+path, nil)
	if err != nil {
		return nil, "", err
	}
	req.Header.Set("Accept", accept)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, "", err
	}
	defer res.Body.Close()
	if body, err = io.ReadAll(res.Body); err != nil {
		return nil, "", err
	}
	if res.StatusCode != http.StatusOK {
		return nil, "", fmt.Errorf("%s: %s: %.300s", path, res.Status, body)
	}
	return body, res.Header.Get("Content-Type"), nil
}

// command runs a program in dir; an error contains its output.
func command(ctx context.Context, dir, name string, args ...string) error {
	c := exec.CommandContext(ctx, name, args...)
	c.Dir = dir
	if out, err := c.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", name, err, out)
	}
	return nil
}

// serveOrigin serves originals from memory on a loopback port. Any path that ends in /NAME is that original, so each
// request can have a different source. It returns its address and a function that stops it.
func serveOrigin(originals map[string][]byte) (base string, stop func(), err error) {
	return serveSlowOrigin(originals, 0)
}

// serveSlowOrigin is serveOrigin with a pause before each response.
func serveSlowOrigin(originals map[string][]byte, pause time.Duration) (base string, stop func(), err error) {
	return serveWatchedOrigin(originals, pause, func(*http.Request) {})
}

// serveWatchedOrigin is serveSlowOrigin that calls tell with each request, from several goroutines.
func serveWatchedOrigin(originals map[string][]byte, pause time.Duration, tell func(*http.Request)) (base string, stop func(), err error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, err
	}
	srv := &http.Server{ReadHeaderTimeout: 10 * time.Second, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, ok := originals[r.URL.Path[strings.LastIndexByte(r.URL.Path, '/')+1:]]
		if !ok {
			http.NotFound(w, r)
			return
		}
		tell(r)
		select {
		case <-time.After(pause):
		case <-r.Context().Done():
			return
		}
		w.Header().Set("Content-Type", "image/jpeg")
		w.Header().Set("Content-Length", strconv.Itoa(len(body)))
		_, _ = w.Write(body) // A client that left is no fault of the origin.
	})}
	go srv.Serve(l) //nolint:errcheck // ends with Close
	return "http://" + l.Addr().String(), func() { _ = srv.Close() }, nil
}
