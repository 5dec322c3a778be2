package intake

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/goldcrest/goldcrest/prewarm/unit"
)

// The kinds of brokers.
const (
	RabbitMQ = "rabbitmq"
	NATS     = "nats"
	SQS      = "sqs"
)

// Config is one intake: a queue whose messages are Data Units, and the destination of their verdicts.
type Config struct {
	// Name identifies the intake in metrics, in the log and on the console. Letters, digits, "_" and "-".
	Name string `yaml:"name"`
	// Broker is the source of its messages.
	Broker Broker `yaml:",inline"`
	// Token is the name of the token in api.tokens that it acts as: its messages have that token's limits, quota and
	// rights. It needs the scope prewarm.
	Token string `yaml:"token"`
	// Body is the interpretation of a message: unit, units or envelope. Empty = by the token's bodies, else by its
	// shape.
	Body string `yaml:"body"`
	// Presets are the variants of messages that name none. Empty = prewarm.presets.
	Presets []string `yaml:"presets"`
	// Slots is the number of messages that are handled concurrently until they are accepted, and the prefetch count of
	// the broker. 0 = 32.
	Slots int `yaml:"slots"`
	// Verdicts is the destination of verdicts.
	Verdicts Verdicts `yaml:"verdicts"`
}

// Broker is the source of an intake's messages.
type Broker struct {
	// Kind is rabbitmq, nats or sqs.
	Kind string `yaml:"kind"`
	// URL is the broker's address, such as amqps://user:password@mq.example/shop; if it has credentials, prefer
	// url_file. For sqs it is the address of a server other than Amazon's. Empty = Amazon's.
	URL string `yaml:"url" secret:"true"`
	// URLFile is a file with the address; surrounding whitespace is dropped. It is read again at each connection.
	URLFile string `yaml:"url_file"`
	// CredsFile is a file of credentials (.creds: a JWT and its key) for NATS with operators and accounts. It is read
	// again at each connection.
	CredsFile string `yaml:"creds_file"`
	// CAFile is a file of PEM certificates that sign the broker's certificate. Empty = those of the system.
	CAFile string `yaml:"ca_file"`
	// From is the queue, or the NATS subject, of the messages. It is created, durable, if it does not exist. For sqs it
	// is the URL of an existing queue; so are dead and verdicts.to.
	From string `yaml:"from"`
	// Dead is the queue, or the subject, for messages that can never be accepted, each with its reason. Empty = from
	// plus ".dead". For sqs it must be set.
	Dead string `yaml:"dead"`
	// Tasks are the names of the Celery tasks whose calls are messages; calls of others are dead letters. Empty =
	// goldcrest.prewarm.
	Tasks []string `yaml:"tasks"`
}

// Verdicts is the destination of an intake's verdicts.
type Verdicts struct {
	// To is the queue, or the subject, that they are published to. Empty = they are not published.
	To string `yaml:"to"`
	// Task is the name of a Celery task: verdicts are published as calls of it, whose only argument is the verdict.
	// Empty = plain JSON.
	Task string `yaml:"task"`
	// Events are the published events: unit.done, unit.refused and job.done. Empty = all.
	Events []string `yaml:"events"`
}

// DefaultTask is the Celery task whose calls are messages if the configuration names none.
const DefaultTask = "goldcrest.prewarm"

const (
	defaultSlots = 32
	maxSlots     = 1024
)

// Slotted is Slots, or its default.
func (c Config) Slotted() int {
	if c.Slots == 0 {
		return defaultSlots
	}
	return c.Slots
}

// DeadName is Dead, or its default.
func (b Broker) DeadName() string {
	if b.Dead == "" {
		return b.From + ".dead"
	}
	return b.Dead
}

// Takes reports whether calls of a Celery task are messages.
func (b Broker) Takes(task string) bool {
	return slices.Contains(b.Tasks, task) || len(b.Tasks) == 0 && task == DefaultTask
}

// Wants reports whether notices of a type are published.
func (v Verdicts) Wants(event string) bool {
	return v.To != "" && (len(v.Events) == 0 || slices.Contains(v.Events, event))
}

// Validate reports the first invalid value.
func (c Config) Validate() error {
	switch {
	case c.Name == "" || len(c.Name) > 64 || strings.Trim(c.Name, nameCharacters) != "":
		return fmt.Errorf("name: %q is not 1 to 64 letters, digits, _ and -", c.Name)
	case c.Token == "":
		return errors.New("token: an intake acts as a token; name one of api.tokens")
	case c.Body != "" && !slices.Contains(unit.Bodies(), c.Body):
		return fmt.Errorf("body: %q is none of %s", c.Body, strings.Join(unit.Bodies(), ", "))
	case c.Slots < 0 || c.Slots > maxSlots:
		return fmt.Errorf("slots: %d is not between 0 and %d", c.Slots, maxSlots)
	}
	return errors.Join(c.Broker.validate(), c.Verdicts.validate(c.Broker))
}

const nameCharacters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-"

func (b Broker) validate() error {
	switch {
	case !slices.Contains([]string{RabbitMQ, NATS, SQS}, b.Kind):
		return fmt.Errorf("kind: %q is none of %s, %s, %s", b.Kind, RabbitMQ, NATS, SQS)
	case b.Kind == SQS && b.URLFile+b.CAFile != "":
		return fmt.Errorf("url_file, ca_file: credentials of %s are found as by every AWS program", SQS)
	case b.Kind != NATS && b.CredsFile != "":
		return fmt.Errorf("creds_file: credentials of this form are for %s alone", NATS)
	case b.Kind == SQS && b.Dead == "":
		return errors.New("dead: name the URL of the queue for messages that can never be accepted")
	case b.Kind != SQS && (b.URL == "") == (b.URLFile == ""):
		return errors.New("set one of url and url_file")
	case b.From == "":
		return errors.New("from: name the queue that messages come from")
	case b.DeadName() == b.From:
		return errors.New("dead: is the queue that messages come from")
	}
	return nil
}

func (v Verdicts) validate(b Broker) error {
	for _, e := range v.Events {
		if !slices.Contains([]string{UnitDone, UnitRefused, JobDone}, e) {
			return fmt.Errorf("verdicts.events: %q is none of %s, %s, %s", e, UnitDone, UnitRefused, JobDone)
		}
	}
	switch {
	case v.To == "" && (v.Task != "" || len(v.Events) > 0):
		return errors.New("verdicts.to: name where verdicts go")
	case v.To != "" && (v.To == b.From || v.To == b.DeadName()):
		return errors.New("verdicts.to: is the queue of messages, or of dead letters")
	case v.Task != "" && b.Kind != RabbitMQ:
		return fmt.Errorf("verdicts.task: calls of Celery tasks go over %s alone", RabbitMQ)
	}
	return nil
}
