package e2e

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// authority signs certificates for a test.
type authority struct {
	t    *testing.T
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{t: t}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign}
	a.cert, a.key = a.make(template)
	return a
}

// make makes a certificate; without a signer it is self-signed.
func (a *authority) make(template *x509.Certificate) (*x509.Certificate, *ecdsa.PrivateKey) {
	a.t.Helper()
	own, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	parent, by := a.cert, a.key
	if parent == nil {
		parent, by = template, own
	}
	template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	der, err := x509.CreateCertificate(rand.Reader, template, parent, own.Public(), by)
	if err != nil {
		a.t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		a.t.Fatal(err)
	}
	return cert, own
}

// pair makes a certificate as PEM.
func (a *authority) pair(template *x509.Certificate) (cert, key string) {
	a.t.Helper()
	c, k := a.make(template)
	der, err := x509.MarshalECPrivateKey(k)
	if err != nil {
		a.t.Fatal(err)
	}
	return pemOf("CERTIFICATE", c.Raw), pemOf("EC PRIVATE KEY", der)
}

func pemOf(kind string, der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}

// tlsPair makes a certificate for a server or a client.
func (a *authority) tlsPair(serial int64, template x509.Certificate) tls.Certificate {
	a.t.Helper()
	template.SerialNumber = big.NewInt(serial)
	cert, key := a.pair(&template)
	pair, err := tls.X509KeyPair([]byte(cert), []byte(key))
	if err != nil {
		a.t.Fatal(err)
	}
	return pair
}

// strictShop is an origin that requires a header and a client certificate, and a host to which it redirects.
type strictShop struct {
	secret, url, otherURL string
	picture               []byte

	mu     sync.Mutex
	leaked []string // what a host received but should not have
}

// startShop starts both hosts.
func startShop(t *testing.T, ca *authority, secret string) *strictShop {
	t.Helper()
	picture, err := os.ReadFile(filepath.Join(corpus(t), "photos", "groceries.jpg"))
	if err != nil {
		t.Fatal(err)
	}
	s := &strictShop{secret: secret, picture: picture}
	pool := x509.NewCertPool()
	pool.AddCert(ca.cert)
	for name, c := range map[*string]struct {
		handler http.HandlerFunc
		tls     *tls.Config
	}{
		&s.url: {s.serve, &tls.Config{
			Certificates: []tls.Certificate{ca.tlsPair(2, x509.Certificate{IPAddresses: []net.IP{net.IPv4(127, 0, 0,
				1)}})},
			ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: pool, MinVersion: tls.VersionTLS13,
		}},
		&s.otherURL: {s.serveOther, &tls.Config{
			Certificates: []tls.Certificate{ca.tlsPair(3, x509.Certificate{DNSNames: []string{"localhost"}})},
			ClientAuth:   tls.RequestClientCert,
		}},
	} {
		server := httptest.NewUnstartedServer(c.handler)
		server.TLS = c.tls
		server.StartTLS()
		t.Cleanup(server.Close)
		*name = server.URL
	}
	s.otherURL = strings.Replace(s.otherURL, "127.0.0.1", "localhost", 1)
	return s
}

func (s *strictShop) serve(w http.ResponseWriter, r *http.Request) {
	s.watch(r, true)
	switch {
	case r.Header.Get("X-Api-Key") != s.secret || r.UserAgent() != "shop/1":
		http.Error(w, "no", http.StatusForbidden)
	case r.URL.Path == "/away.jpg":
		http.Redirect(w, r, s.otherURL+"/b.jpg", http.StatusFound)
	default:
		w.Write(s.picture)
	}
}

func (s *strictShop) serveOther(w http.ResponseWriter, r *http.Request) {
	s.watch(r, false)
	w.Write(s.picture)
}

// watch records what a host must not receive: any header of the viewer, and secrets for another host.
func (s *strictShop) watch(r *http.Request, own bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for name := range r.Header {
		if name == "X-Api-Key" && !own || name == "X-Viewer" || name == "Cookie" || name == "Authorization" {
			s.leaked = append(s.leaked, r.Host+" got "+name)
		}
	}
	if !own && (len(r.TLS.PeerCertificates) > 0 || r.UserAgent() == "shop/1") {
		s.leaked = append(s.leaked, "the other host got the certificate or the User-Agent")
	}
}

// An origin that requires a header and a client certificate gets both. Neither is sent to the host to which it
// redirects, nor is anything of the viewer's request, and the secret is never disclosed.
func TestOriginsWithManners(t *testing.T) {
	const secret = "planted-origin-key-0123456789"
	ca, dir := newAuthority(t), t.TempDir()
	o := startShop(t, ca, secret)
	mine, key := ca.pair(&x509.Certificate{
		SerialNumber: big.NewInt(4), ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	})
	authorities := secretFile(t, dir, "ca.pem", pemOf("CERTIFICATE", ca.cert.Raw))
	hosts := fmt.Sprintf("GOLDCREST_ORIGIN_HOSTS=[{match: [127.0.0.1], secret_headers: {X-Api-Key: %s}, "+
		"user_agent: shop/1, "+
		"tls: {ca_file: %[2]s, cert_file: %[3]s, key_file: %[4]s, min: '1.3'}}, "+
		"{match: [localhost], tls: {ca_file: %[2]s}}]",
		secretFile(t, dir, "secret", secret+"\n"), authorities, secretFile(t, dir, "mine.pem", mine),
		secretFile(t, dir, "mine.key", key))
	s := start(t, hosts, "GOLDCREST_ORIGIN_ALLOW_PRIVATE=[127.0.0.0/8, '::1/128']", "GOLDCREST_LOG_LEVEL=debug")
	for source, want := range map[string]string{
		o.url + "/a.jpg":    "200",
		o.url + "/away.jpg": "200",
		strings.Replace(o.url, "https://", "http://", 1) + "/a.jpg": "source_not_allowed",
	} {
		path := signed("rs:fit:80:0/f:jpg", source)
		a := s.get(path, "X-Viewer", "planted", "Cookie", "planted", "Authorization", "Bearer planted")
		if got := outcome(a); got != want {
			t.Errorf("%s: %s, want %s: %.200s", source, got, want, a.body)
		}
		if strings.Contains(string(a.body), secret) {
			t.Error("an answer tells the secret")
		}
	}
	show := exec.Command(binary, "config", "-config", filepath.Join(s.dir, "config.yaml"))
	show.Env = s.cmd.Env
	printed, err := show.CombinedOutput()
	if err != nil || !strings.Contains(string(printed), "X-Api-Key") {
		t.Errorf("config: %v\n%s", err, printed)
	}
	s.stop()
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.leaked) > 0 {
		t.Errorf("%q", o.leaked)
	}
	if strings.Contains(s.log.String()+string(printed), secret) {
		t.Error("the log or the configuration tells the secret")
	}
}
