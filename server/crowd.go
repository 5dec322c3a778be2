package server

import (
	"container/list"
	"net"
	"net/http"
	"sync"
	"syscall"
	"time"
)

const (
	mostConnections  = 8192 // per listener, where nothing was configured: each costs about 20 kB
	adminConnections = 256  // people, probes and backends

	grace = 250 * time.Millisecond // what every connection has for its request before it may have to make room
)

// connectionBound is how many connections a listener holds: what was configured, or half of the files that this process may open, so
// that a flood never takes the descriptors that fetches, the store and the workers need.
func connectionBound(configured int) int {
	if configured > 0 {
		return configured
	}
	var files syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &files); err != nil {
		return mostConnections
	}
	return int(min(max(files.Cur/2, 16), mostConnections))
}

// waiter is a connection without a request.
type waiter struct {
	conn  net.Conn
	since time.Time
}

// crowd is a listener with a bounded number of connections. Where the bound is reached, the connection that has kept the server waiting for
// a whole request the longest makes room for the new one, so that idle and drip-feeding peers cannot keep others out; a request that was read
// is never cut. When every connection has one, new ones wait in the kernel's queue.
type crowd struct {
	net.Listener
	bound int

	mu      sync.Mutex
	room    sync.Cond
	waiting list.List // of waiter, the longest first
	places  map[net.Conn]*list.Element
	closed  bool
	evicted int64
}

func newCrowd(l net.Listener, bound int) *crowd {
	c := &crowd{Listener: l, bound: bound, places: map[net.Conn]*list.Element{}}
	c.room.L = &c.mu
	return c
}

// Accept waits for the next connection, and for room for it.
func (c *crowd) Accept() (net.Conn, error) {
	conn, err := c.Listener.Accept()
	if err != nil {
		return nil, err
	}
	oldest, closed := c.admit(conn)
	if oldest != nil {
		_ = oldest.Close() // net/http's reader of it ends with an error.
	}
	if closed {
		_ = conn.Close()
		return nil, net.ErrClosed
	}
	return conn, nil
}

// admit waits for room and takes it; oldest is the connection that had to make it.
func (c *crowd) admit(conn net.Conn) (oldest net.Conn, closed bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for len(c.places) >= c.bound && !c.closed {
		if first := c.waiting.Front(); first != nil {
			left := grace - time.Since(first.Value.(waiter).since)
			if left <= 0 {
				oldest = first.Value.(waiter).conn
				c.forget(oldest)
				c.evicted++
				break
			}
			defer time.AfterFunc(left, c.room.Broadcast).Stop()
		}
		c.room.Wait()
	}
	if !c.closed {
		c.places[conn] = c.waiting.PushBack(waiter{conn, time.Now()})
	}
	return oldest, c.closed
}

// Close ends the listener, and with it an Accept that waits for room.
func (c *crowd) Close() error {
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	c.room.Broadcast()
	return c.Listener.Close()
}

// follow is the ConnState hook of the server that serves this listener.
func (c *crowd) follow(conn net.Conn, state http.ConnState) {
	c.mu.Lock()
	defer c.mu.Unlock()
	place, known := c.places[conn]
	if !known {
		return // It had to make room.
	}
	switch state {
	case http.StateActive:
		if place != nil {
			c.waiting.Remove(place)
			c.places[conn] = nil
		}
	case http.StateIdle:
		if place == nil {
			c.places[conn] = c.waiting.PushBack(waiter{conn, time.Now()})
		}
		c.room.Broadcast()
	case http.StateClosed, http.StateHijacked:
		c.forget(conn)
		c.room.Broadcast()
	}
}

// forget frees a connection's place. The lock is held.
func (c *crowd) forget(conn net.Conn) {
	if place := c.places[conn]; place != nil {
		c.waiting.Remove(place)
	}
	delete(c.places, conn)
}

// count is how many connections there are, and how many ever had to make room.
func (c *crowd) count() (open int, evicted int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.places), c.evicted
}
