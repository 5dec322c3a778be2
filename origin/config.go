package origin

import (
	"net/netip"
	"time"

	"github.com/goldcrest/goldcrest/invalid"
)

// Config says which originals may be fetched and limits a fetch.
type Config struct {
	// Allow lists the hosts that originals may come from: "img.example.com" is that host only, "*.example.com" every
	// host below example.com but not example.com itself, "*" every host. Labels are compared whole, case-insensitively.
	// Redirects are checked too. Empty = any public host.
	Allow []string `yaml:"allow"`
	// AllowPrivate lists address prefixes to which connections are allowed although they are not public, as
	// "10.0.0.0/8". Empty = none.
	AllowPrivate []string `yaml:"allow_private"`
	// Ports lists the TCP ports that originals may come from. Empty = any.
	Ports []int `yaml:"ports"`
	// Timeout is the time limit of a whole fetch, redirects and the retry included. A body slower than 1 KiB per
	// quarter of it is cut off earlier.
	Timeout time.Duration `yaml:"timeout"`
	// MaxBytes is the size of the largest original, in bytes.
	MaxBytes int64 `yaml:"max_bytes" unit:"bytes"`
	// Memory bounds the originals in memory, in bytes; further fetches wait. Bodies that arrive from one host take at
	// most a quarter of it, or one of max_bytes. It cannot be below max_bytes.
	Memory int64 `yaml:"memory" unit:"bytes"`
	// Slots is the number of concurrent fetches, over all hosts.
	Slots int `yaml:"slots"`
	// PerHost is the number of concurrent fetches from one host; further ones wait.
	PerHost int `yaml:"per_host"`
	// Redirects is the number of redirects that are followed. 0 = none.
	Redirects int `yaml:"redirects"`
	// Canonical lists query parameters that do not distinguish originals, as "X-Amz-*"; they are not part of the key,
	// but are sent with the fetch. Empty = the source is used byte for byte.
	Canonical []string `yaml:"canonical"`

	// Self is this server; set by package app.
	Self Self `yaml:"-"`
	// Ways are the origins other than plain HTTP; set by package app.
	Ways Ways `yaml:"-"`
}

// Default is the configuration of an empty file.
func Default() Config {
	return Config{
		Timeout:   10 * time.Second,
		MaxBytes:  32 << 20,
		Memory:    256 << 20,
		Slots:     64,
		PerHost:   32,
		Redirects: 3,
	}
}

// Validate reports every invalid setting.
func (c Config) Validate() error {
	var bad invalid.Values
	for _, p := range c.Allow {
		_, err := parsePattern(p)
		bad.Add("origin.allow", err)
	}
	for _, p := range c.AllowPrivate {
		_, err := netip.ParsePrefix(p)
		bad.If(err != nil, "origin.allow_private: %q is not an address prefix like 10.0.0.0/8", p)
	}
	for _, p := range c.Ports {
		bad.If(p < 1 || p > 65535, "origin.ports: %d is not a port", p)
	}
	bad.If(c.Timeout <= 0, "origin.timeout must be above 0")
	bad.If(c.MaxBytes <= 0, "origin.max_bytes must be above 0")
	bad.If(c.Memory < c.MaxBytes, "origin.memory must not be below origin.max_bytes")
	bad.If(c.Slots < 1, "origin.slots must be at least 1")
	bad.If(c.PerHost < 1, "origin.per_host must be at least 1")
	bad.If(c.Redirects < 0 || c.Redirects > 20, "origin.redirects must be between 0 and 20")
	return bad.Err()
}
