// Package rig is what the parts of bench share: the servers under test and their origins, load, the cost of processes,
// and the table of results.
package rig

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

// MemoryTier is the default size of the memory tier, in bytes.
const MemoryTier = 256 << 20

// Proc is a running program.
type Proc struct {
	*exec.Cmd
	Done chan struct{} // closed when it has ended
}

// Start starts a program.
func Start(name string, args ...string) (*Proc, error) { return StartWith(nil, name, args...) }

// StartWith is start with more environment variables.
func StartWith(env []string, name string, args ...string) (*Proc, error) {
	p := &Proc{exec.Command(name, args...), make(chan struct{})}
	p.Env = append(os.Environ(), env...)
	if err := p.Start(); err != nil {
		return nil, err
	}
	go func() {
		_ = p.Wait() // Usually ended by a signal, which is no error.
		close(p.Done)
	}()
	return p, nil
}

// Stop ends the process gracefully, and kills it if that takes long.
func (p *Proc) Stop() {
	_ = p.Process.Signal(syscall.SIGTERM) // It may have ended already.
	select {
	case <-p.Done:
	case <-time.After(10 * time.Second):
		_ = p.Process.Kill()
		<-p.Done
	}
}

// Token is the Token in rigConfig.
const Token = "bench-token-0123456789"

// Server is a server under test.
type Server struct {
	*Proc
	Dir    string   // its data and configuration
	Addr   string   // its public listener
	Admin  string   // its private listener
	env    []string // its environment, besides the configuration
	Warmed string   // options of the pictures that warm requests; empty = hitOptions
	signer *client.Signer
}

// NewRig prepares a server on an empty data folder.
func (b *Bench) NewRig(memory int64) (*Server, error) {
	r := &Server{}
	var err error
	if r.Dir, err = os.MkdirTemp(b.Work, "data-"); err != nil {
		return nil, err
	}
	if r.Addr, r.Admin, err = FreeAddrs(); err != nil {
		return nil, err
	}
	if err := os.WriteFile(r.config(), fmt.Appendf(nil, rigConfig, r.Addr, r.Admin, key, salt, memory, b.Masters, r.Dir), 0o600); err != nil {
		return nil, err
	}
	r.signer, err = client.New(client.Config{BaseURL: "http://" + r.Addr, Key: key, Salt: salt})
	return r, err
}

func (r *Server) config() string { return filepath.Join(r.Dir, "config.yaml") }

// Launch starts the program under test. Its log, at the default level, goes to /dev/null.
func (b *Bench) Launch(r *Server) (err error) {
	r.Proc, err = StartWith(r.env, b.Binary, "serve", "-config", r.config())
	return err
}

// StartServer starts the program under test on an empty data folder and waits until it is ready. env are GOLDCREST_
// settings in addition to the configuration.
func (b *Bench) StartServer(ctx context.Context, memory int64, env ...string) (*Server, error) {
	r, err := b.NewRig(memory)
	if err != nil {
		return nil, err
	}
	r.env = env
	if err := b.Launch(r); err != nil {
		return nil, err
	}
	if err := r.AwaitReady(ctx); err != nil {
		r.Stop()
		doctor, _ := exec.CommandContext(ctx, b.Binary, "doctor", "-config", r.config()).CombinedOutput() // Its output has the cause.
		return nil, fmt.Errorf("%w\n%s", err, doctor)
	}
	return r, nil
}

// AwaitReady waits until the server is ready.
func (r *Server) AwaitReady(ctx context.Context) error {
	return AwaitReady(ctx, r.Proc, "http://"+r.Admin+"/healthz")
}

// FreeAddrs returns two free loopback addresses.
func FreeAddrs() (a, b string, err error) {
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

// AwaitReady waits until url answers 200.
func AwaitReady(ctx context.Context, p *Proc, url string) error {
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
func (p *Proc) await(ctx context.Context, ready func() bool) error {
	for late := time.After(20 * time.Second); ; {
		if ready() {
			return nil
		}
		select {
		case <-p.Done:
			return fmt.Errorf("%s ended before it was ready", filepath.Base(p.Path))
		case <-late:
			return fmt.Errorf("%s was not ready in 20 s", filepath.Base(p.Path))
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// Path is the signed Path of a variant.
func (r *Server) Path(source, options string) (string, error) {
	u, err := r.signer.URL(source, options, 0, 0)
	return strings.TrimPrefix(u, "http://"+r.Addr), err
}

// Get requests a signed path and returns the body and its type.
func (r *Server) Get(ctx context.Context, path, accept string) (body []byte, contentType string, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+r.Addr+path, nil)
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

// Command runs a program in dir; an error contains its output.
func Command(ctx context.Context, dir, name string, args ...string) error {
	c := exec.CommandContext(ctx, name, args...)
	c.Dir = dir
	if out, err := c.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", name, err, out)
	}
	return nil
}

// ServeOrigin serves originals from memory on a loopback port. Any path that ends in /NAME is that original, so each
// request can have a different source. It returns its address and a function that stops it.
func ServeOrigin(originals map[string][]byte) (base string, stop func(), err error) {
	return ServeSlowOrigin(originals, 0)
}

// ServeSlowOrigin is serveOrigin with a pause before each response.
func ServeSlowOrigin(originals map[string][]byte, pause time.Duration) (base string, stop func(), err error) {
	return ServeWatchedOrigin(originals, pause, func(*http.Request) {})
}

// ServeWatchedOrigin is serveSlowOrigin that calls tell with each request, from several goroutines.
func ServeWatchedOrigin(originals map[string][]byte, pause time.Duration, tell func(*http.Request)) (base string, stop func(), err error) {
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

// Rest waits and reports whether ctx is still valid.
func Rest(ctx context.Context, d time.Duration) bool {
	select {
	case <-time.After(d):
		return ctx.Err() == nil
	case <-ctx.Done():
		return false
	}
}
