package wire

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"sync/atomic"
	"testing"
	"time"
)

// dial opens a connection that the test closes.
func dial(t testing.TB, addr string) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// TestAnswersKeepALeastRate writes a large response to two peers. One reads nothing and is dropped after the patience
// for one piece, however much is still to be written. The other reads all of it.
func TestAnswersKeepALeastRate(t *testing.T) {
	if least := float64(piece) / Patience.Seconds(); least < LeastRate/2 || Patience > time.Minute+5*time.Second {
		t.Errorf("%v for a piece: %.0f bytes a second at least", Patience, least)
	}
	for _, prepared := range []bool{false, true} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		open := func(patience time.Duration) (*Conn, net.Conn) {
			peer := dial(t, l.Addr().String()) // it waits in the kernel's accept queue
			c, err := Listener{l, patience}.Accept()
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { c.Close() })
			return c.(*Conn), peer
		}
		body := make([]byte, 64<<20)
		answer := func(w *Conn) error {
			p := body
			if prepared {
				w.Prepare(nil, nil, body)
				p = []byte("HTTP/1.1 200 OK\r\n\r\n")
			}
			_, err := w.Write(p)
			return err
		}
		w, _ := open(50 * time.Millisecond)
		if err := answer(w); !os.IsTimeout(err) {
			t.Errorf("nothing is read, prepared %v: %v", prepared, err)
		}
		w, peer := open(Patience)
		read := make(chan int64)
		go func() {
			n, _ := io.Copy(io.Discard, peer)
			read <- n
		}()
		if err := answer(w); err != nil {
			t.Errorf("all is read, prepared %v: %v", prepared, err)
		}
		_ = w.CloseWrite()
		if n := <-read; n < int64(len(body)) {
			t.Errorf("prepared %v: %d bytes were read of %d", prepared, n, len(body))
		}
	}
}

func TestConnRefusesBytesOtherThanPrepared(t *testing.T) {
	for _, written := range []string{"no head at all", "HTTP/1.1 200 OK\r\nA: b\r\n", "HTTP/1.1 200 OK\r\nA: b\r\n\r\nlonger than said"} {
		w := &Conn{}
		w.Prepare(nil, nil, []byte("short"))
		if n, err := w.Write([]byte(written)); !errors.Is(err, errOther) || n != 0 {
			t.Errorf("%q: %d, %v", written, n, err)
		}
	}
}

func TestWithConnKnowsOnlyConns(t *testing.T) {
	a, b := net.Pipe()
	defer a.Close()
	defer b.Close()
	ctx := context.Background()
	if WithConn(ctx, a) != ctx {
		t.Error("a pipe is no Conn")
	}
	if w := new(Conn); WithConn(ctx, w).Value(connKey{}) != w {
		t.Error("a Conn is not found")
	}
}

// FuzzPreparedAnswers tests the contract of the package: two requests on one connection read the same responses whether
// they were announced or left to net/http.
func FuzzPreparedAnswers(f *testing.F) {
	f.Add("plain", []byte("body"), uint16(1))
	f.Add(" \x11 ", []byte{}, uint16(4096))
	f.Add("line\r\nInjected: yes", []byte("GET / HTTP/1.1\r\n\r\n"), uint16(1999))
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		f.Fatal(err)
	}
	type answer struct {
		value string
		body  []byte
	}
	var next atomic.Pointer[answer]
	server := &http.Server{ConnContext: WithConn, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h, a := w.Header(), next.Load()
		h["Content-Type"] = nil
		h.Set("Content-Length", strconv.Itoa(len(a.body)))
		if c := Of(r); r.URL.Path == "/announced" {
			c.Prepare(AppendHeader(c.Own(), "X-Own", a.value), AppendHeader(nil, "X-Shared", "yes"), a.body)
		} else {
			h.Set("X-Own", a.value)
			h.Set("X-Shared", "yes")
		}
		_, _ = w.Write(a.body)
	})}
	go func() { _ = server.Serve(Listener{l, Patience}) }()
	f.Cleanup(func() { _ = server.Close() })
	f.Fuzz(func(t *testing.T, value string, body []byte, times uint16) {
		next.Store(&answer{value, bytes.Repeat(body, int(times)%2000)})
		if plain, announced := read(t, l, "/plain"), read(t, l, "/announced"); plain != announced {
			t.Errorf("by net/http %.500q, announced %.500q", plain, announced)
		}
	})
}

// read sends two requests on one connection, and returns the responses without the date.
func read(t *testing.T, l net.Listener, path string) (all string) {
	t.Helper()
	c := dial(t, l.Addr().String())
	defer c.Close()
	r := bufio.NewReader(c)
	for range 2 {
		if _, err := io.WriteString(c, "GET "+path+" HTTP/1.1\r\nHost: a.example\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		res, err := http.ReadResponse(r, nil)
		if err != nil {
			return all + err.Error()
		}
		text, err := io.ReadAll(res.Body)
		if err != nil {
			t.Fatal(err)
		}
		res.Header.Del("Date")
		all += fmt.Sprint(res.Status, res.Header, string(text))
	}
	return all
}
