package e2e

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// s3 is a real S3 server (versitygw on a folder) behind a proxy that a test can make fail.
type s3 struct {
	dir   string // the bucket's folder: objects are files
	proxy *httptestProxy
}

// httptestProxy forwards requests unless fault is set.
type httptestProxy struct {
	url   string
	pass  http.Handler
	fault atomic.Pointer[http.HandlerFunc]
	slow  atomic.Int64 // the longest extra delay of a response, in nanoseconds
	puts  atomic.Int64
	gets  atomic.Int64
}

const bucket = "variants"

// startS3 starts the server, or skips the test if it is not installed.
func startS3(t *testing.T, flags ...string) *s3 {
	t.Helper()
	dir, addr := t.TempDir(), freePort(t)
	startGateway(t, addr, dir, flags...)
	return &s3{dir: filepath.Join(dir, bucket), proxy: startProxy(t, "http://"+addr)}
}

// startGateway starts the server on a folder, or skips the test if it is not installed. It creates the folder's bucket.
func startGateway(t *testing.T, addr, dir string, flags ...string) {
	t.Helper()
	program := os.Getenv("GOLDCREST_VERSITYGW")
	if program == "" {
		program, _ = exec.LookPath("versitygw")
	}
	if _, err := os.Stat(program); err != nil {
		t.Skip("versitygw is not installed (make test installs it; or set GOLDCREST_VERSITYGW)")
	}
	if err := os.Mkdir(filepath.Join(dir, bucket), 0o700); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program, append(flags, "--port", addr, "posix", dir)...)
	cmd.Env = append(os.Environ(), "ROOT_ACCESS_KEY=test-access", "ROOT_SECRET_KEY=test-secret-key")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	eventually(t, "the S3 server answers", func() bool {
		c, err := net.Dial("tcp", addr)
		if err == nil {
			c.Close()
		}
		return err == nil
	})
}

// portsGiven are the addresses that freePort has returned: the programs of parallel tests open theirs later.
var portsGiven sync.Map

// freePort finds a free port below the ephemeral range: an outgoing connection could take a port of that range before
// the server does.
func freePort(t *testing.T) string {
	t.Helper()
	for range 100 {
		addr := fmt.Sprintf("127.0.0.1:%d", 15000+rand.N(15000))
		if _, taken := portsGiven.LoadOrStore(addr, true); taken {
			continue
		}
		if l, err := net.Listen("tcp", addr); err == nil {
			l.Close()
			return addr
		}
	}
	t.Fatal("no free port")
	return ""
}

func startProxy(t *testing.T, target string) *httptestProxy {
	t.Helper()
	u, err := url.Parse(target)
	if err != nil {
		t.Fatal(err)
	}
	p := &httptestProxy{pass: &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(u)
		r.Out.Host = r.In.Host // The signature covers it.
	}}}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p.url = "http://" + l.Addr().String()
	srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.Method {
		case http.MethodPut:
			p.puts.Add(1)
		case http.MethodGet:
			p.gets.Add(1)
		}
		if d := p.slow.Load(); d > 0 {
			time.Sleep(time.Duration(rand.N(d)))
		}
		if f := p.fault.Load(); f != nil {
			(*f)(w, r)
			return
		}
		p.pass.ServeHTTP(w, r)
	})}
	go srv.Serve(l)
	t.Cleanup(func() { srv.Close() })
	return p
}

// fail passes every request to h; nil ends the fault.
func (p *httptestProxy) fail(h http.HandlerFunc) {
	if h == nil {
		p.fault.Store(nil)
		return
	}
	p.fault.Store(&h)
}

// delayWrites holds writes and closes their connections, so that their callers give up. land sends them to the bucket,
// and lets everything else through.
func (p *httptestProxy) delayWrites(t *testing.T) (land func()) {
	var mu sync.Mutex
	var taken []*http.Request
	p.fail(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodPut {
			p.pass.ServeHTTP(w, r)
			return
		}
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		late := r.Clone(context.WithoutCancel(r.Context()))
		late.Body = io.NopCloser(bytes.NewReader(body))
		mu.Lock()
		taken = append(taken, late)
		mu.Unlock()
		if c, _, err := w.(http.Hijacker).Hijack(); err == nil {
			c.Close()
		}
	})
	return func() {
		p.fail(nil)
		mu.Lock()
		defer mu.Unlock()
		if len(taken) == 0 {
			t.Error("no write was on its way")
		}
		for _, late := range taken {
			w := httptest.NewRecorder()
			p.pass.ServeHTTP(w, late)
			if w.Code != 200 {
				t.Errorf("a late write: %d %s", w.Code, w.Body)
			}
		}
	}
}

// env is the configuration of a server that uses the bucket.
func (s *s3) env() []string {
	return []string{
		"AWS_ACCESS_KEY_ID=test-access", "AWS_SECRET_ACCESS_KEY=test-secret-key",
		"GOLDCREST_CACHE_STORE_S3_BUCKET=" + bucket, "GOLDCREST_CACHE_STORE_S3_ENDPOINT=" + s.proxy.url,
		"GOLDCREST_CACHE_STORE_S3_REGION=us-east-1", "GOLDCREST_CACHE_STORE_S3_PATH_STYLE=true",
	}
}

// objects lists the stored variants as files.
func (s *s3) objects(t *testing.T) (files []string) {
	t.Helper()
	filepath.WalkDir(filepath.Join(s.dir, "v1"), func(path string, d os.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			files = append(files, path)
		}
		return nil
	})
	return files
}

// The bucket is the shared tier: one instance finds what another has made, with the same bytes.
func TestS3SharedByInstances(t *testing.T) {
	corpus(t)
	b, o := startS3(t), startOrigin(t)
	path := signed("rs:fit:640:0/f:webp", o.URL+"/photos/product-saw.jpg")
	one, two := start(t, b.env()...), start(t, b.env()...)
	first := one.get(path)
	first.want(t, "Cache-Status", "goldcrest; fwd=miss")
	eventually(t, "the object is in the bucket", func() bool { return len(b.objects(t)) == 1 })
	second := two.get(path)
	second.want(t, "Cache-Status", "goldcrest; hit; detail=store")
	if !bytes.Equal(first.body, second.body) || first.Header.Get("ETag") != second.Header.Get("ETag") {
		t.Error("two instances gave different bytes")
	}
	two.get(path).want(t, "Cache-Status", "goldcrest; hit; detail=memory")
	if got := o.count("/photos/product-saw.jpg"); got != 1 {
		t.Errorf("got %d fetches, want 1", got)
	}
}

// A failing store causes no error for viewers and takes no more than the look-up timeout. It is used again when it
// recovers.
func TestFault13StoreFails(t *testing.T) {
	corpus(t)
	b, o := startS3(t), startOrigin(t)
	s := start(t, b.env()...)
	hang := func(w http.ResponseWriter, r *http.Request) {
		select {
		case <-r.Context().Done():
		case <-time.After(20 * time.Second):
		}
	}
	reset := func(w http.ResponseWriter, _ *http.Request) {
		c, _, err := w.(http.Hijacker).Hijack()
		if err == nil {
			c.(*net.TCPConn).SetLinger(0)
			c.Close()
		}
	}
	status := func(code int) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) }
	}
	width := 100
	for name, fault := range map[string]http.HandlerFunc{"500": status(500), "503": status(503), "403": status(403), "reset": reset, "hang": hang} {
		b.proxy.fail(fault)
		for range 4 {
			width++
			begin := time.Now()
			a := s.get(signed(fmt.Sprintf("w:%d/f:jpg", width), o.URL+"/photos/groceries.jpg"))
			if a.StatusCode != 200 {
				t.Errorf("%s: got %d %s, want 200", name, a.StatusCode, a.Header.Get("X-Error"))
			}
			if took := time.Since(begin); took > 3*time.Second {
				t.Errorf("%s: took %s", name, took)
			}
		}
	}
	b.proxy.fail(nil)
	before := len(b.objects(t))
	eventually(t, "the healed store is used again", func() bool {
		width++
		s.get(signed(fmt.Sprintf("w:%d/f:jpg", width), o.URL+"/photos/groceries.jpg"))
		return len(b.objects(t)) > before
	})
}

// A bucket that is down at the start does not keep the server from serving.
func TestFault13StoreDownAtStart(t *testing.T) {
	corpus(t)
	b, o := startS3(t), startOrigin(t)
	b.proxy.fail(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500) })
	s := start(t, b.env()...)
	if a := s.get(signed("w:100/f:jpg", o.URL+"/photos/groceries.jpg")); a.StatusCode != 200 {
		t.Errorf("got %d, want 200", a.StatusCode)
	}
}

// Truncated, corrupted or swapped objects are never served; they are made again and replaced.
func TestFault14LyingStore(t *testing.T) {
	corpus(t)
	b, o, dir := startS3(t), startOrigin(t), t.TempDir()
	source := o.URL + "/photos/groceries.jpg"
	path := func(i int) string { return signed(fmt.Sprintf("rs:force:%d:%d/f:jpg", 40+i%32, 40+i/32), source) }
	const n = 1000
	good := make([][]byte, n)
	s := startIn(t, dir, b.env()...)
	for i := range n {
		good[i] = s.get(path(i)).body
	}
	eventually(t, "all objects are stored", func() bool { return len(b.objects(t)) == n })
	s.stop()
	files := b.objects(t)
	for i, file := range files {
		body, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		switch i % 3 {
		case 0:
			body = body[:len(body)/2]
		case 1:
			body[len(body)/2] ^= 1
		case 2:
			if body, err = os.ReadFile(files[(i+1)%n]); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.WriteFile(file, body, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for round, want := range []string{"goldcrest; fwd=miss", "goldcrest; hit; detail=store"} {
		s := startIn(t, dir, b.env()...)
		for i := range n {
			a := s.get(path(i))
			if !bytes.Equal(a.body, good[i]) {
				t.Fatalf("round %d: variant %d came in other bytes", round, i)
			}
			a.want(t, "Cache-Status", want)
		}
		s.stop()
	}
}
