// Package origin fetches originals safely: allow-list, address guard, redirects, limits, completeness. It asks HTTP
// hosts itself, each by its manners; what else holds originals is a Source, held to the same limits.
package origin

import (
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
	Info         sniff.Info // what its header says
	LastModified time.Time  // as the origin says; zero = unknown
	Via          reach.Via  // the hosts that redirects led through
	Fresh        Freshness
	// Version is what the origin may be asked with whether it has changed. It is none where a redirect led to it: what
	// stands at its end says nothing of where the redirect will lead.
	Version Validators
	// Same says that the origin still has the version of Limits.Unless: there is no Body and no Info.
	Same bool
	// Release gives the admitted bytes back once Body is done with. It must be called; further calls do nothing.
	Release func()
}

// Limits narrow a single fetch. They can only lower what the Config allows.
type Limits struct {
	Bytes int64 // 0 = as configured
	// Within are the hosts that may be asked for the caller: the source's own and each that a redirect leads to. A
	// refusal for it is about the caller. It is not remembered, neither against the source nor against a host.
	Within reach.Hosts
	// Unless is the version that the caller has, if it needs no other. Redirects are followed without it.
	Unless Validators
	// Admit, if set, is asked for a slot once the host has room for the fetch and before anything is sent, so that
	// fetches that queue for one slow host take no slots from the others. The fetch gives it back.
	Admit func(ctx context.Context) (release func(), err error)
	// Waits, if set, is called where the fetch has to wait for its host: a slot that the caller brings along is better
	// lent to others.
	Waits func()
}

// Observer learns what a Client does; wired to metrics by the composition root. All methods are safe for concurrent
// use.
type Observer interface {
	// Fetched is called once per Fetch. kind is "" on success; bytes is the size of the original.
	Fetched(kind fault.Kind, elapsed time.Duration, bytes int64)
	// Noted counts an event by its name: retry, redirect, known_bad, not_modified, gzip, lacks_eoi.
	Noted(event string)
}

// Hooks are the parts of the world that a Client touches. Zero values are the real ones.
type Hooks struct {
	Now      func() time.Time // the clock of caches, circuits and lifetimes
	Resolver *net.Resolver    // looks names up
	RootCAs  *x509.CertPool   // whom TLS trusts
	Observer Observer         // nil = nobody
}

// Client fetches originals. Safe for concurrent use.
type Client struct {
	hooks     Hooks
	dial      dialFunc // through the guard
	transport *http.Transport
	negatives *Negatives
	settings  atomic.Pointer[settings]
}

// settings is all that a Config decides, swapped as a whole.
type settings struct {
	cfg    Config
	allow  []pattern
	own    []string
	guard  guard
	hosts  *hosts
	memory *budget

	transports map[*manners.Manner]*http.Transport
}

// New makes a Client. It opens nothing.
func New(cfg Config, hooks Hooks) (*Client, error) {
	if hooks.Now == nil {
		hooks.Now = time.Now
	}
	if hooks.Observer == nil {
		hooks.Observer = nobody{}
	}
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

// Reload takes a new Config at once; fetches that run keep the old one. A Config that is not valid changes nothing.
func (c *Client) Reload(cfg Config) error {
	if err := cfg.Validate(); err != nil {
		return err
	}
	s := &settings{cfg: cfg, transports: c.transports(cfg.Ways.Manners)}
	for _, text := range cfg.Allow {
		p, err := parsePattern(text)
		if err != nil {
			return err
		}
		s.allow = append(s.allow, p)
	}
	for _, name := range cfg.Self.Own {
		host, port, err := net.SplitHostPort(name)
		if err != nil {
			return err
		}
		if normal, err := normalHost(host); err == nil {
			host = normal
		}
		s.own = append(s.own, strings.ToLower(host)+":"+port)
	}
	var err error
	if s.guard, err = newGuard(cfg.AllowPrivate); err != nil {
		return err
	}
	old := c.settings.Load()
	if old != nil && old.cfg.PerHost == cfg.PerHost {
		s.hosts = old.hosts // What is known of the hosts stays.
	} else {
		s.hosts = newHosts(cfg.PerHost, c.hooks.Now)
	}
	if old != nil && old.cfg.Memory == cfg.Memory && old.cfg.MaxBytes == cfg.MaxBytes {
		s.memory = old.memory
	} else {
		s.memory = newBudget(cfg.Memory, cfg.MaxBytes)
	}
	c.settings.Store(s)
	c.negatives.clear() // The limits that made a source bad may have moved.
	if old != nil {
		c.transport.CloseIdleConnections() // They were let through by the old guard.
		old.closeIdle()
	}
	return nil
}

// Allowed reports whether source may be asked for at all, without any I/O: bad_source, source_not_allowed,
// address_blocked.
func (c *Client) Allowed(source string) error {
	_, err := c.settings.Load().parse(source)
	return err
}

// Forget drops what is remembered against source, so that the next Fetch asks its origin again.
func (c *Client) Forget(source string) { c.negatives.Forget(source) }

// Known tells how many sources are known to be bad, and how many hosts are given a rest because they failed lately.
func (c *Client) Known() (bad, resting int) {
	return c.negatives.count(), c.settings.Load().hosts.resting()
}

// ForgetAll drops what is known of bad sources.
func (c *Client) ForgetAll() { c.negatives.clear() }

// Close closes idle connections. Fetches that run end by their own contexts.
func (c *Client) Close() {
	c.transport.CloseIdleConnections()
	c.settings.Load().closeIdle()
}

// Fetch gets the original at source: at most one retry, no cookies, none of a client's headers. On success the caller
// owns Original.Release.
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
	if err := c.known(source, limits.Within); err != nil { // Another fetch may have learned it during the wait.
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
	if !narrowed || fault.KindOf(err) != fault.SourceTooLarge { // Too large for this URL is not too large for all.
		c.negatives.learn(source, f.via, err)
	}
	if c.settings.Load() != s { // It was judged by limits that a reload has replaced.
		c.negatives.Forget(source)
	}
	return o, err
}

// errNotAsked tells a circuit that its host had no say in a visit.
var errNotAsked = errors.New("the origin was not asked")

// known gives the fault of a source that is known to be bad. What a host beyond the caller's said is not told.
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

// nobody observes nothing.
type nobody struct{}

func (nobody) Fetched(fault.Kind, time.Duration, int64) {}
func (nobody) Noted(string)                             {}
