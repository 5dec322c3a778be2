package s3source

import (
	"cmp"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/goldcrest/goldcrest/invalid"
	"github.com/goldcrest/goldcrest/reach"
)

// Buckets says where some buckets are, and with which credentials their objects are read.
type Buckets struct {
	// Names lists the buckets; a trailing "*" matches any continuation. The first entry that matches a bucket applies;
	// a bucket without an entry is refused.
	Names []string `yaml:"names"`
	// Region is the region of the buckets. Empty means that of the environment, or us-east-1 if an endpoint is set.
	Region string `yaml:"region"`
	// Endpoint is the http or https URL of an S3-compatible server. Its address has to be public, or in
	// origin.allow_private. Empty means AWS, and for gs:// https://storage.googleapis.com.
	Endpoint string `yaml:"endpoint"`
	// PathStyle puts the bucket into the path instead of the host name, as most servers other than AWS require.
	PathStyle bool `yaml:"path_style"`
	// CredentialsFile is a file with the access key id in its first line and the secret in the second; a session token
	// may follow in a third. Empty means that the credentials come from where the AWS tools find them.
	CredentialsFile string `yaml:"credentials_file" secret:"file"`
	// Profile is the profile of the shared AWS files with the credentials. Empty = none.
	Profile string `yaml:"profile"`
	// Role is assumed with the credentials before the buckets are read.
	Role Role `yaml:"role"`
}

// Role is an AWS role to assume.
type Role struct {
	// ARN names the role. Empty = none is assumed.
	ARN string `yaml:"arn"`
	// ExternalID is the external id that the role requires. Empty = none.
	ExternalID string `yaml:"external_id"`
	// Session names the sessions in the role owner's logs. Empty = goldcrest.
	Session string `yaml:"session"`
}

// Validate reports every invalid value in a list, without I/O. key is its place in the configuration, as origin.s3.
func Validate(key string, list []Buckets) error {
	var bad invalid.Values
	for i, b := range list {
		bad.Add(fmt.Sprintf("%s: entry %d", key, i+1), b.validate())
	}
	return bad.Err()
}

func (b Buckets) validate() error {
	var bad invalid.Values
	bad.If(b.CredentialsFile != "" && b.Profile != "", "give either credentials_file or profile")
	bad.If(b.Role.ARN == "" && b.Role != (Role{}), "role.arn is missing")
	bad.If(b.Role.ARN != "" && !strings.HasPrefix(b.Role.ARN, "arn:"), "role.arn does not begin as an ARN does")
	u, err := url.Parse(b.Endpoint)
	bad.If(b.Endpoint != "" && (err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" ||
		u.User != nil || u.RawQuery != "" || u.Fragment != ""), // The value may contain credentials.
		"endpoint must be an http or https URL without user name and query")
	_, err = b.names()
	return bad.Err(err)
}

// String describes the entry without any secret.
func (b Buckets) String() string {
	from := "credentials of the environment"
	switch {
	case b.CredentialsFile != "":
		from = "credentials of " + b.CredentialsFile
	case b.Profile != "":
		from = "credentials of profile " + b.Profile
	}
	if b.Role.ARN != "" {
		from += ", role " + b.Role.ARN
	}
	return fmt.Sprintf("%s: %s, %s", strings.Join(b.Names, " "), cmp.Or(b.Endpoint, "AWS "+b.Region), from)
}

// names parses the patterns of buckets.
func (b Buckets) names() (reach.Hosts, error) {
	if len(b.Names) == 0 {
		return "", errors.New("names lists no bucket (\"*\" is every bucket)")
	}
	patterns := make([]string, len(b.Names))
	for i, name := range b.Names {
		patterns[i] = "s3://" + name
	}
	hosts, err := reach.Of(patterns)
	if err != nil {
		return "", fmt.Errorf("names: %w", err)
	}
	return hosts, nil
}
