package server

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"time"

	"golang.org/x/sys/unix"
)

// wires wraps the connections of a listener.
type wires struct {
	net.Listener
	patience time.Duration // for which a reader may keep a piece of an answer waiting; see [wire]
}

// Accept waits for the next connection.
func (l wires) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if t, ok := c.(*net.TCPConn); ok {
		return newWire(t, l.patience), err
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

// A reader has writePatience for each writePiece of an answer: 30 s, for a phone may pass through a tunnel, and what
// the piece takes at leastRate. The time does not add up over pieces: an answer of 9 MB that nobody reads would hold
// its place for more than an hour.
const (
	writePiece    = 64 << 10 // bytes
	writePatience = 30*time.Second + writePiece/leastRate*time.Second
)

// wire is a connection of either listener. It bounds how slowly an answer may be read, and makes hits cheap. net/http
// sorts, copies and checks each header of each answer, which for the dozen of a hit costs more than all the rest, and
// sends an answer in two pieces. For an answer that prepare announces, wire puts headers that were rendered once behind
// the status line, and sends head and body in one system call. It edits the stream of bytes and relies on nothing but
// HTTP/1 itself; what governs the connection (its framing, keep-alive, Date) stays net/http's own, but for the
// deadlines of writes, which wire sets by itself. Like the Conn of any request it belongs to one goroutine at a time.
type wire struct {
	*net.TCPConn
	prepared bool
	own      []byte // headers of this answer alone; its memory is used again
	shared   []byte // headers rendered before
	body     []byte
	ahead    int // bytes of the body that went out before net/http wrote them
	pieces   [5][]byte
	buffers  net.Buffers

	patience time.Duration
	writeBy  time.Time // the deadline that is set
}

// newWire makes a wire of a connection. The kernel takes no more ahead of what the reader has room for than a piece:
// with its megabytes of buffer one write would stand for very many pieces.
func newWire(c *net.TCPConn, patience time.Duration) *wire {
	if raw, err := c.SyscallConn(); err == nil {
		_ = raw.Control(func(fd uintptr) { // Where it is refused the kernel takes more, and the bound is less exact.
			_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_NOTSENT_LOWAT, writePiece)
		})
	}
	return &wire{TCPConn: c, patience: patience}
}

// SetWriteDeadline does nothing: each piece of an answer has a deadline of its own. net/http calls it with each
// request.
func (c *wire) SetWriteDeadline(time.Time) error { return nil }

// pace sets the deadline of the next piece. It spares the timer where that would move by little.
func (c *wire) pace() error {
	due := time.Now().Add(c.patience)
	if due.Sub(c.writeBy) < c.patience/10 {
		return nil
	}
	c.writeBy = due
	return c.TCPConn.SetWriteDeadline(due)
}

// send writes p piece by piece.
func (c *wire) send(p []byte) (n int, err error) {
	for err == nil && n < len(p) {
		if err = c.pace(); err == nil {
			var sent int
			sent, err = c.TCPConn.Write(p[n:min(len(p), n+writePiece)])
			n += sent
		}
	}
	return n, err
}

// prepare announces the next answer: complete header lines to be added, and the body that the handler will write, all
// of it. The slices must stay as they are until then.
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
		more, err := c.send(p[n:])
		return n + more, err
	}
	if !c.prepared {
		return c.send(p)
	}
	c.prepared = false
	status, head := bytes.IndexByte(p, '\n')+1, bytes.Index(p, headEnd)+len(headEnd)
	if status == 0 || head < len(headEnd) || len(p)-head > len(c.body) {
		return 0, errWire
	}
	first := min(len(c.body), writePiece)
	c.pieces = [...][]byte{p[:status], c.own, c.shared, p[status:head], c.body[:first]}
	c.buffers = c.pieces[:]
	ahead, more := len(c.body)-(len(p)-head), c.body[first:]
	c.shared, c.body = nil, nil // An idle connection must not hold what the cache has let go of.
	if err := c.pace(); err != nil {
		return 0, err
	}
	if _, err := c.buffers.WriteTo(c.TCPConn); err != nil {
		return 0, err
	}
	if _, err := c.send(more); err != nil {
		return 0, err
	}
	c.ahead = ahead
	return len(p), nil
}

var headEnd = []byte("\r\n\r\n")

// errWire ends a connection on which something else than the announced answer was about to be sent.
var errWire = errors.New("server: the answer is not the one that was announced")
