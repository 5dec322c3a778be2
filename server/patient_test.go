package server

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/goldcrest/goldcrest/server/access"
)

// flaky is a listener whose accept() fails as it is told, and then waits until it is closed or gives connections.
type flaky struct {
	errs   []syscall.Errno
	times  []time.Time // of each call
	conns  chan net.Conn
	closed chan struct{}
}

func newFlaky(errs ...syscall.Errno) *flaky {
	return &flaky{errs: errs, conns: make(chan net.Conn, 1), closed: make(chan struct{})}
}

func (f *flaky) Accept() (net.Conn, error) {
	f.times = append(f.times, time.Now())
	if len(f.errs) > 0 {
		err := &net.OpError{Op: "accept", Net: "tcp", Err: os.NewSyscallError("accept4", f.errs[0])}
		f.errs = f.errs[1:]
		return nil, err
	}
	select {
	case c := <-f.conns:
		return c, nil
	case <-f.closed:
		return nil, net.ErrClosed
	}
}

func (f *flaky) Close() error   { close(f.closed); return nil }
func (f *flaky) Addr() net.Addr { return &net.TCPAddr{} }

// Errors of accept() that pass are outlived with ever longer pauses and told once a minute; the end of them is told
// too.
func TestAcceptOutlivesErrors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		passing := []syscall.Errno{
			syscall.ENOBUFS, syscall.ENOMEM, syscall.EPROTO, syscall.EMFILE, syscall.ENFILE, syscall.EPERM, syscall.ENETDOWN, syscall.EHOSTUNREACH,
			syscall.ENOPROTOOPT, syscall.EOPNOTSUPP, syscall.ECONNABORTED, syscall.ETIMEDOUT,
		}
		for range 120 {
			passing = append(passing, syscall.ENOBUFS)
		}
		inner, log := newFlaky(passing...), &bytes.Buffer{}
		p := newPatient(inner, "public", slog.New(slog.NewTextHandler(log, nil)))
		ours, theirs := net.Pipe()
		defer theirs.Close()
		inner.conns <- ours
		c, err := p.Accept()
		if c != ours || err != nil {
			t.Fatalf("got %v, %v; want the connection that came after the errors", c, err)
		}
		for i := 1; i < len(inner.times); i++ {
			want := min(acceptPause<<min(i-1, 20), acceptPauseMax)
			if got := inner.times[i].Sub(inner.times[i-1]); got != want {
				t.Fatalf("pause %d is %v, want %v", i, got, want)
			}
		}
		failed, again := strings.Count(log.String(), "could not be accepted"), strings.Count(log.String(), "accepted again")
		if failed != 3 || again != 1 || !strings.Contains(log.String(), "failures=132") { // at 0, 1 and 2 minutes
			t.Errorf("got %d lines of failures and %d of recovery:\n%s", failed, again, log)
		}
		_ = c.Close()
	})
}

// A listener that is closed while it pauses ends at once, with the error that net/http takes for a stop.
func TestAcceptEndsWhenClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPatient(newFlaky(syscall.ENOBUFS, syscall.ENOBUFS), "public", slog.New(slog.DiscardHandler))
		ended := make(chan error)
		go func() { _, err := p.Accept(); ended <- err }()
		synctest.Wait()
		begin := time.Now()
		if err := errors.Join(p.Close()); err != nil {
			t.Fatal(err)
		}
		if err := <-ended; !errors.Is(err, net.ErrClosed) || time.Since(begin) > 0 {
			t.Errorf("got %v after %v, want net.ErrClosed at once", err, time.Since(begin))
		}
	})
}

// The server ends with an error that names the listener when that is lost for good, and lets requests that run end.
func TestServeEndsWhenAListenerIsLost(t *testing.T) {
	for _, which := range []string{"public", "private"} {
		f := newFixture(t, func(c *Config, _ *access.Rules) {
			c.Listen, c.Admin, c.Drain = "127.0.0.1:0", "127.0.0.1:0", 200*time.Millisecond
		})
		if err := f.Listen(); err != nil {
			t.Fatal(err)
		}
		crowd, other := f.publicCrowd, f.adminCrowd
		if which == "private" {
			crowd, other = other, crowd
		}
		held := crowd.Listener
		broken := newPatient(newFlaky(syscall.ENOMEM, syscall.EBADF), which, slog.New(slog.DiscardHandler))
		crowd.Listener = broken
		err := f.Serve(context.Background())
		if err == nil || errors.Is(err, http.ErrServerClosed) || !strings.Contains(err.Error(), "the "+which+" listener is lost") {
			t.Errorf("%s: got %v", which, err)
		}
		if _, err := net.Dial("tcp", other.Addr().String()); err == nil {
			t.Errorf("%s: the other listener is still open", which)
		}
		_ = held.Close()
	}
}
