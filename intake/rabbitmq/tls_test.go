package rabbitmq

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/goldcrest/goldcrest/intake"
)

// authority is a certificate authority of the test's own.
type authority struct {
	dir  string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	file string
}

func drawAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{dir: t.TempDir()}
	a.file = filepath.Join(a.dir, "ca.pem")
	a.cert, a.key = a.draw(t, "ca", &x509.Certificate{
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	})
	return a
}

// draw draws a certificate and writes it and its key to files of that name. The first signs itself.
func (a *authority) draw(t *testing.T, name string, c *x509.Certificate) (*x509.Certificate, *ecdsa.PrivateKey) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c.SerialNumber, c.Subject = big.NewInt(time.Now().UnixNano()), pkix.Name{CommonName: name}
	c.NotBefore, c.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	parent, signer := a.cert, a.key
	if parent == nil {
		parent, signer = c, key
	}
	der, err := x509.CreateCertificate(rand.Reader, c, parent, &key.PublicKey, signer)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range []struct {
		file, kind string
		der        []byte
	}{
		{name + ".pem", "CERTIFICATE", der}, {name + ".key", "PRIVATE KEY", private},
	} {
		text := pem.EncodeToMemory(&pem.Block{Type: f.kind, Bytes: f.der})
		if err := os.WriteFile(filepath.Join(a.dir, f.file), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if c, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	return c, key
}

// Over TLS units come and verdicts go. A broker whose certificate another authority has signed, or that is for another
// host, gets neither credentials nor messages.
func TestTLS(t *testing.T) {
	ours, others := drawAuthority(t), drawAuthority(t)
	ours.draw(t, "broker", &x509.Certificate{
		DNSNames: []string{"localhost"}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	})
	addr := freeAddr(t)
	startBroker(t, "listeners.ssl.1 = "+addr, "ssl_options.cacertfile = "+ours.file,
		"ssl_options.certfile = "+filepath.Join(ours.dir, "broker.pem"),
		"ssl_options.keyfile = "+filepath.Join(ours.dir, "broker.key"),
		"ssl_options.verify = verify_none", "ssl_options.fail_if_no_peer_cert = false")
	for began := time.Now(); ; { // The listener for TLS opens after the one that startBroker waits for.
		c, err := net.Dial("tcp", addr)
		if err == nil {
			c.Close()
			break
		}
		if time.Since(began) > time.Minute {
			t.Fatal(err)
		}
		<-time.After(20 * time.Millisecond)
	}
	_, port, _ := net.SplitHostPort(addr)
	open := func(host, ca string) *Queue {
		c := config("amqps://guest:guest@"+net.JoinHostPort(host, port)+"/", "sealed")
		c.Broker.CAFile = ca
		q, err := Open(c)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(q.Close)
		return q
	}
	for _, tt := range []struct{ name, host, ca, said string }{
		{"another authority", "localhost", others.file, "unknown authority"},
		{"the system's authorities", "localhost", "", "unknown authority"},
		{"another host", "127.0.0.1", ours.file, "127.0.0.1"},
	} {
		_, err := open(tt.host, tt.ca).Waiting(t.Context())
		if err == nil || !strings.Contains(err.Error(), "x509") || !strings.Contains(err.Error(), tt.said) {
			t.Errorf("%s: error = %v, want one about the certificate", tt.name, err)
		}
	}
	q := open("localhost", ours.file)
	n := intake.Notice{ID: "n-1", Type: intake.UnitDone, Body: []byte("{}")}
	if err := q.Publish(t.Context(), n); err != nil {
		t.Fatal(err)
	}
	// The verdict comes back as a unit, over TLS as well.
	c := q.cfg
	c.Broker.From, c.Verdicts.To = c.Verdicts.To, ""
	back, err := Open(c)
	if err != nil {
		t.Fatal(err)
	}
	defer back.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	got := ""
	err = back.Receive(ctx, 1, func(_ context.Context, m intake.Message) intake.Outcome {
		got = m.ID
		cancel()
		return intake.Outcome{}
	})
	if err != nil || got != "n-1" {
		t.Errorf("got the message %q, error %v", got, err)
	}
}
