package server

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/goldcrest/goldcrest/prewarm"
	"github.com/goldcrest/goldcrest/prewarm/unit"
	"github.com/goldcrest/goldcrest/signing"
)

// Config holds what the two listeners are told. Start from Default.
type Config struct {
	// Listen is the address of the public listener: images and /health, nothing else. Port 0 lets the system choose.
	Listen string `yaml:"listen"`
	// Admin is the address of the private listener: health, metrics, API and console. Keep it away from the internet.
	Admin string `yaml:"admin"`
	// AdminHosts are further host names, without port, under which the private listener may be called. Loopback names,
	// the host of admin and the address a connection came in on are always allowed; any other name is refused, so that
	// a web page cannot reach the listener by DNS rebinding.
	AdminHosts []string `yaml:"admin_hosts"`
	// BaseURL is the address of the public listener as phones and the CDN write it; signed URLs begin with it. Its port
	// may be left out where it is the scheme's own, 80 or 443.
	BaseURL string `yaml:"base_url"`
	// PathPrefix is a path that comes before every image path and is not signed, such as "/img". Empty = none.
	PathPrefix string `yaml:"path_prefix"`
	// CORS lists the origins whose scripts may read answers, such as "https://shop.example"; "*" = all, empty = none.
	CORS []string `yaml:"cors"`
	// Deadline is how long one answer may take until its first byte, as a duration.
	Deadline time.Duration `yaml:"deadline"`
	// Drain is how long a stop may take in all, as a duration: readiness goes off, new requests are still accepted
	// until they stop coming (at most the larger of half of it and what exceeds deadline), then running ones end. 0 =
	// stop at once.
	Drain time.Duration `yaml:"drain"`
	// MaxURL is the longest request target that is read, in bytes.
	MaxURL int64 `yaml:"max_url" unit:"bytes"`
	// Connections bounds the open connections of the public listener; those that wait the longest without a whole
	// request make room for new ones. The private listener holds as many, at most 256. 0 = half of the files that the
	// process may open, at most 8192.
	Connections int `yaml:"connections"`
	// ConnectionsPerAddress bounds the connections of one client address (of one /64 network in IPv6) to the public
	// listener. One more has to wait for nobody: the longest idle of that address makes room, or the new one is closed.
	// 0 = a quarter of connections, and no bound for loopback, where only a proxy on this machine connects from; -1 =
	// no bound. Behind a CDN or a proxy on another machine list its networks in trusted_proxies, or set -1.
	ConnectionsPerAddress int `yaml:"connections_per_address"`
	// TrustedProxies are networks, such as 10.0.0.0/8, whose connections stand for many clients:
	// connections_per_address does not count for them.
	TrustedProxies []string `yaml:"trusted_proxies"`
	// PProf opens /debug/pprof/ on the private listener to tokens with scope admin.
	PProf bool `yaml:"pprof"`
}

// Default is the configuration of a single server on one machine.
func Default() Config {
	return Config{
		Listen: ":8080", Admin: "127.0.0.1:8081", BaseURL: "http://localhost:8080",
		Deadline: 25 * time.Second, Drain: 30 * time.Second, MaxURL: 16 << 10,
	}
}

// Validate reports the first value that cannot work.
func (c Config) Validate() error {
	for name, addr := range map[string]string{"listen": c.Listen, "admin": c.Admin} {
		_, port, err := net.SplitHostPort(addr)
		if err == nil {
			_, err = net.LookupPort("tcp", port)
		}
		if err != nil {
			return fmt.Errorf("server.%s: %q is not host:port", name, addr)
		}
	}
	if _, err := c.PublicHost(); err != nil {
		return err
	}
	switch {
	case c.PathPrefix != "" && (c.PathPrefix[0] != '/' || strings.HasSuffix(c.PathPrefix, "/")):
		return fmt.Errorf("server.path_prefix: %q must begin with / and not end with it", c.PathPrefix)
	case c.Deadline <= 0:
		return errors.New("server.deadline: must be positive")
	case c.Drain < 0:
		return errors.New("server.drain: must not be negative")
	case c.Connections < 0 || c.Connections > 0 && c.Connections < 4:
		return errors.New("server.connections: must be 0 (from the machine) or at least 4")
	case c.ConnectionsPerAddress < -1:
		return errors.New("server.connections_per_address: must be a number of connections, 0 (from the machine) or -1 (no bound)")
	case c.MaxURL < 256 || c.MaxURL > 1<<20:
		return errors.New("server.max_url: must be between 256 bytes and 1 MiB")
	}
	for _, p := range c.TrustedProxies {
		if _, err := netip.ParsePrefix(p); err != nil {
			return fmt.Errorf("server.trusted_proxies: %q is not a network such as 10.0.0.0/8", p)
		}
	}
	for _, o := range c.CORS {
		if u, err := url.Parse(o); o != "*" && (err != nil || u.Scheme == "" || u.Host == "" || u.Path != "") {
			return fmt.Errorf("server.cors: %q is not an origin such as https://shop.example, nor *", o)
		}
	}
	return nil
}

// PublicURL is what image paths are appended to in URLs for viewers: BaseURL and PathPrefix.
func (c Config) PublicURL() string { return strings.TrimSuffix(c.BaseURL, "/") + c.PathPrefix }

// PublicHost is the host:port of BaseURL. Where the URL names no port, it is the scheme's.
func (c Config) PublicHost() (string, error) {
	u, err := url.Parse(c.BaseURL)
	bad := err != nil || u.Hostname() == "" || u.RawQuery != "" || u.Fragment != ""
	switch {
	case err == nil && u.User != nil:
		return "", errors.New("server.base_url: must not hold a user or password")
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

// perAddress is how many of bound connections one address may have; 0 = no bound.
func (c Config) perAddress(bound int) int {
	switch {
	case c.ConnectionsPerAddress < 0:
		return 0
	case c.ConnectionsPerAddress > 0:
		return c.ConnectionsPerAddress
	}
	return max(bound/perShare, 1)
}

// trusted are the networks of TrustedProxies, which Validate has read, and loopback where the bound is not configured.
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

// API holds who may call the private listener's API.
type API struct {
	// Tokens are the bearer tokens of the API. Empty = the API refuses everybody.
	Tokens []Token `yaml:"tokens"`
	// Rate is how many calls a second each token may make, however many Data Units they hold; more are refused with
	// rate_limited before their body is read. 0 = no limit.
	Rate int `yaml:"rate"`
	// Burst is how many of them may come at once. 0 = two seconds' worth.
	Burst int `yaml:"burst"`
}

// DefaultAPI has no tokens, and a limit that only floods reach: a million Data Units an hour are 278 calls a second if
// each comes alone.
func DefaultAPI() API { return API{Rate: 1000} }

// Token is one caller of the API.
type Token struct {
	// Name says whose token it is: in the log, and as the owner of the jobs that it posts, which keeps them when the
	// secret is rotated. Jobs of a token without a name belong to admin.
	Name string `yaml:"name"`
	// Token is the secret itself, at least 16 characters; or set token_file.
	Token string `yaml:"token" secret:"true"`
	// TokenFile is a file that holds the secret; blanks around it are dropped. It is read again at each reload.
	// The server refuses one that another user
	// could write or exchange: it belongs to root or to the server's user, and so do the directories above it.
	TokenFile string `yaml:"token_file"`
	// Scopes say what it may do: prewarm, check, sign, explain, purge, compat, admin.
	Scopes []string `yaml:"scopes"`
	// Key is the id of the key in signing.keys that /v1/prewarm and /v1/sign sign with for this token, and no other.
	// Empty = the first valid one, or the one that a call of /v1/sign names.
	Key string `yaml:"key"`
	// Sources are the hosts of the sources that it may ask for, in prewarm, check, sign, explain and purge:
	// "img.example.com", or "*.example.com" for every host below it. They hold on each redirect too, also for what the
	// cache has; of what prewarm makes for it, those of its key do as well. Empty = every host.
	Sources []string `yaml:"sources"`
	// Presets are the names of the presets that it may ask for, in prewarm, sign and explain, and then nothing else.
	// Empty = all presets and options.
	Presets []string `yaml:"presets"`
	// Bodies are the ways in which bodies of this token may be read: unit, units and envelope, as the query's body
	// says; where one is listed, that needs no saying. With unit and units nothing inside a posted document is an
	// instruction. Empty = any, and where the query does not say, by the body's shape.
	Bodies []string `yaml:"bodies"`
	// Rate is api.rate for this token alone. 0 = that.
	Rate int `yaml:"rate"`
	// Burst belongs to Rate. 0 = two seconds' worth.
	Burst int `yaml:"burst"`
	// Quota bounds what it may have made ahead; what exceeds it is refused with quota_exceeded. It belongs to the name:
	// tokens of one name share it, and say the same.
	Quota prewarm.Quota `yaml:"quota"`
}

// The scopes of API tokens.
const (
	ScopePrewarm = "prewarm"
	ScopeCheck   = "check"
	ScopeSign    = "sign"
	ScopeExplain = "explain"
	ScopePurge   = "purge"
	ScopeCompat  = "compat"
	ScopeAdmin   = "admin"
)

// minToken is the shortest token taken: 16 characters of a random alphabet cannot be guessed over HTTP.
const minToken = 16

// Validate reports the first token that cannot work.
func (a API) Validate() error {
	known := []string{ScopePrewarm, ScopeCheck, ScopeSign, ScopeExplain, ScopePurge, ScopeCompat, ScopeAdmin}
	if err := (signing.Limit{Rate: a.Rate, Burst: a.Burst}).Validate(); err != nil {
		return fmt.Errorf("api.%w", err)
	}
	for i, t := range a.Tokens {
		name := fmt.Sprintf("api.tokens[%d] (%s)", i, t.Name)
		switch {
		case (t.Token == "") == (t.TokenFile == ""):
			return fmt.Errorf("%s: set one of token and token_file", name)
		case t.Token != "" && len(t.Token) < minToken:
			return fmt.Errorf("%s: token is shorter than %d characters", name, minToken)
		case len(t.Scopes) == 0:
			return fmt.Errorf("%s: scopes is empty, so the token would open nothing", name)
		}
		for _, s := range t.Scopes {
			if !slices.Contains(known, s) {
				return fmt.Errorf("%s: unknown scope %q; known are %s", name, s, strings.Join(known, ", "))
			}
		}
		if _, err := signing.NewRights(t.Sources, t.Presets); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		if slices.Contains(t.Scopes, ScopeCompat) && len(t.Sources)+len(t.Presets) > 0 {
			return fmt.Errorf("%s: the scope %s knows neither sources nor presets: give that to a token of its own", name, ScopeCompat)
		}
		for _, b := range t.Bodies {
			if !slices.Contains(unit.Bodies(), b) {
				return fmt.Errorf("%s: bodies: %q is none of %s", name, b, strings.Join(unit.Bodies(), ", "))
			}
		}
		if err := a.validateLimits(t); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

// validateLimits reports a limit that cannot work, and a quota of which nobody could say whose it is, or how large.
func (a API) validateLimits(t Token) error {
	if err := (signing.Limit{Rate: t.Rate, Burst: t.Burst}).Validate(); err != nil {
		return err
	}
	if t.Name == "" && t.Quota != (prewarm.Quota{}) {
		return errors.New("quota: belongs to the token's name, and it has none")
	}
	for _, other := range a.Tokens {
		if other.Name == t.Name && other.Quota != t.Quota {
			return errors.New("quota: tokens of one name share it, and have to say the same")
		}
	}
	return t.Quota.Validate()
}

// Quotas are those of all tokens that have a name, by it.
func (a API) Quotas() map[string]prewarm.Quota {
	all := map[string]prewarm.Quota{}
	for _, t := range a.Tokens {
		if t.Name != "" {
			all[t.Name] = t.Quota
		}
	}
	return all
}

// Lifetimes are the answers' Cache-Control, as the cache's configuration says it.
type Lifetimes struct {
	MaxAge       time.Duration // of a final answer
	FirstMaxAge  time.Duration // of a first-stage or stale answer, which a better one will replace
	SWR          time.Duration // stale-while-revalidate; 0 = not said
	SIE          time.Duration // stale-if-error; 0 = not said
	TTL          time.Duration // life of an entry; 0 = for ever, which makes final answers immutable
	HonourOrigin bool          // the origin's own lifetime bounds MaxAge
}
