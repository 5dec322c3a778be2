package webhook

import (
	"context"
	"crypto/x509"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/goldcrest/goldcrest/fault"
	"github.com/goldcrest/goldcrest/origin"
)

// guardedClient is the client as the composition root builds it; it trusts the certificates of s.
func guardedClient(t *testing.T, s *httptest.Server, private ...string) *http.Client {
	t.Helper()
	cfg := origin.Default()
	cfg.AllowPrivate = private
	roots := x509.NewCertPool()
	roots.AddCert(s.Certificate())
	c, err := origin.New(cfg, origin.Hooks{RootCAs: roots})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c.Guarded()
}

// receiver is a TLS receiver that counts callbacks.
func receiver(t *testing.T, handler http.HandlerFunc) (s *httptest.Server, hits *atomic.Int64) {
	t.Helper()
	hits = new(atomic.Int64)
	s = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		hits.Add(1)
		handler(w, r)
	}))
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.StartTLS()
	t.Cleanup(s.Close)
	return s, hits
}

// TestFault09CallbackGuard checks that an allowed name cannot lead to an address that the guard refuses.
func TestFault09CallbackGuard(t *testing.T) {
	s, hits := receiver(t, func(http.ResponseWriter, *http.Request) {})
	port := s.URL[strings.LastIndex(s.URL, ":"):]
	w := newHooks(t, guardedClient(t, s), "http://*")
	for _, target := range []string{
		s.URL, "https://localhost" + port, "https://[::1]" + port, "https://[::ffff:127.0.0.1]" + port, "https://0.0.0.0" + port, "http://127.0.0.1" + port,
		"http://169.254.169.254/latest/meta-data/", "https://[fd00:ec2::254]/", "https://10.0.0.1/",
		"https://100.64.0.1/",
	} {
		err := w.Tell(t.Context(), eventTo(target))
		wantFault(t, target, err, fault.AddressBlocked)
		if fault.KindOf(err).Retryable() {
			t.Errorf("%s is tried again", target)
		}
	}
	if n := hits.Load(); n != 0 {
		t.Errorf("%d callbacks came through", n)
	}
}

func TestCallbackThroughGuard(t *testing.T) {
	trap, trapped := receiver(t, func(http.ResponseWriter, *http.Request) {})
	s, hits := receiver(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/away" {
			http.Redirect(w, r, trap.URL, http.StatusPermanentRedirect)
		}
	})
	w := newHooks(t, guardedClient(t, s, "127.0.0.0/8"), "127.0.0.1")
	if err := w.Tell(t.Context(), eventTo(s.URL+"/hooks")); err != nil {
		t.Fatal(err)
	}
	wantFault(t, "redirect", w.Tell(t.Context(), eventTo(s.URL+"/away")), fault.SourceError)
	if hits.Load() != 2 || trapped.Load() != 0 {
		t.Errorf("%d callbacks, %d at the redirect's target", hits.Load(), trapped.Load())
	}
	named := newHooks(t, guardedClient(t, s, "127.0.0.0/8"), "localhost") // the certificate is not for localhost
	wantFault(t, "certificate", named.Tell(t.Context(), eventTo(strings.Replace(s.URL, "127.0.0.1", "localhost", 1))), fault.TLSFailed)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	wantFault(t, "canceled", w.Tell(ctx, eventTo(s.URL)), fault.Canceled)
}
