// Package wire is the connection below net/http. It bounds how slowly an answer may be read, and it sends an answer
// whose headers were rendered before in one system call. What a client reads is the answer that net/http would have
// sent, with the announced headers added.
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

// Listener makes a Conn of each TCP connection.
type Listener struct {
	net.Listener
	Patience time.Duration // for which a reader may keep a piece of an answer waiting
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

// WithConn lets handlers find the Conn that their request came in on. It is a ConnContext of http.Server.
func WithConn(ctx context.Context, c net.Conn) context.Context {
	if w, ok := c.(*Conn); ok {
		return context.WithValue(ctx, connKey{}, w)
	}
	return ctx
}

// Of is the connection that a request came in on; nil where there is none, as in tests.
func Of(r *http.Request) *Conn {
	c, _ := r.Context().Value(connKey{}).(*Conn)
	return c
}

// The least rate of bodies and answers. A reader has Patience for each piece of an answer: 30 s, for a phone may pass
// through a tunnel, and what the piece takes at LeastRate. The time does not add up over pieces: an answer of 9 MB that
// nobody reads would hold its place for more than an hour.
const (
	LeastRate = 2 << 10  // bytes a second
	piece     = 64 << 10 // bytes
	Patience  = 30*time.Second + piece/LeastRate*time.Second
)

// Conn is a connection of a Listener. net/http sorts, copies and checks each header of each answer, which for the dozen
// of a hit costs more than all the rest, and sends an answer in two pieces. For an answer that Prepare announces, Conn
// puts headers that were rendered once behind the status line, and sends head and body in one system call. It edits the
// stream of bytes and relies on nothing but HTTP/1 itself. What governs the connection (its framing, keep-alive, Date)
// stays net/http's own, except the deadlines of writes, which Conn sets itself. Like the net.Conn of any request it
// belongs to one goroutine at a time.
type Conn struct {
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

// newConn wraps a connection. The kernel takes no more ahead of what the reader has room for than a piece:
// with its megabytes of buffer one write would stand for very many pieces.
func newConn(c *net.TCPConn, patience time.Duration) *Conn {
	if raw, err := c.SyscallConn(); err == nil {
		_ = raw.Control(func(fd uintptr) { // Where it is refused the kernel takes more, and the bound is less exact.
			_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_NOTSENT_LOWAT, piece)
		})
	}
	return &Conn{TCPConn: c, patience: patience}
}

// SetWriteDeadline does nothing. net/http calls it with the zero time after each answer, and a handler may call it
// through http.ResponseController: either would take back the deadline that pace has set for the next piece.
func (c *Conn) SetWriteDeadline(time.Time) error { return nil }

// pace sets the deadline of the next piece. It spares the timer where that would move by little.
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

// Own is an empty buffer for the header lines of the next answer alone. Its memory is that of the last answer's.
func (c *Conn) Own() []byte { return c.own[:0] }

// Prepare announces the next answer: complete header lines to be added, and the body that the handler will write, all
// of it. The slices must stay as they are until then.
func (c *Conn) Prepare(own, shared, body []byte) {
	c.prepared, c.own, c.shared, c.body = true, own, shared, body
}

// ReadFrom hides that of TCPConn, which would pass by Write.
func (c *Conn) ReadFrom(r io.Reader) (int64, error) { return io.Copy(struct{ io.Writer }{c}, r) }

// Write sends what net/http wrote, edited as Prepare said.
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

// errOther ends a connection on which something else than the announced answer was about to be sent.
var errOther = errors.New("wire: the answer is not the one that was announced")
