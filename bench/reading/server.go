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
	"strings"
	"syscall"
	"time"

	"github.com/goldcrest/goldcrest/bench/reading/pages"
	"github.com/goldcrest/goldcrest/client"
)

const (
	token = "reading-token-0123456789"
	key   = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
)

// serveOrigin serves the pages on a loopback port. Each has several addresses, so that a server takes it for several.
func serveOrigin(all []pages.Page) (base string, stop func(), err error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, err
	}
	bodies := map[string][]byte{}
	for _, p := range all {
		bodies[p.Name] = p.Body
	}
	srv := &http.Server{ReadHeaderTimeout: 10 * time.Second}
	srv.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, ok := bodies[r.URL.Path[strings.LastIndexByte(r.URL.Path, '/')+1:]]
		if !ok {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("Content-Type", http.DetectContentType(body))
		_, _ = w.Write(body) // A client that left is no fault of the origin.
	})
	go srv.Serve(l) //nolint:errcheck // ends with Close
	return "http://" + l.Addr().String(), func() { _ = srv.Close() }, nil
}

// server is one build that runs.
type server struct {
	signer *client.Signer
	api    *client.API
	stop   func()
}

// startServer starts a build on an empty data folder below dir, and waits until it is ready.
func startServer(ctx context.Context, binary, dir string) (*server, error) {
	dir, err := os.MkdirTemp(dir, "data-")
	if err != nil {
		return nil, err
	}
	public, err := freeAddr()
	if err != nil {
		return nil, err
	}
	admin, err := freeAddr()
	if err != nil {
		return nil, err
	}
	text := fmt.Sprintf(`server: {listen: %q, admin: %q, drain: 1s}
signing: {keys: [{key: %s, salt: %[3]s}]}
api: {tokens: [{name: bench, token: %s, scopes: [prewarm]}]}
origin: {allow_private: ["127.0.0.0/8"], per_host: 64}
cache: {store: {dir: %[5]s/store, min_free: 1MiB}}
prewarm: {queue: {dir: %[5]s/queue}}
`, public, admin, key, token, dir)
	file := filepath.Join(dir, "config.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		return nil, err
	}
	s := &server{}
	if s.signer, err = client.New(client.Config{BaseURL: "http://" + public, Key: key, Salt: key}); err != nil {
		return nil, err
	}
	if s.api, err = client.NewAPI(client.APIConfig{URL: "http://" + admin, Token: token}); err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, binary, "serve", "-config", file)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.Env = append(os.Environ(), "GOLDCREST_LOG_LEVEL=error")
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	s.stop = func() {
		_ = cmd.Process.Signal(syscall.SIGTERM) // It may have ended already.
		_ = cmd.Wait()
	}
	if err := awaitReady(ctx, "http://"+admin+"/healthz"); err != nil {
		s.stop()
		return nil, err
	}
	return s, nil
}

func freeAddr() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

// awaitReady waits up to a minute until url answers 200.
func awaitReady(ctx context.Context, url string) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for {
		_, err := get(ctx, url, "*/*")
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(50 * time.Millisecond):
		}
	}
}

func get(ctx context.Context, url, accept string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", accept)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err == nil && res.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s: %.300s", url, res.Status, body)
	}
	return body, err
}

// variant requests a source.
func (s *server) variant(ctx context.Context, source, options, accept string) ([]byte, error) {
	url, err := s.signer.URL(source, options, 0, 0)
	if err != nil {
		return nil, err
	}
	return get(ctx, url, accept)
}

// prewarm makes the final variants of sources.
func (s *server) prewarm(ctx context.Context, sources, options []string) error {
	call := client.Call{URLs: sources, Return: "none"}
	for i, o := range options {
		call.Variants = append(call.Variants, client.Variant{Name: fmt.Sprint("v", i), Options: o})
	}
	a, err := s.api.Prewarm(ctx, call)
	if err != nil {
		return err
	}
	j, err := s.api.Wait(ctx, a.Job, nil)
	if err == nil && (j.Counts.Made == 0 || j.Counts.Made+j.Counts.Present != j.Counts.Variants) {
		err = fmt.Errorf("prewarm ended %s: %+v", j.State, j.Counts)
	}
	return err
}
