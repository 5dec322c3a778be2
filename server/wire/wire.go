// Package wire wraps the connections below net/http. It enforces a minimum rate at which a client reads, and sends a
// response with prerendered headers in one system call. The client reads the response that net/http would have sent,
// plus the announced headers.
package wire

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

// Listener wraps each TCP connection in a Conn.
type Listener struct {
	net.Listener
	Patience time.Duration // how long a reader may delay a piece of a response
}

// Accept waits for the next connection.
func (l Listener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if t, ok := c.(*net.TCPConn); ok {
		return newConn(t, l.Patience), err
	}
	return c, err
}

type connKey struct{}

// WithConn lets handlers find the Conn of their request. It is a ConnContext of http.Server.
func WithConn(ctx context.Context, c net.Conn) context.Context {
	if w, ok := c.(*Conn); ok {
		return context.WithValue(ctx, connKey{}, w)
	}
	return ctx
}

// Of returns the connection of a request; nil if there is none, as in tests.
func Of(r *http.Request) *Conn {
	c, _ := r.Context().Value(connKey{}).(*Conn)
	return c
}

// Minimum rate of bodies and responses. For each piece of a response a reader has Patience (30 s, since a phone may
// pass through a tunnel) plus the time of the piece at LeastRate. The limit is per piece: added up over all pieces, a
// response of 9 MB that is not read would hold its connection for more than an hour.
const (
	LeastRate = 2 << 10  // bytes per second
	piece     = 64 << 10 // bytes
	Patience  = 30*time.Second + piece/LeastRate*time.Second
)

// Conn is a connection of a Listener. net/http sorts, copies and checks each header of each response, which for the
// dozen headers of a hit costs more than everything else, and it sends a response in two pieces. For a response
// announced by Prepare, Conn inserts prerendered headers after the status line, and sends head and body in one system
// call. It edits the byte stream and relies only on HTTP/1 itself. net/http still controls the connection (framing,
// keep-alive, Date), except the write deadlines, which Conn sets itself. Like the net.Conn of any request it belongs to
// one goroutine at a time.
type Conn struct {
	*net.TCPConn
	prepared bool
	own      []byte // headers of this response only; the buffer is reused
	shared   []byte // prerendered headers
	body     []byte
	ahead    int // bytes of the body that were sent before net/http wrote them
	pieces   [5][]byte
	buffers  net.Buffers

	patience time.Duration
	writeBy  time.Time // the current write deadline
}

// newConn wraps a connection. It limits the kernel's send buffer to one piece: with the default of megabytes one write
// would cover very many pieces.
func newConn(c *net.TCPConn, patience time.Duration) *Conn {
	if raw, err := c.SyscallConn(); err == nil {
		_ = raw.Control(func(fd uintptr) { // If this is refused, the buffer is larger and the bound less exact.
			_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_NOTSENT_LOWAT, piece)
		})
	}
	return &Conn{TCPConn: c, patience: patience}
}

// SetWriteDeadline does nothing. net/http calls it with the zero time after each response, and a handler may call it
// through http.ResponseController: both would remove the deadline that pace has set for the next piece.
func (c *Conn) SetWriteDeadline(time.Time) error { return nil }

// pace sets the deadline of the next piece. It does not reset the timer for a small change.
func (c *Conn) pace() error {
	due := time.Now().Add(c.patience)
	if due.Sub(c.writeBy) < c.patience/10 {
		return nil
	}
	c.writeBy = due
	return c.TCPConn.SetWriteDeadline(due)
}

// send writes p piece by piece.
func (c *Conn) send(p []byte) (n int, err error) {
	for err == nil && n < len(p) {
		if err = c.pace(); err == nil {
			var sent int
			sent, err = c.TCPConn.Write(p[n:min(len(p), n+piece)])
			n += sent
		}
	}
	return n, err
}

// Own returns an empty buffer for the header lines of the next response only. It reuses the memory of the last one.
func (c *Conn) Own() []byte { return c.own[:0] }

// Prepare announces the next response: complete header lines to add, and the whole body that the handler will write.
// The slices must not change until then.
func (c *Conn) Prepare(own, shared, body []byte) {
	c.prepared, c.own, c.shared, c.body = true, own, shared, body
}

// ReadFrom hides the method of TCPConn, which would bypass Write.
func (c *Conn) ReadFrom(r io.Reader) (int64, error) { return io.Copy(struct{ io.Writer }{c}, r) }

// Write sends what net/http wrote, edited as announced by Prepare.
func (c *Conn) Write(p []byte) (int, error) {
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
		return 0, errOther
	}
	first := min(len(c.body), piece)
	c.pieces = [...][]byte{p[:status], c.own, c.shared, p[status:head], c.body[:first]}
	c.buffers = c.pieces[:]
	ahead, more := len(c.body)-(len(p)-head), c.body[first:]
	c.shared, c.body = nil, nil // An idle connection must not hold memory that the cache has released.
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

// errOther ends a connection on which a response other than the announced one was about to be sent.
var errOther = errors.New("wire: the answer is not the one that was announced")
