package server

import (
	"net"
	"net/http"
	"net/netip"
	"sync"
	"syscall"
	"time"
)

const (
	mostConnections  = 8192 // per listener, by default: each costs about 20 kB
	adminConnections = 256  // people and backends
	probeConnections = 32   // probes and scrapes, in addition

	grace    = 250 * time.Millisecond // every connection has this long for its request before it may be closed
	goodbye  = 20 * time.Millisecond  // the same for one that the server has closed and its peer may still be reading from
	perShare = 4                      // by default one address holds 1/perShare of the connections
)

// connectionBound is the maximum number of connections of a listener: the configured one, or half of the files that
// this process may open, so that a flood never takes the descriptors that fetches, the store and the workers need.
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

// crowdRules are the limits of a crowd.
type crowdRules struct {
	bound      int            // all connections
	aside      int            // connections beyond bound, for small requests; see isAside
	perAddress int            // connections of one address (of one /64 in IPv6); 0 = no limit
	trusted    []netip.Prefix // proxies: perAddress does not apply
	meter      Meter          // nil = none
}

// member is the state of a connection. One without a request is in the crowd's ring of waiting connections.
type member struct {
	conn  net.Conn
	from  netip.Addr // the address that perAddress counts; zero = none
	aside bool

	until      time.Time // when it may be closed for another at the earliest
	prev, next *member   // in the ring; nil = it has a request
}

// insertAfter inserts m into the ring after another member.
func (m *member) insertAfter(at *member) {
	m.prev, m.next = at, at.next
	m.prev.next, m.next.prev = m, m
}

// remove removes m from the ring, if it is in it.
func (m *member) remove() {
	if m.next != nil {
		m.prev.next, m.next.prev = m.next, m.prev
		m.prev, m.next = nil, nil
	}
}

// crowd is a listener with a limited number of connections. At the limit, the connection that has waited longest
// without a complete request is closed for the new one, so that idle and drip-feeding peers cannot keep others out; a
// request that was read is never cut off. When every connection has a request, new ones wait in the kernel's queue.
type crowd struct {
	net.Listener
	rules crowdRules

	mu      sync.Mutex
	room    sync.Cond
	waiting member // the root of the ring, whose next one has waited longest; a request moves in it without allocation
	members map[net.Conn]*member
	aside   int
	from    map[netip.Addr]int
	closed  bool
	evicted int64 // closed for another connection
	refused int64 // one too many of their address
}

func newCrowd(l net.Listener, rules crowdRules) *crowd {
	c := &crowd{Listener: l, rules: rules, members: map[net.Conn]*member{}, from: map[netip.Addr]int{}}
	c.room.L = &c.mu
	c.waiting.prev, c.waiting.next = &c.waiting, &c.waiting
	return c
}

// Accept waits for the next connection, and for a free place.
func (c *crowd) Accept() (net.Conn, error) {
	for {
		conn, err := c.Listener.Accept()
		if err != nil {
			return nil, err
		}
		leaving, verdict := c.admit(conn)
		if leaving != nil {
			_ = leaving.Close() // net/http's reader of it ends with an error
		}
		switch verdict {
		case admitted:
			return conn, nil
		case tooMany:
			_ = conn.Close()
		default:
			_ = conn.Close()
			return nil, net.ErrClosed
		}
	}
}

type admission int

const (
	admitted admission = iota
	tooMany            // of its address
	shut               // the listener is closed
)

// admit waits for a free place and takes it; leaving is the connection to be closed for it.
func (c *crowd) admit(conn net.Conn) (leaving net.Conn, verdict admission) {
	m := &member{conn: conn, from: c.countedAs(conn)}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.rules.perAddress > 0 && m.from.IsValid() && c.from[m.from] >= c.rules.perAddress {
		c.closedFor("connections_per_address") // the new one, or the one that is closed for it
		gone := c.evict(func(w *member) bool { return w.from == m.from })
		if gone == nil {
			c.refused++
			return nil, tooMany
		}
		leaving, m.aside = gone.conn, gone.aside // its place is of the same kind
	}
	for len(c.members)-c.aside >= c.rules.bound && !c.closed && leaving == nil {
		if gone := c.evict(func(*member) bool { return true }); gone != nil {
			c.closedFor("connections")
			leaving, m.aside = gone.conn, gone.aside
			break
		}
		if m.aside = c.aside < c.rules.aside; m.aside {
			break
		}
		if first := c.waiting.next; first != &c.waiting {
			defer time.AfterFunc(time.Until(first.until), c.room.Broadcast).Stop()
		}
		c.room.Wait()
	}
	if c.closed {
		return leaving, shut
	}
	if m.aside {
		c.aside++
	}
	if m.from.IsValid() {
		c.from[m.from]++
	}
	c.members[conn] = m
	c.await(m, grace)
	return leaving, admitted
}

// closedFor counts a connection that is closed because of a limit.
func (c *crowd) closedFor(bound string) {
	if c.rules.meter != nil {
		c.rules.meter.ConnectionClosed(bound)
	}
}

// evict removes the first waiting connection that may be closed and that fits.
func (c *crowd) evict(fits func(*member) bool) *member {
	now := time.Now()
	for w := c.waiting.next; w != &c.waiting; w = w.next {
		if w.until.After(now) {
			return nil // as do all after it
		}
		if fits(w) {
			c.forget(w.conn)
			c.evicted++
			return w
		}
	}
	return nil
}

// await inserts a connection into the ring, in the order in which they may be closed.
func (c *crowd) await(m *member, patience time.Duration) {
	m.until = time.Now().Add(patience)
	at := c.waiting.prev
	for at != &c.waiting && at.until.After(m.until) {
		at = at.prev
	}
	m.insertAfter(at)
}

// countedAs is the address that a connection is counted under, in IPv6 its network, since a subscriber has a whole one.
func (c *crowd) countedAs(conn net.Conn) netip.Addr {
	tcp, ok := conn.RemoteAddr().(*net.TCPAddr)
	if !ok {
		return netip.Addr{}
	}
	from := tcp.AddrPort().Addr().Unmap().WithZone("")
	for _, p := range c.rules.trusted {
		if p.Contains(from) {
			return netip.Addr{}
		}
	}
	if from.Is6() {
		if net64, err := from.Prefix(64); err == nil {
			return net64.Addr()
		}
	}
	return from
}

// Close closes the listener, and ends an Accept that waits for a place.
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
	m := c.members[conn]
	if m == nil {
		return // it was closed for another
	}
	switch state {
	case http.StateActive:
		m.remove()
	case http.StateIdle:
		if m.next == nil {
			c.await(m, grace)
		}
		c.room.Broadcast()
	case http.StateClosed, http.StateHijacked:
		c.forget(conn)
		c.room.Broadcast()
	}
}

// finish says that the request of a connection is finished and that the connection will be closed. net/http keeps it
// open for another half second, so that its peer can read the response; in that time it may be closed for another.
func (c *crowd) finish(conn net.Conn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if m := c.members[conn]; m != nil && m.next == nil {
		c.await(m, goodbye)
		c.room.Broadcast()
	}
}

// isAside reports whether a connection was admitted beyond the limit, for a small request.
func (c *crowd) isAside(conn net.Conn) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	m := c.members[conn]
	return m != nil && m.aside
}

// forget frees a connection's place. The lock is held.
func (c *crowd) forget(conn net.Conn) {
	m := c.members[conn]
	if m == nil {
		return
	}
	m.remove()
	if m.aside {
		c.aside--
	}
	if m.from.IsValid() {
		if c.from[m.from]--; c.from[m.from] == 0 {
			delete(c.from, m.from)
		}
	}
	delete(c.members, conn)
}
