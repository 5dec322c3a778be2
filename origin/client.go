// Package origin fetches originals safely: allow-list, address guard, redirects, limits, completeness. It fetches from
// HTTP hosts itself, with the settings of package manners; other kinds of origin implement Source and have the same
// limits.
package origin

import (
	"cmp"
	"context"
	"crypto/x509"
	"errors"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/goldcrest/goldcrest/fault"
	"github.com/goldcrest/goldcrest/origin/manners"
	"github.com/goldcrest/goldcrest/reach"
	"github.com/goldcrest/goldcrest/sniff"
)

// Original is a fetched original, complete and known to be a picture.
type Original struct {
	Body         []byte     // immutable
	Info         sniff.Info // parsed from its header
	LastModified time.Time  // according to the origin; zero = unknown
	Via          reach.Via  // the hosts that redirects led through
	Fresh        Freshness
	// Version is for conditional requests. It is empty after a redirect: a 304 from its target does not say where the
	// redirect leads next time.
	Version Validators
	// Same says that the origin still has the version in Limits.Unless: there is no Body and no Info.
	Same bool
	// Release frees the admitted bytes when Body is not needed any more. It must be called; further calls do nothing.
	Release func()
}

// Limits narrow a single fetch. They can only lower the limits of Config.
type Limits struct {
	Bytes int64 // 0 = as configured
	// Within are the hosts that may be fetched from for this caller: the source's own and each redirect's. A refusal
	// because of it is not remembered, neither for the source nor for a host.
	Within reach.Hosts
	// Unless is the version that the caller has. Requests that follow a redirect are sent without it.
	Unless Validators
	// Admit, if set, is called for a slot once the host has room for the fetch and before anything is sent, so that
	// fetches that queue for one slow host take no slots from others. The fetch releases the slot.
	Admit func(ctx context.Context) (release func(), err error)
	// Waits, if set, is called when the fetch has to wait for its host, so that the caller can lend its own slot to
	// others.
	Waits func()
}

// Observer is notified of a Client's work; app connects it to metrics. All methods are safe for concurrent use.
type Observer interface {
	// Fetched is called once per Fetch. kind is "" on success; bytes is the size of the original.
	Fetched(kind fault.Kind, elapsed time.Duration, bytes int64)
	// Noted counts an event by its name: retry, redirect, known_bad, not_modified, gzip, lacks_eoi.
	Noted(event string)
}

// Hooks replace the parts of the world that a Client uses. Zero values are the real ones.
type Hooks struct {
	Now      func() time.Time // the clock of caches, circuit breakers and lifetimes
	Resolver *net.Resolver    // resolves names
	RootCAs  *x509.CertPool   // that TLS trusts
	Observer Observer         // nil = none
	Agent    string           // the User-Agent; empty = goldcrest
}

// Client fetches originals. Safe for concurrent use.
type Client struct {
	hooks     Hooks
	dial      dialFunc // with the address guard
	transport *http.Transport
	negatives *Negatives
	settings  atomic.Pointer[settings]
}

// settings is everything derived from a Config; it is replaced as a whole.
type settings struct {
	cfg    Config
	allow  []pattern
	own    []string
	guard  guard
	hosts  *hosts
	memory *budget

	transports map[*manners.Manner]*http.Transport
}

// New makes a Client. It opens no connection.
func New(cfg Config, hooks Hooks) (*Client, error) {
	if hooks.Now == nil {
		hooks.Now = time.Now
	}
	if hooks.Observer == nil {
		hooks.Observer = nobody{}
	}
	hooks.Agent = cmp.Or(hooks.Agent, "goldcrest")
	c := &Client{hooks: hooks, negatives: NewNegatives(hooks.Now)}
	dialer := &net.Dialer{
		Resolver: hooks.Resolver,
		Control: func(network, address string, conn syscall.RawConn) error {
			return c.settings.Load().guard.control(network, address, conn)
		},
	}
	c.dial = dialer.DialContext
	c.transport = newTransport(c.dial, hooks.RootCAs)
	if err := c.Reload(cfg); err != nil {
		return nil, err
	}
	return c, nil
}

// parseRules reads the patterns and addresses of the configuration.
func (s *settings) parseRules() error {
	for _, text := range s.cfg.Allow {
		p, err := parsePattern(text)
		if err != nil {
			return err
		}
		s.allow = append(s.allow, p)
	}
	for _, name := range s.cfg.Self.Own {
		host, port, err := net.SplitHostPort(name)
		if err != nil {
			return err
		}
		if normal, err := normalHost(host); err == nil {
			host = normal
		}
		s.own = append(s.own, strings.ToLower(host)+":"+port)
	}
	guard, err := newGuard(s.cfg.AllowPrivate)
	s.guard = guard
	return err
}

// Reload applies a new Config at once; running fetches keep the old one. An invalid Config changes nothing.
func (c *Client) Reload(cfg Config) error {
	if err := cfg.Validate(); err != nil {
		return err
	}
	s := &settings{cfg: cfg, transports: c.transports(cfg.Ways.Manners)}
	if err := s.parseRules(); err != nil {
		return err
	}
	old := c.settings.Load()
	if old != nil && old.cfg.PerHost == cfg.PerHost {
		s.hosts = old.hosts // The state of hosts survives.
	} else {
		s.hosts = newHosts(cfg.PerHost, c.hooks.Now)
	}
	if old != nil && old.cfg.Memory == cfg.Memory && old.cfg.MaxBytes == cfg.MaxBytes {
		s.memory = old.memory
	} else {
		s.memory = newBudget(cfg.Memory, cfg.MaxBytes)
	}
	c.settings.Store(s)
	c.negatives.clear() // The limits that made a source bad may have changed.
	if old != nil {
		c.transport.CloseIdleConnections() // The old guard admitted them.
		old.closeIdle()
	}
	return nil
}

// Forget drops the cached failure of source, so that the next Fetch contacts its origin again.
func (c *Client) Forget(source string) { c.negatives.Forget(source) }

// Known returns the number of sources known to be bad, and of hosts with an open circuit.
func (c *Client) Known() (bad, resting int) {
	return c.negatives.count(), c.settings.Load().hosts.resting()
}

// ForgetAll drops all cached failures.
func (c *Client) ForgetAll() { c.negatives.clear() }

// Close closes idle connections. Running fetches end by their own contexts.
func (c *Client) Close() {
	c.transport.CloseIdleConnections()
	c.settings.Load().closeIdle()
}

// Fetch downloads the original at source: at most one retry, no cookies, none of a client's headers. On success the
// caller must call Original.Release.
func (c *Client) Fetch(ctx context.Context, source string, limits Limits) (Original, error) {
	start := c.hooks.Now()
	o, err := c.fetch(ctx, source, limits)
	c.hooks.Observer.Fetched(fault.KindOf(err), c.hooks.Now().Sub(start), int64(len(o.Body)))
	return o, err
}

func (c *Client) fetch(ctx context.Context, source string, limits Limits) (Original, error) {
	s := c.settings.Load()
	u, err := s.parse(source)
	if err != nil {
		return Original{}, err
	}
	if !limits.Within.Allows(reach.Place(u.Scheme, u.Hostname())) {
		return Original{}, reach.Refused("origin.fetch")
	}
	if err := c.known(source, limits.Within); err != nil {
		return Original{}, err
	}
	v, err := s.hosts.enter(ctx, hostName(u), limits.Waits)
	if err != nil {
		return Original{}, err
	}
	verdict := errNotAsked
	defer func() { v.leave(verdict) }()
	if err := c.known(source, limits.Within); err != nil { // Another fetch may have failed during the wait.
		return Original{}, err
	}
	if limits.Admit != nil {
		release, err := limits.Admit(ctx)
		if err != nil {
			return Original{}, err
		}
		defer release()
	}
	f := fetch{client: c, settings: s, source: u, at: u, cap: s.cfg.MaxBytes, limits: limits}
	defer func() { verdict = f.leave(verdict) }()
	narrowed := limits.Bytes > 0 && limits.Bytes < f.cap
	if narrowed {
		f.cap = limits.Bytes
	}
	o, err := f.run(ctx)
	verdict = err
	if !narrowed || fault.KindOf(err) != fault.SourceTooLarge { // Too large for this URL may not be too large for others.
		c.negatives.learn(source, f.via, err)
	}
	if c.settings.Load() != s { // A reload has replaced the limits of this fetch.
		c.negatives.Forget(source)
	}
	return o, err
}

// errNotAsked says that no request was sent, so that the circuit learns nothing.
var errNotAsked = errors.New("the origin was not asked")

// known returns the fault of a source that is known to be bad, unless it was found through a host that the caller may
// not use.
func (c *Client) known(source string, within reach.Hosts) error {
	f, via := c.negatives.Find(source)
	if f == nil {
		return nil
	}
	c.hooks.Observer.Noted("known_bad")
	if !within.AllowsAll(via) {
		return reach.Refused("origin.known")
	}
	return f
}

// nobody is an Observer that does nothing.
type nobody struct{}

func (nobody) Fetched(fault.Kind, time.Duration, int64) {}
func (nobody) Noted(string)                             {}
