package origin

import (
	"context"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/goldcrest/goldcrest/fault"
)

// post sends a body through the guarded client and gives the status, or the error.
func post(t *testing.T, client *http.Client, target string) (int, error) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, target, strings.NewReader("{}"))
	if err != nil {
		t.Fatal(err)
	}
	resp, err := client.Do(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, resp.Body)
	return resp.StatusCode, nil
}

// bare is a client with no private prefix allowed.
func bare(cfg *Config) { cfg.AllowPrivate = nil }

func TestGuardedRefusesAddresses(t *testing.T) {
	base, hits := serve(t, send([]byte("inside")))
	port := base[strings.LastIndex(base, ":")+1:]
	client := newClient(t, Hooks{}, bare).Guarded()
	for _, host := range []string{
		"127.0.0.1:" + port, "localhost:" + port, "127.1:" + port, "2130706433:" + port, "0x7f000001:" + port, "0.0.0.0:" + port,
		"[::1]:" + port, "[::ffff:127.0.0.1]:" + port, "[64:ff9b::7f00:1]:" + port,
		"169.254.169.254", "[fd00:ec2::254]", "10.0.0.1", "100.64.0.1", "192.168.0.1", "[fe80::1]",
	} {
		for _, scheme := range []string{"http://", "https://"} {
			_, err := post(t, client, scheme+host+"/latest/meta-data/?token=hush")
			switch kind := fault.KindOf(err); kind {
			case fault.AddressBlocked:
			case fault.DNSFailed: // The Go resolver does not take the odd spellings for addresses at all.
				if strings.ContainsAny(host[:1], "[l") || strings.Count(host, ".") == 3 {
					t.Errorf("%s%s: %v", scheme, host, err)
				}
			default:
				t.Errorf("%s%s: fault = %q (%v)", scheme, host, kind, err)
			}
		}
	}
	if n := hits.Load(); n != 0 {
		t.Errorf("%d requests came through", n)
	}
}

// A name is judged by the address it leads to, at the moment of each connection.
func TestGuardedJudgesNamesAndReloads(t *testing.T) {
	base, hits := serve(t, send(nil))
	c := newClient(t, Hooks{}, nil)
	client := c.Guarded()
	named := strings.Replace(base, "127.0.0.1", "localhost", 1)
	if status, err := post(t, client, named); status != http.StatusOK || err != nil {
		t.Fatalf("allowed: %d, %v", status, err)
	}
	cfg := Default()
	if err := c.Reload(cfg); err != nil {
		t.Fatal(err)
	}
	_, err := post(t, client, named)
	wantKind(t, err, fault.AddressBlocked)
	if n := hits.Load(); n != 1 {
		t.Errorf("%d requests, want 1: the guard of the moment counts", n)
	}
}

func TestGuardedFollowsNoRedirect(t *testing.T) {
	var trapped atomic.Int64
	trap := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { trapped.Add(1) }))
	t.Cleanup(trap.Close)
	for _, status := range []int{301, 302, 303, 307, 308} {
		base, _ := serve(t, func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, trap.URL, status) })
		if got, err := post(t, newClient(t, Hooks{}, nil).Guarded(), base); got != status || err != nil {
			t.Errorf("%d: got %d, %v", status, got, err)
		}
	}
	if n := trapped.Load(); n != 0 {
		t.Errorf("%d redirects were followed", n)
	}
}

// The environment's proxy never applies to this machine's own addresses, so the setting itself is looked at.
func TestGuardedUsesNoProxy(t *testing.T) {
	client := newClient(t, Hooks{}, nil).Guarded()
	if client.Transport.(guarded).transport.Proxy != nil || client.Jar != nil {
		t.Error("a proxy would connect past the guard, and a cookie would follow its receiver")
	}
}

func TestGuardedTLS(t *testing.T) {
	s := httptest.NewTLSServer(http.HandlerFunc(send(nil)))
	t.Cleanup(s.Close)
	_, err := post(t, newClient(t, Hooks{}, nil).Guarded(), s.URL)
	wantKind(t, err, fault.TLSFailed)
	roots := x509.NewCertPool()
	roots.AddCert(s.Certificate())
	if status, err := post(t, newClient(t, Hooks{RootCAs: roots}, nil).Guarded(), s.URL); status != http.StatusOK || err != nil {
		t.Errorf("%d, %v", status, err)
	}
}

func TestGuardedFaults(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed := "http://" + listener.Addr().String()
	_ = listener.Close()
	client := newClient(t, Hooks{}, nil).Guarded()
	_, err = post(t, client, closed+"/?token=hush")
	wantKind(t, err, fault.ConnectFailed)
	var outer *url.Error
	if !errors.As(err, &outer) || strings.Contains(outer.Err.Error(), "hush") {
		t.Errorf("the inner error tells the URL: %v", err)
	}

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, closed, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := client.Do(req)
	if err == nil {
		_ = resp.Body.Close()
	}
	wantKind(t, err, fault.Canceled)
}
