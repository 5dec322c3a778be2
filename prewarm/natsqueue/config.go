package natsqueue

import (
	"net/url"
	"strings"
	"time"

	"github.com/goldcrest/goldcrest/invalid"
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
	PasswordFile string `yaml:"password_file" secret:"file"`
	// CredsFile is a file of credentials (.creds: a JWT and its key), for clusters with operators and accounts. It is
	// read at every connect.
	CredsFile string `yaml:"creds_file" secret:"file"`
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

// Validate reports every invalid value.
func (c Config) Validate() error {
	var bad invalid.Values
	bad.If(c.NATS == "" && c.Dir == "", "prewarm.queue: dir or nats must be set")
	for server := range strings.SplitSeq(c.NATS, ",") { // one by one: Go 1.26.0 refuses a list of addresses
		_, err := url.Parse(strings.TrimSpace(server))
		bad.If(err != nil, "prewarm.queue.nats: it is not a URL, nor a list of them with commas between")
	}
	u, err := url.Parse(c.Monitor)
	bad.If(c.Monitor != "" && (err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https"),
		"prewarm.queue.monitor: it is not a URL of http or https")
	bad.If(c.Keep < time.Minute, "prewarm.queue: Keep is less than a minute")
	return bad.Err(c.validateCredentials())
}
