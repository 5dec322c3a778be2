package intake

import (
	"slices"
	"strings"

	"github.com/goldcrest/goldcrest/invalid"
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
	URLFile string `yaml:"url_file" secret:"file"`
	// CredsFile is a file of credentials (.creds: a JWT and its key) for NATS with operators and accounts. It is read
	// again at each connection.
	CredsFile string `yaml:"creds_file" secret:"file"`
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

// Validate reports every invalid value.
func (c Config) Validate() error {
	var bad invalid.Values
	bad.If(c.Name == "" || len(c.Name) > 64 || strings.Trim(c.Name, nameCharacters) != "",
		"name: %q is not 1 to 64 letters, digits, _ and -", c.Name)
	bad.If(c.Token == "", "token: an intake acts as a token; name one of api.tokens")
	bad.If(c.Body != "" && !slices.Contains(unit.Bodies(), c.Body),
		"body: %q is none of %s", c.Body, strings.Join(unit.Bodies(), ", "))
	bad.If(c.Slots < 0 || c.Slots > maxSlots, "slots: %d is not between 0 and %d", c.Slots, maxSlots)
	return bad.Err(c.Broker.validate(), c.Verdicts.validate(c.Broker))
}

const nameCharacters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-"

func (b Broker) validate() error {
	var bad invalid.Values
	bad.If(!slices.Contains([]string{RabbitMQ, NATS, SQS}, b.Kind),
		"kind: %q is none of %s, %s, %s", b.Kind, RabbitMQ, NATS, SQS)
	bad.If(b.Kind == SQS && b.URLFile+b.CAFile != "",
		"url_file, ca_file: credentials of %s are found as by every AWS program", SQS)
	bad.If(b.Kind != NATS && b.CredsFile != "", "creds_file: credentials of this form are for %s alone", NATS)
	bad.If(b.Kind == SQS && b.Dead == "", "dead: name the URL of the queue for messages that can never be accepted")
	bad.If(b.Kind != SQS && (b.URL == "") == (b.URLFile == ""), "set one of url and url_file")
	bad.If(b.From == "", "from: name the queue that messages come from")
	bad.If(b.DeadName() == b.From, "dead: is the queue that messages come from")
	return bad.Err()
}

func (v Verdicts) validate(b Broker) error {
	var bad invalid.Values
	for _, e := range v.Events {
		bad.If(!slices.Contains([]string{UnitDone, UnitRefused, JobDone}, e),
			"verdicts.events: %q is none of %s, %s, %s", e, UnitDone, UnitRefused, JobDone)
	}
	bad.If(v.To == "" && (v.Task != "" || len(v.Events) > 0), "verdicts.to: name where verdicts go")
	bad.If(v.To != "" && (v.To == b.From || v.To == b.DeadName()),
		"verdicts.to: is the queue of messages, or of dead letters")
	bad.If(v.Task != "" && b.Kind != RabbitMQ, "verdicts.task: calls of Celery tasks go over %s alone", RabbitMQ)
	return bad.Err()
}
