package server

import (
	"context"
	"errors"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/goldcrest/goldcrest/pipeline"
	"github.com/goldcrest/goldcrest/server/access"
	"github.com/goldcrest/goldcrest/variant"
)

// fetch is one request on a connection of its own; it returns the status, 0 when there was no answer.
func fetch(url string) (int, http.Header) {
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Get(url)
	if err != nil {
		return 0, nil
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		return 0, nil
	}
	return resp.StatusCode, resp.Header
}

// TestFault23GracefulStop holds one request while the server is told to stop: readiness goes first, new requests are
// still answered, the held one ends well, and only then Serve returns.
func TestFault23GracefulStop(t *testing.T) {
	f := newFixture(t, func(c *Config, _ *access.Rules) {
		c.Listen, c.Admin, c.Drain, c.Deadline = "127.0.0.1:0", "127.0.0.1:0", 10*time.Second, time.Second
	})
	const slow = "http://photos.example/slow.jpg"
	began, release := make(chan struct{}), make(chan struct{})
	f.images.onGet = func(_ context.Context, ref variant.Ref) (pipeline.Answer, error) {
		if ref.Source == slow {
			close(began)
			<-release
		}
		return pipeline.Answer{Entry: testEntry(ref), Outcome: pipeline.Miss}, nil
	}
	if err := f.Listen(); err != nil {
		t.Fatal(err)
	}
	public, private := f.Addrs()
	base, admin := "http://"+public.String(), "http://"+private.String()
	ctx, stop := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- f.Serve(ctx) }()

	slowURL, quickURL := base+f.url("", slow), base+f.url("", photo)
	held := make(chan int, 1)
	go func() {
		status, _ := fetch(slowURL)
		held <- status
	}()
	<-began
	if status, _ := fetch(base + "/health"); status != 200 {
		t.Errorf("/health before the stop: %d", status)
	}
	stop()
	for status := 200; status != 503; { // The signal takes a moment; every answer until then is a good one.
		if status, _ = fetch(base + "/health"); status != 200 && status != 503 {
			t.Fatalf("/health while stopping: %d", status)
		}
	}
	if status, _ := fetch(admin + "/readyz"); status != 503 {
		t.Errorf("/readyz while stopping: %d", status)
	}
	if status, h := fetch(quickURL); status != 200 || h.Get("ETag") != testETag {
		t.Errorf("a new request while stopping: %d", status)
	}
	select {
	case err := <-served:
		t.Fatalf("Serve returned %v with a request in flight", err)
	default:
	}
	close(release)
	if status := <-held; status != 200 {
		t.Errorf("the held request: %d", status)
	}
	if err := <-served; err != nil {
		t.Errorf("Serve: %v", err)
	}
	if status, _ := fetch(base + "/health"); status != 0 {
		t.Errorf("/health after the stop: %d", status)
	}
}

func TestStopCutsWhatOutlastsTheDrain(t *testing.T) {
	f := newFixture(t, func(c *Config, _ *access.Rules) {
		c.Listen, c.Admin, c.Drain = "127.0.0.1:0", "127.0.0.1:0", 50*time.Millisecond
	})
	began := make(chan struct{})
	f.images.onGet = func(ctx context.Context, _ variant.Ref) (pipeline.Answer, error) {
		close(began)
		<-ctx.Done()
		return pipeline.Answer{}, ctx.Err()
	}
	if err := f.Listen(); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- f.Serve(ctx) }()
	public, _ := f.Addrs()
	held := make(chan int, 1)
	url := "http://" + public.String() + f.url("", photo)
	go func() {
		status, _ := fetch(url)
		held <- status
	}()
	<-began
	stop()
	if err := <-served; err == nil {
		t.Error("Serve calls a cut request a good end")
	}
	if status := <-held; status == 200 {
		t.Errorf("the held request: %d", status)
	}
}

func TestListenNamesATakenAddress(t *testing.T) {
	first := newFixture(t, func(c *Config, _ *access.Rules) { c.Listen, c.Admin = "127.0.0.1:0", "127.0.0.1:0" })
	if err := first.Listen(); err != nil {
		t.Fatal(err)
	}
	defer first.publicCrowd.Close()
	defer first.adminCrowd.Close()
	public, _ := first.Addrs()
	second := newFixture(t, func(c *Config, _ *access.Rules) { c.Listen, c.Admin = "127.0.0.1:0", public.String() })
	if err := second.Listen(); err == nil {
		t.Error("two listeners on one address")
	}
}

func TestConfigValidate(t *testing.T) {
	if err := Default().Validate(); err != nil {
		t.Errorf("the default: %v", err)
	}
	for name, change := range map[string]func(*Config){
		"listen": func(c *Config) { c.Listen = "8080" }, "admin": func(c *Config) { c.Admin = "" }, "base_url": func(c *Config) { c.BaseURL = "img.example" },
		"base_url query": func(c *Config) { c.BaseURL = "http://h/?a" },
		"base_url port":  func(c *Config) { c.BaseURL = "http://h:65536" }, "base_url port 0": func(c *Config) { c.BaseURL = "http://h:0" },
		"base_url user": func(c *Config) { c.BaseURL = "http://u:p@h" }, "base_url port alone": func(c *Config) { c.BaseURL = "http://:80" },
		"listen port": func(c *Config) { c.Listen = ":80800" }, "admin port": func(c *Config) { c.Admin = ":none" },
		"base_url more": func(c *Config) { c.BaseURL = "ftp://h" }, "path_prefix": func(c *Config) { c.PathPrefix = "img/" }, "deadline": func(c *Config) { c.Deadline = 0 },
		"path_prefix end": func(c *Config) { c.PathPrefix = "/img/" }, "drain": func(c *Config) { c.Drain = -1 }, "max_url": func(c *Config) { c.MaxURL = 10 },
		"cors": func(c *Config) { c.CORS = []string{"shop.example"} }, "cors path": func(c *Config) { c.CORS = []string{"https://shop.example/"} },
	} {
		c := Default()
		change(&c)
		if c.Validate() == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// Every public URL that Validate takes has a host and a port, which the origin refuses as sources.
func TestPublicHost(t *testing.T) {
	for url, want := range map[string]string{
		"https://img.example.com": "img.example.com:443", "http://img.example.com/": "img.example.com:80",
		"HTTPS://img.example.com/i/": "img.example.com:443", "https://img.example.com:8443": "img.example.com:8443",
		"https://img.example.com:": "img.example.com:443", "http://[2001:db8::1]": "[2001:db8::1]:80", "http://localhost:8080": "localhost:8080",
	} {
		c := Default()
		c.BaseURL = url
		got, err := c.PublicHost()
		if err = errors.Join(err, c.Validate()); err != nil || got != want {
			t.Errorf("%s: got %q, %v; want %q", url, got, err, want)
		}
	}
}
