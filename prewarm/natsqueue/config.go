package natsqueue

import (
	"errors"
	"net/url"
	"strings"
	"time"
)

// Config configures the location of the queue.
type Config struct {
	// Dir is the directory of the embedded queue. It is created if absent. Only one running server may use it.
	Dir string `yaml:"dir"`
	// NATS is the URL of an external NATS cluster with JetStream ("nats://host:4222" or "tls://host:4222", several
	// joined by commas), which any number of instances share. Empty = the embedded queue. It can contain credentials
	// ("nats://user:password@host:4222"); a file is better.
	NATS string `yaml:"nats" secret:"true"`
	// User is the user name of this instance in the cluster.
	User string `yaml:"user"`
	// PasswordFile is a file with the password of User, or with a token if User is empty. It is read at every connect.
	PasswordFile string `yaml:"password_file"`
	// CredsFile is a file of credentials (.creds: a JWT and its key), for clusters with operators and accounts. It is
	// read at every connect.
	CredsFile string `yaml:"creds_file"`
	// Monitor is the monitoring port of one of its servers ("http://nats-1:8222"). At start and in doctor it is asked
	// whether NATS syncs each write before it acknowledges it. Empty = unknown.
	Monitor string `yaml:"monitor"`

	// Keep is how long records are kept; the composition root sets it from prewarm.keep.
	Keep time.Duration `yaml:"-"`
	// AckWait is the time after which a ticket without a heartbeat is delivered again. 0 = 30 s.
	AckWait time.Duration `yaml:"-"`
}

// Default is an embedded queue below the working directory.
func Default() Config { return Config{Dir: "./data/queue", Keep: 168 * time.Hour} }

// Validate reports the first invalid value.
func (c Config) Validate() error {
	if c.NATS == "" && c.Dir == "" {
		return errors.New("prewarm.queue: dir or nats must be set")
	}
	if c.NATS != "" {
		for server := range strings.SplitSeq(c.NATS, ",") { // one by one: Go 1.26.0 refuses a list of addresses
			if _, err := url.Parse(strings.TrimSpace(server)); err != nil {
				return errors.New("prewarm.queue.nats: it is not a URL, nor a list of them with commas between")
			}
		}
	}
	if u, err := url.Parse(c.Monitor); c.Monitor != "" && (err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https") {
		return errors.New("prewarm.queue.monitor: it is not a URL of http or https")
	}
	if err := c.validateCredentials(); err != nil {
		return err
	}
	if c.Keep < time.Minute {
		return errors.New("prewarm.queue: Keep is less than a minute")
	}
	return nil
}
