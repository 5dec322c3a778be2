package main

import (
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// serveOrigin serves originals from memory on a loopback port: any path that ends in /NAME is that original, so that
// each request can have a source of its own. It returns its address and what ends it.
func serveOrigin(originals map[string][]byte) (base string, stop func(), err error) {
	return serveSlowOrigin(originals, 0)
}

// serveSlowOrigin is serveOrigin with a pause before each answer.
func serveSlowOrigin(originals map[string][]byte, pause time.Duration) (base string, stop func(), err error) {
	return serveWatchedOrigin(originals, pause, func(*http.Request) {})
}

// serveWatchedOrigin is serveSlowOrigin that tells of each request; tell is called from several goroutines.
func serveWatchedOrigin(originals map[string][]byte, pause time.Duration, tell func(*http.Request)) (base string, stop func(), err error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, err
	}
	srv := &http.Server{ReadHeaderTimeout: 10 * time.Second, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, ok := originals[r.URL.Path[strings.LastIndexByte(r.URL.Path, '/')+1:]]
		if !ok {
			http.NotFound(w, r)
			return
		}
		tell(r)
		select {
		case <-time.After(pause):
		case <-r.Context().Done():
			return
		}
		w.Header().Set("Content-Type", "image/jpeg")
		w.Header().Set("Content-Length", strconv.Itoa(len(body)))
		_, _ = w.Write(body) // A client that left is no fault of the origin.
	})}
	go srv.Serve(l) //nolint:errcheck // ends with Close
	return "http://" + l.Addr().String(), func() { _ = srv.Close() }, nil
}
