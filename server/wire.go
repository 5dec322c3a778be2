package server

import (
	"bytes"
	"context"
	"errors"
	"net"
	"time"
)

// wires wraps the connections of the public listener.
type wires struct{ net.Listener }

// Accept waits for the next connection.
func (l wires) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if t, ok := c.(*net.TCPConn); ok {
		return &wire{TCPConn: t}, err
	}
	return c, err
}

type wireKey struct{}

// withWire lets handlers find the wire that their request came in on.
func withWire(ctx context.Context, c net.Conn) context.Context {
	if w, ok := c.(*wire); ok {
		return context.WithValue(ctx, wireKey{}, w)
	}
	return ctx
}

// wire is a public connection. net/http sorts, copies and checks each header of each answer, which for the dozen of a hit costs
// more than all the rest, and sends an answer in two pieces. For an answer that prepare announces, wire puts headers that were
// rendered once behind the status line, and sends head and body in one system call. It edits the stream of bytes and relies on
// nothing but HTTP/1 itself; what governs the connection (its framing, keep-alive, deadlines, Date) stays net/http's own.
// Like the Conn of any request it belongs to one goroutine at a time.
type wire struct {
	*net.TCPConn
	prepared bool
	own      []byte // headers of this answer alone; its memory is used again
	shared   []byte // headers rendered before
	body     []byte
	ahead    int // bytes of the body that went out before net/http wrote them
	pieces   [5][]byte
	buffers  net.Buffers
	writeBy  time.Time // the write deadline that is set
}

// SetWriteDeadline spares the timer where it would move by less than a second, and does not take a deadline back: net/http sets
// one with each request, and between two nothing is written.
func (c *wire) SetWriteDeadline(t time.Time) error {
	if d := t.Sub(c.writeBy); t.IsZero() || 0 <= d && d < time.Second {
		return nil
	}
	c.writeBy = t
	return c.TCPConn.SetWriteDeadline(t)
}

// prepare announces the next answer: complete header lines to be added, and the body that the handler will write, all of it. The
// slices must stay as they are until then.
func (c *wire) prepare(own, shared, body []byte) {
	c.prepared, c.own, c.shared, c.body = true, own, shared, body
}

// Write sends what net/http wrote, edited as prepare said.
func (c *wire) Write(p []byte) (int, error) {
	if c.ahead > 0 {
		n := min(c.ahead, len(p))
		if c.ahead -= n; n == len(p) {
			return n, nil
		}
		more, err := c.TCPConn.Write(p[n:])
		return n + more, err
	}
	if !c.prepared {
		return c.TCPConn.Write(p)
	}
	c.prepared = false
	status, head := bytes.IndexByte(p, '\n')+1, bytes.Index(p, headEnd)+len(headEnd)
	if status == 0 || head < len(headEnd) || len(p)-head > len(c.body) {
		return 0, errWire
	}
	c.pieces = [...][]byte{p[:status], c.own, c.shared, p[status:head], c.body}
	c.buffers = c.pieces[:]
	c.ahead = len(c.body) - (len(p) - head)
	c.shared, c.body = nil, nil // An idle connection must not hold what the cache has let go of.
	if _, err := c.buffers.WriteTo(c.TCPConn); err != nil {
		c.ahead = 0
		return 0, err
	}
	return len(p), nil
}

var headEnd = []byte("\r\n\r\n")

// errWire ends a connection on which something else than the announced answer was about to be sent.
var errWire = errors.New("server: the answer is not the one that was announced")
