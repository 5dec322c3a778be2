package s3store

import (
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/goldcrest/goldcrest/cache"
)

// Config configures the store in an S3 bucket. It does not contain credentials: they come from where the AWS tools find
// them (environment, shared files, the role of the machine or container).
type Config struct {
	// Bucket is the bucket's name. Empty means that S3 is not used.
	Bucket string `yaml:"bucket"`
	// Prefix begins every object's name; the store owns every object below it. Empty means that the store owns the
	// whole bucket.
	Prefix string `yaml:"prefix"`
	// Region is the bucket's region. Empty means that of the environment, or us-east-1 if an endpoint is set.
	Region string `yaml:"region"`
	// Endpoint is the http or https URL of an S3-compatible server. Empty means AWS.
	Endpoint string `yaml:"endpoint"`
	// PathStyle puts the bucket into the path instead of the host name, as most servers other than AWS require.
	PathStyle bool `yaml:"path_style"`
	// Checksums says when the client sends and checks S3's own checksums: when_required, which every server supports,
	// or when_supported. Entries have their own checksum in either case.
	Checksums string `yaml:"checksums"`
	// Seal is the seal of entries, from cache.seal_key.
	Seal cache.Seal
}

// The values of Config.Checksums.
const (
	whenRequired  = "when_required"
	whenSupported = "when_supported"
)

// Default has no bucket, so the directory store is used.
func Default() Config { return Config{Checksums: whenRequired} }

// Validate reports the first invalid value.
func (c Config) Validate() error {
	if c.Checksums != whenRequired && c.Checksums != whenSupported {
		return fmt.Errorf("cache.store.s3.checksums must be %s or %s", whenRequired, whenSupported)
	}
	if err := cache.CheckPrefix(strings.Trim(c.Prefix, "/")); err != nil || len(c.Prefix) > 200 {
		return errors.New("cache.store.s3.prefix must be a path of printable ASCII, at most 200 bytes")
	}
	if c.Endpoint == "" {
		return nil
	}
	u, err := url.Parse(c.Endpoint)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		// The value is not repeated in the error: it may contain credentials.
		return errors.New("cache.store.s3.endpoint must be an http or https URL without user name and query")
	}
	return nil
}
