package intaketest

import (
	"io"
	"net"
	"sync"
	"testing"
)

// Wire is a process' connection to a broker that can be cut. Safe for concurrent use.
type Wire struct {
	listener net.Listener
	to       string

	mu    sync.Mutex
	conns []net.Conn
	cut   bool
}

// NewWire forwards connections to an address, until it is cut or the test ends.
func NewWire(t *testing.T, to string) *Wire {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w := &Wire{listener: l, to: to}
	go w.run()
	t.Cleanup(w.Cut)
	return w
}

// Addr is the address that it listens on.
func (w *Wire) Addr() string { return w.listener.Addr().String() }

// Cut closes all connections and accepts no more.
func (w *Wire) Cut() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.cut = true
	_ = w.listener.Close()
	for _, c := range w.conns {
		_ = c.Close()
	}
}

func (w *Wire) run() {
	for {
		in, err := w.listener.Accept()
		if err != nil {
			return
		}
		out, err := net.Dial("tcp", w.to)
		if err != nil || !w.keep(in, out) {
			_ = in.Close()
			continue
		}
		go pipe(in, out)
		go pipe(out, in)
	}
}

// keep records a connection; false: the wire is cut.
func (w *Wire) keep(in, out net.Conn) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.cut {
		_ = out.Close()
		return false
	}
	w.conns = append(w.conns, in, out)
	return true
}

func pipe(to, from net.Conn) {
	_, _ = io.Copy(to, from)
	_ = to.Close()
	_ = from.Close()
}
