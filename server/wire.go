package server

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"time"
)

// wires wraps the connections of a listener.
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

// wireOf is the connection that a request came in on; nil where there is none, as in tests.
func wireOf(r *http.Request) *wire {
	c, _ := r.Context().Value(wireKey{}).(*wire)
	return c
}

// wire is a connection of either listener. It bounds how slowly an answer may be read, and makes hits cheap. net/http sorts, copies and checks each header of each answer, which for the dozen of a hit costs
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

	begun   time.Time // the first write of this answer; zero = there was none
	sent    int64     // bytes of it
	writeBy time.Time // the deadline that is set
}

// SetWriteDeadline begins an answer, whatever time it is given: net/http calls it with each request. The deadline itself is set with
// each write, by leastRate: an answer has as long as its bytes take over the slowest network that is served.
func (c *wire) SetWriteDeadline(time.Time) error {
	c.begun, c.sent = time.Time{}, 0
	return nil
}

// pace sets the deadline for n bytes more. It spares the timer where that would move by little.
func (c *wire) pace(n int) error {
	if c.begun.IsZero() {
		c.begun = time.Now()
	}
	c.sent += int64(n)
	due := c.begun.Add(rated(writeGrace, c.sent))
	if d := due.Sub(c.writeBy); 0 <= d && d < writeGrace/10 {
		return nil
	}
	c.writeBy = due
	return c.TCPConn.SetWriteDeadline(due)
}

// prepare announces the next answer: complete header lines to be added, and the body that the handler will write, all of it. The
// slices must stay as they are until then.
func (c *wire) prepare(own, shared, body []byte) {
	c.prepared, c.own, c.shared, c.body = true, own, shared, body
}

// ReadFrom hides that of TCPConn, which would pass by Write.
func (c *wire) ReadFrom(r io.Reader) (int64, error) { return io.Copy(struct{ io.Writer }{c}, r) }

// Write sends what net/http wrote, edited as prepare said.
func (c *wire) Write(p []byte) (int, error) {
	if c.ahead > 0 {
		n := min(c.ahead, len(p))
		if c.ahead -= n; n == len(p) {
			return n, nil
		}
		if err := c.pace(len(p) - n); err != nil {
			return n, err
		}
		more, err := c.TCPConn.Write(p[n:])
		return n + more, err
	}
	if !c.prepared {
		if err := c.pace(len(p)); err != nil {
			return 0, err
		}
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
	if err := c.pace(len(p) + c.ahead); err != nil {
		return 0, err
	}
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
