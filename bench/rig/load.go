package rig

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// requestHeaders are the headers that a phone's browser sends with each request for a picture.
const requestHeaders = "Host: img.example\r\nUser-Agent: Mozilla/5.0 (Linux; Android 14) Chrome/130 Mobile\r\n" +
	"Accept: " + BrowserAccept + "\r\nAccept-Encoding: gzip, deflate, br\r\nAccept-Language: en\r\nReferer: https://shop.example/\r\n\r\n"

// BrowserAccept is the Accept header of a browser that shows AVIF and WebP.
const BrowserAccept = "image/avif,image/webp,image/apng,image/*,*/*;q=0.8"

// RawRequest is a GET request on the wire.
func RawRequest(path string) []byte {
	return []byte("GET " + path + " HTTP/1.1\r\n" + requestHeaders)
}

// Connection sends requests and reads responses with as little work as possible, so that the server is measured.
type Connection struct {
	net.Conn
	buf []byte
}

// Dial connects to a server.
func Dial(addr string) (*Connection, error) {
	c, err := net.Dial("tcp", addr)
	if err != nil {
		return nil, err
	}
	return &Connection{c, make([]byte, 64<<10)}, nil
}

var (
	headerEnd     = []byte("\r\n\r\n")
	contentLength = []byte("\r\nContent-Length: ")
	statusOK      = []byte("HTTP/1.1 200 ")
)

// RoundTrip sends a request and reads its response, which must be a 200 with a Content-Length. It returns the length of
// the body.
func (c *Connection) RoundTrip(request []byte) (int, error) {
	if _, err := c.Write(request); err != nil {
		return 0, err
	}
	n, body := 0, -1
	for total := -1; total < 0 || n < total; {
		got, err := c.Read(c.buf[n:])
		if err != nil {
			return 0, err
		}
		n += got
		if total >= 0 {
			continue
		}
		end := bytes.Index(c.buf[:n], headerEnd)
		if end < 0 {
			continue
		}
		if body, err = lengthOf(c.buf[:end+2]); err != nil {
			return 0, err
		}
		if total = end + len(headerEnd) + body; total > len(c.buf) {
			return 0, fmt.Errorf("an answer of %d bytes is more than was expected", total)
		}
	}
	return body, nil
}

// lengthOf is the Content-Length of a response header.
func lengthOf(header []byte) (int, error) {
	if !bytes.HasPrefix(header, statusOK) {
		return 0, fmt.Errorf("answer: %.200q", header)
	}
	at := bytes.Index(header, contentLength)
	if at < 0 {
		return 0, errors.New("an answer has no Content-Length")
	}
	value := header[at+len(contentLength):]
	return strconv.Atoi(string(value[:bytes.IndexByte(value, '\r')]))
}

// ClosedLoop requests the paths in turn over n connections for a time. Each connection sends its next request after its
// response. It returns the number of responses.
func ClosedLoop(addr string, requests [][]byte, n int, d time.Duration) (int64, error) {
	var answers, stopped atomic.Int64
	var wg sync.WaitGroup
	errs := make([]error, n)
	for i := range n {
		c, err := Dial(addr)
		if err != nil {
			return 0, err
		}
		defer c.Close()
		wg.Go(func() {
			for turn := i; stopped.Load() == 0; turn++ {
				if _, errs[i] = c.RoundTrip(requests[turn%len(requests)]); errs[i] != nil {
					return
				}
				answers.Add(1)
			}
		})
	}
	time.Sleep(d)
	stopped.Store(1)
	wg.Wait()
	return answers.Load(), errors.Join(errs...)
}

// OpenLoop sends requests at a fixed rate for a time, whether or not responses arrive. It returns the delays of the
// responses, measured from the moment at which each request was due, in order.
func OpenLoop(addr string, requests [][]byte, n, rate int, d time.Duration) ([]time.Duration, error) {
	var wg sync.WaitGroup
	errs, delays := make([]error, n), make([][]time.Duration, n)
	began := time.Now().Add(10 * time.Millisecond)
	for i := range n {
		c, err := Dial(addr)
		if err != nil {
			return nil, err
		}
		defer c.Close()
		wg.Go(func() {
			for turn := i; errs[i] == nil; turn += n {
				after := time.Duration(turn) * time.Second / time.Duration(rate)
				if after > d {
					return
				}
				due := began.Add(after)
				time.Sleep(time.Until(due))
				_, errs[i] = c.RoundTrip(requests[turn%len(requests)])
				delays[i] = append(delays[i], time.Since(due))
			}
		})
	}
	wg.Wait()
	return slices.Sorted(slices.Values(slices.Concat(delays...))), errors.Join(errs...)
}

// Quantile returns a Quantile of sorted delays, in milliseconds.
func Quantile(sorted []time.Duration, q float64) float64 {
	if len(sorted) == 0 {
		return 0
	}
	return float64(sorted[min(int(q*float64(len(sorted))), len(sorted)-1)].Microseconds()) / 1000
}
