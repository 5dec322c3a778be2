package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"syscall"
	"time"

	"github.com/goldcrest/goldcrest/pause"
)

const (
	acceptPause    = 5 * time.Millisecond // after the first of consecutive failures of accept(); it doubles
	acceptPauseMax = time.Second
	acceptRelog    = time.Minute // between two log lines while accept() keeps failing
)

// patient is a listener that retries after errors of accept(). Nearly all of them affect one connection, or are
// temporary: too many open files, no memory, a firewall's refusal, a network error that was pending on the new socket.
// The pause grows with each failure.
type patient struct {
	net.Listener
	name string // for the log: public or private
	log  *slog.Logger

	open  context.Context // ends with Close
	close context.CancelFunc
}

// listen opens a listener on a TCP address.
func (s *Server) listen(name, addr string) (net.Listener, error) {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("the %s listener cannot be opened: %w", name, err)
	}
	return newPatient(l, name, s.deps.Log), nil
}

func newPatient(l net.Listener, name string, log *slog.Logger) *patient {
	p := &patient{Listener: l, name: name, log: log}
	p.open, p.close = context.WithCancel(context.Background())
	return p
}

// Accept waits for the next connection. It fails only with net.ErrClosed after Close, or if the listener is lost.
func (p *patient) Accept() (net.Conn, error) {
	var logged time.Time
	wait, failures := acceptPause, 0
	for {
		c, err := p.Listener.Accept()
		switch {
		case err == nil && failures > 0:
			p.log.Info("connections are accepted again", "listener", p.name, "failures", failures)
			return c, nil
		case err == nil, errors.Is(err, net.ErrClosed):
			return c, err
		case lost(err):
			return nil, fmt.Errorf("the %s listener is lost: %w", p.name, err)
		}
		failures++
		if time.Since(logged) >= acceptRelog {
			p.log.Error("a connection could not be accepted; trying again", "listener", p.name, "error", err)
			logged = time.Now()
		}
		if pause.For(p.open, wait) != nil {
			return nil, net.ErrClosed
		}
		wait = min(2*wait, acceptPauseMax)
	}
}

// Close ends the listener, and an Accept that pauses.
func (p *patient) Close() error {
	p.close()
	return p.Listener.Close()
}

// lost reports whether an error of accept() means that the socket itself is unusable.
func lost(err error) bool {
	var number syscall.Errno
	return errors.As(err, &number) &&
		slices.Contains([]syscall.Errno{syscall.EBADF, syscall.EINVAL, syscall.ENOTSOCK, syscall.EFAULT}, number)
}
