// Package sqs consumes messages from queues of Amazon SQS, or of a compatible server, and publishes notices. It
// implements Intake and Outlet, and does not look into messages.
package sqs

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsconfig "github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/sqs"

	"github.com/goldcrest/goldcrest/intake"
	"github.com/goldcrest/goldcrest/invalid"
)

// Config is the queue of one intake. Credentials are found as in every AWS program: environment, files, the machine.
type Config struct {
	// Queue is the URL of the queue of messages.
	Queue string `yaml:"queue"`
	// Dead is the URL of the queue for messages that can never be accepted, each with its reason.
	Dead string `yaml:"dead"`
	// Region is the region of the queues. Empty = that of the environment.
	Region string `yaml:"region"`
	// Endpoint is the address of a server other than Amazon's. Empty = Amazon's.
	Endpoint string `yaml:"endpoint"`
	// Visibility is the time after which a message is delivered again if its process has died. 0 = 30s.
	Visibility time.Duration `yaml:"visibility"`
}

const (
	defaultVisibility = 30 * time.Second
	mostVisibility    = 12 * time.Hour // of SQS
)

// Validate reports every invalid value.
func (c Config) Validate() error {
	var bad invalid.Values
	for _, x := range []struct{ name, url string }{{"queue", c.Queue}, {"dead", c.Dead}} {
		bad.If(!isURL(x.url), "%s: %q is not a URL such as https://sqs.eu-central-1.amazonaws.com/123456789012/units",
			x.name, x.url)
	}
	bad.If(c.Endpoint != "" && !isURL(c.Endpoint), "endpoint: %q is not a URL such as http://localhost:9324", c.Endpoint)
	bad.If(c.Queue == c.Dead, "dead: is the queue that messages come from")
	bad.If(fifo(c.Queue) != fifo(c.Dead),
		"dead: a FIFO queue's dead letters go to a FIFO queue, and those of others to none")
	bad.If(c.Visibility != 0 && (c.Visibility < time.Second || c.Visibility > mostVisibility),
		"visibility: %v is not between 1s and %v", c.Visibility, mostVisibility)
	return bad.Err()
}

// isURL reports whether a text is the address of a server or of a queue.
func isURL(text string) bool {
	u, err := url.Parse(text)
	return err == nil && (u.Scheme == "https" || u.Scheme == "http") && u.Host != "" && u.User == nil
}

// fifo reports whether a queue keeps an order.
func fifo(queue string) bool { return strings.HasSuffix(queue, ".fifo") }

// Door is one process' access to its queues. Safe for concurrent use.
type Door struct {
	cfg    Config
	client *sqs.Client
}

var (
	_ intake.Intake = (*Door)(nil)
	_ intake.Outlet = (*Outlet)(nil)
)

// Open reads credentials; it does not connect.
func Open(ctx context.Context, cfg Config, options ...func(*sqs.Options)) (*Door, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if cfg.Visibility == 0 {
		cfg.Visibility = defaultVisibility
	}
	var load []func(*awsconfig.LoadOptions) error
	if cfg.Region != "" {
		load = append(load, awsconfig.WithRegion(cfg.Region))
	}
	loaded, err := awsconfig.LoadDefaultConfig(ctx, load...)
	if err != nil {
		return nil, fmt.Errorf("the settings of AWS cannot be read: %w", err)
	}
	if loaded.Region == "" && cfg.Endpoint == "" {
		return nil, errors.New("region: neither the configuration nor the environment names one")
	}
	if loaded.Region == "" {
		loaded.Region = "us-east-1" // a signature needs one; other servers ignore it
	}
	options = append([]func(*sqs.Options){func(o *sqs.Options) {
		if cfg.Endpoint != "" {
			o.BaseEndpoint = aws.String(cfg.Endpoint)
		}
	}}, options...)
	return &Door{cfg: cfg, client: sqs.NewFromConfig(loaded, options...)}, nil
}
