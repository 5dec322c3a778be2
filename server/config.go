package server

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/goldcrest/goldcrest/invalid"
)

// Config configures the two listeners. Start from Default.
type Config struct {
	// Listen is the address of the public listener: only images and /health. Port 0 lets the system choose.
	Listen string `yaml:"listen"`
	// Admin is the address of the private listener: health, metrics, API and console. Keep it away from the internet.
	Admin string `yaml:"admin"`
	// AdminHosts are further host names, without port, of the private listener. Loopback names, the host of admin and
	// the address a connection came in on are always allowed; any other name is refused, so that a web page cannot
	// reach the listener by DNS rebinding.
	AdminHosts []string `yaml:"admin_hosts"`
	// BaseURL is the public URL of the public listener, as phones and the CDN use it; signed URLs begin with it. The
	// port may be omitted if it is the scheme's default, 80 or 443.
	BaseURL string `yaml:"base_url"`
	// PathPrefix is a path that precedes every image path and is not signed, such as "/img". Empty = none.
	PathPrefix string `yaml:"path_prefix"`
	// Headers are settings of response headers.
	Headers `yaml:",inline"`
	// Deadline is the maximum time until the first byte of a response, as a duration.
	Deadline time.Duration `yaml:"deadline"`
	// Drain is the maximum time of a stop, as a duration: readiness goes off, new requests are still accepted until no
	// more come (at most for the larger of half of it and what exceeds deadline), then running ones end. 0 = stop at
	// once.
	Drain time.Duration `yaml:"drain"`
	// MaxURL is the maximum length of a request target, in bytes.
	MaxURL int64 `yaml:"max_url" unit:"bytes"`
	// Connections is the maximum number of open connections of the public listener; at the limit the one that has
	// waited longest without a complete request is closed for a new one. The private listener has the same limit, at
	// most 256. 0 = half of the files that the process may open, at most 8192.
	Connections int `yaml:"connections"`
	// ConnectionsPerAddress is the maximum number of connections of one client address (of one /64 network in IPv6) to
	// the public listener. One more closes the longest idle one of that address, or is closed itself. 0 = a quarter of
	// connections, and no limit for loopback, from where only a proxy on this machine connects; -1 = no limit. Behind a
	// CDN or a proxy on another machine list its networks in trusted_proxies, or set -1.
	ConnectionsPerAddress int `yaml:"connections_per_address"`
	// TrustedProxies are networks, such as 10.0.0.0/8, whose connections carry many clients: connections_per_address
	// does not apply to them.
	TrustedProxies []string `yaml:"trusted_proxies"`
	// PProf enables /debug/pprof/ on the private listener for tokens with scope admin.
	PProf bool `yaml:"pprof"`
}

// Headers says what response headers tell, and to which origins.
type Headers struct {
	// CORS lists the origins whose scripts may read responses, such as "https://shop.example"; "*" = all, empty = none.
	CORS []string `yaml:"cors"`
	// DebugHeaders adds headers with the sizes of original and variant, as imgproxy's debug headers do:
	// X-Origin-Content-Length, X-Origin-Width, X-Origin-Height, X-Result-Width and X-Result-Height.
	DebugHeaders bool `yaml:"debug_headers"`
}

// Default is the configuration of a single server on one machine.
func Default() Config {
	return Config{
		Listen: ":8080", Admin: "127.0.0.1:8081", BaseURL: "http://localhost:8080",
		Deadline: 25 * time.Second, Drain: 30 * time.Second, MaxURL: 16 << 10,
	}
}

// Validate reports every invalid value.
func (c Config) Validate() error {
	var bad invalid.Values
	for name, addr := range map[string]string{"listen": c.Listen, "admin": c.Admin} {
		_, port, err := net.SplitHostPort(addr)
		if err == nil {
			_, err = net.LookupPort("tcp", port)
		}
		bad.If(err != nil, "server.%s: %q is not host:port", name, addr)
	}
	bad.If(c.PathPrefix != "" && (c.PathPrefix[0] != '/' || strings.HasSuffix(c.PathPrefix, "/")),
		"server.path_prefix: %q must begin with / and not end with it", c.PathPrefix)
	bad.If(c.Deadline <= 0, "server.deadline: must be positive")
	bad.If(c.Drain < 0, "server.drain: must not be negative")
	bad.If(c.Connections < 0 || c.Connections > 0 && c.Connections < 4,
		"server.connections: must be 0 (from the machine) or at least 4")
	bad.If(c.ConnectionsPerAddress < -1, "server.connections_per_address: must be a number of connections, "+
		"0 (from the machine) or -1 (no bound)")
	bad.If(c.MaxURL < 256 || c.MaxURL > 1<<20, "server.max_url: must be between 256 bytes and 1 MiB")
	for _, p := range c.TrustedProxies {
		_, err := netip.ParsePrefix(p)
		bad.If(err != nil, "server.trusted_proxies: %q is not a network such as 10.0.0.0/8", p)
	}
	for _, o := range c.CORS {
		u, err := url.Parse(o)
		bad.If(o != "*" && (err != nil || u.Scheme == "" || u.Host == "" || u.Path != ""),
			"server.cors: %q is not an origin such as https://shop.example, nor *", o)
	}
	_, err := c.PublicHost()
	return bad.Err(err)
}

// OnLoopback reports whether the public listener has a loopback address.
func (c Config) OnLoopback() bool {
	host, _, err := net.SplitHostPort(c.Listen)
	addr, bad := netip.ParseAddr(host)
	return err == nil && bad == nil && addr.IsLoopback()
}

// PublicURL is the prefix of image paths in URLs for viewers: BaseURL and PathPrefix.
func (c Config) PublicURL() string { return strings.TrimSuffix(c.BaseURL, "/") + c.PathPrefix }

// PublicHost is the host:port of BaseURL. Without a port in the URL, it is the scheme's default.
func (c Config) PublicHost() (string, error) {
	u, err := url.Parse(c.BaseURL)
	bad := err != nil || u.Hostname() == "" || u.RawQuery != "" || u.Fragment != ""
	switch {
	case err == nil && u.User != nil:
		return "", errors.New("server.base_url: must not contain a user or password")
	case bad || (u.Scheme != "http" && u.Scheme != "https"):
		return "", fmt.Errorf("server.base_url: %q is not an http or https address without query", c.BaseURL)
	}
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return "", fmt.Errorf("server.base_url: %q: %s is not a port", c.BaseURL, port)
	}
	return net.JoinHostPort(u.Hostname(), port), nil
}

// perAddress is how many of bound connections one address may have; 0 = no limit.
func (c Config) perAddress(bound int) int {
	switch {
	case c.ConnectionsPerAddress < 0:
		return 0
	case c.ConnectionsPerAddress > 0:
		return c.ConnectionsPerAddress
	}
	return max(bound/perShare, 1)
}

// trusted are the networks of TrustedProxies, which Validate has parsed, and loopback if the limit is not configured.
func (c Config) trusted() []netip.Prefix {
	var list []netip.Prefix
	if c.ConnectionsPerAddress == 0 {
		list = append(list, netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128"))
	}
	for _, text := range c.TrustedProxies {
		if p, err := netip.ParsePrefix(text); err == nil {
			list = append(list, p)
		}
	}
	return list
}
